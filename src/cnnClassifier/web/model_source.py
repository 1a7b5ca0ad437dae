"""Where the served model comes from: a package folder named in the environment, or the registry's alias."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from cnnClassifier.config.loading import load_settings
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, SPEC_FILE

MODEL_DIR = "CNNCLASSIFIER_MODEL_DIR"  # a package folder, served as it is: no registry is asked
MODEL_NAME = "CNNCLASSIFIER_MODEL"  # which registered model (default: the active experiment's)
MODEL_VERSION = "CNNCLASSIFIER_MODEL_VERSION"  # what to call a folder's version (default: its files' digest)


def model_source(project: ProjectConfig, environ: Mapping[str, str]) -> Callable[[], Classifier]:
    """What `ModelHolder` calls for the model: the environment's folder, else the registry's alias."""
    if environ.get(MODEL_DIR):
        return partial(load_from_folder, Path(environ[MODEL_DIR]), environ.get(MODEL_NAME), environ.get(MODEL_VERSION))
    return partial(load_from_registry, project, environ.get(MODEL_NAME))


def load_from_folder(folder: Path, name: str | None = None, version: str | None = None) -> Classifier:
    """Load a package folder; it is called after itself unless `name` says otherwise."""
    return Classifier.load(folder, name or folder.resolve().name, version or _digest(folder))


def load_from_registry(project: ProjectConfig, name: str | None = None) -> Classifier:
    """Fetch and load the version behind the alias of `name`, by default the active experiment's model."""
    # Importing mlflow takes seconds: here it happens in the loading thread, while the server already answers.
    from cnnClassifier.tracking import connection, registry

    name = name or load_settings().registration.name
    server = connection.connect(project.tracking)
    served = registry.download(server, name, project.serving.alias, project.paths.cache / "served")
    return Classifier.load(served.folder, served.name, served.version)


def _digest(folder: Path) -> str:
    """12 hex digits that change with any file an answer depends on: weights, decision or outliers."""
    outliers = folder / OUTLIERS_FILE
    files = [folder / ONNX_FILE, folder / SPEC_FILE, *([outliers] if outliers.exists() else [])]
    try:
        digests = b"".join(_sha256(file) for file in files)
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename}: no such file; {MODEL_DIR} must name a package folder") from None
    return hashlib.sha256(digests).hexdigest()[:12]


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
