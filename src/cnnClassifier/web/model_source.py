"""Where the served model comes from: a folder named in the environment, the registry's alias, or what was released."""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnClassifier.config.loading import PARAMS_FILE, load_settings
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, SPEC_FILE

if TYPE_CHECKING:
    from cnnClassifier.tracking.connection import Connection

MODEL_DIR = "CNNCLASSIFIER_MODEL_DIR"  # a package folder, served as it is: no registry is asked
MODEL_NAME = "CNNCLASSIFIER_MODEL"  # which registered model (default: the active experiment's)
MODEL_VERSION = "CNNCLASSIFIER_MODEL_VERSION"  # what to call a folder's version (default: its files' digest)
FIRST_VERSION = "1"  # what a released model becomes in the empty registry that it is imported into

log = logging.getLogger(__name__)


def model_source(project: ProjectConfig, environ: Mapping[str, str]) -> Callable[[], Classifier]:
    """What `ModelHolder` calls for the model: the environment's folder, else the registry's alias or the release."""
    if environ.get(MODEL_DIR):
        return partial(load_from_folder, Path(environ[MODEL_DIR]), environ.get(MODEL_NAME), environ.get(MODEL_VERSION))
    return partial(load_champion, project, environ.get(MODEL_NAME))


def load_from_folder(folder: Path, name: str | None = None, version: str | None = None) -> Classifier:
    """Load a package folder; it is called after itself unless `name` says otherwise."""
    return Classifier.load(folder, name or folder.resolve().name, version or _digest(folder))


def load_champion(project: ProjectConfig, name: str | None = None) -> Classifier:
    """Load what has the alias: the model of that name or, without a name, of the active experiment.

    If nothing has it, and no other name was asked for, the released model; a local registry that is empty gets it.
    """
    # Importing mlflow takes seconds: here it happens in the loading thread, while the server already answers.
    from cnnClassifier.tracking import connection

    server = connection.connect(project.tracking)
    released = _released(project, name)
    if released is None:
        return _download(server, project, _active_name(name))
    if server.is_unused:
        classifier = load_from_folder(released, version=FIRST_VERSION)
        # Making MLflow's database and importing into it takes many more: nobody has to wait for that.
        _import_in_background(server, released, project.paths.cache)
        return classifier
    return _load_registered(server, project, name, released)


def _load_registered(server: "Connection", project: ProjectConfig, name: str | None, released: Path) -> Classifier:
    from cnnClassifier.tracking import registry
    from cnnClassifier.tracking.released import import_if_empty

    names = dict.fromkeys([_active_name(name, released), released.name])
    has_alias = (each for each in names if registry.find(server, each, project.serving.alias))
    if found := next(has_alias, None):
        return _download(server, project, found)
    if import_if_empty(server, released, project.paths.cache):
        return _download(server, project, released.name)
    log.info("%s: no model %s; serving %s", server.title, " or ".join(names), released)
    return load_from_folder(released)


def _download(server: "Connection", project: ProjectConfig, name: str) -> Classifier:
    from cnnClassifier.tracking import registry

    served = registry.download(server, name, project.serving.alias, project.paths.cache / "served")
    return Classifier.load(served.folder, served.name, served.version)


def _import_in_background(server: "Connection", released: Path, cache: Path) -> None:
    from cnnClassifier.tracking.released import import_if_empty

    # A daemon: an import that ends with the process is finished at the next start.
    threading.Thread(target=import_if_empty, args=(server, released, cache), name="release-import", daemon=True).start()


def _active_name(name: str | None, released: Path | None = None) -> str:
    """The name asked for, else the active experiment's; a serving image has no experiment, only the release."""
    if name or released is None or PARAMS_FILE.is_file():
        return name or load_settings().registration.name
    return released.name


def _released(project: ProjectConfig, name: str | None) -> Path | None:
    """The released model's folder, if it is there and no other model was asked for."""
    folder = project.serving.released
    if folder is None or not (folder / ONNX_FILE).is_file() or name not in (None, "", folder.name):
        return None
    return folder


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
