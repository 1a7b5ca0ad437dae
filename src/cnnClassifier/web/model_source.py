"""Where the served model comes from: a folder named in the environment, the registry's alias, or what was released."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE
from cnnClassifier.tracking.catalogue import list_models, list_versions
from cnnClassifier.tracking.connection import connect
from cnnClassifier.tracking.peek import peek
from cnnClassifier.web.model_holder import ModelHolder

if TYPE_CHECKING:
    from cnnClassifier.web.models import Registry

MODEL_DIR = "CNNCLASSIFIER_MODEL_DIR"  # a package folder, served as it is: no registry is asked
MODEL_NAME = "CNNCLASSIFIER_MODEL"  # which registered model (default: the active experiment's)
MODEL_VERSION = "CNNCLASSIFIER_MODEL_VERSION"  # what to call a folder's version (default: its files' digest)


@dataclass(frozen=True)
class Source:
    """What a `ModelHolder` calls: `load` for a model, then now and then `look` for another one in its place.

    `look` gives None while the model that is passed to it is still the right one. Without `look` it always is.
    """

    load: Callable[[], Classifier]
    look: Callable[[Classifier], Classifier | None] | None = None


def model_source(project: ProjectConfig, environ: Mapping[str, str], *, for_once: bool = False) -> Source:
    """The environment's folder, else the registry's alias or the release. `for_once` is as in `RegistrySource`."""
    if environ.get(MODEL_DIR):
        folder = Path(environ[MODEL_DIR])
        return Source(partial(load_from_folder, folder, environ.get(MODEL_NAME), environ.get(MODEL_VERSION)))
    from cnnClassifier.web.registry_source import RegistrySource

    registry = RegistrySource(project, environ.get(MODEL_NAME), for_once=for_once)
    return Source(registry.load, registry.look)


def holder_of(project: ProjectConfig, environ: Mapping[str, str]) -> ModelHolder:
    """The holder of the model that the server is started for."""
    source = model_source(project, environ)
    return ModelHolder(source.load, source.look, project.serving.refresh_seconds)


def registry_of(project: ProjectConfig, environ: Mapping[str, str]) -> "Registry | None":
    """The other models that may be asked; none where a folder is served and no registry is asked."""
    if environ.get(MODEL_DIR):
        return None
    from cnnClassifier.web.models import Registry  # brings Flask, which `predict` does without

    return Registry(
        lambda: list_models(connect(project.tracking), project.serving.alias),
        lambda name: peek(connect(project.tracking), name, project.serving.alias) is not None,
        lambda name: list_versions(connect(project.tracking), name),
        lambda name: holder_of(project, {**environ, MODEL_NAME: name}),
    )


def load_from_folder(folder: Path, name: str | None = None, version: str | None = None) -> Classifier:
    """Load a package folder; unless something else is said, it is called after itself, its version after its files."""
    if not (folder / ONNX_FILE).is_file():
        raise ModelError(f"{folder / ONNX_FILE}: no such file; {MODEL_DIR} must name a package folder")
    return Classifier.load(folder, name or folder.resolve().name, version)
