"""Which model is asked: the one that the web app would serve, unless a name or a folder says otherwise."""

import os
from pathlib import Path

from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE
from cnnClassifier.web.model_source import MODEL_DIR, MODEL_NAME, load_from_folder, model_source


def choose_model(project: ProjectConfig, name: str | None, package: Path | None) -> Classifier:
    """The model in the folder `package`; else the champion called `name`; else what the web app would start with.

    Raises ConfigError for an empty name, ModelError where there is none, TrackingError where the registry does not
    answer.
    """
    if name is not None and not name.strip():
        raise ConfigError(
            "--model: an empty name, as of a variable that is not set; name a registered model, or leave --model out"
        )
    if name and package:
        raise ConfigError("--model names a registered model and --package a folder; give one of them")
    if package:
        if not (package / ONNX_FILE).is_file():
            raise ModelError(f"--package {package}: no {ONNX_FILE} in it; a package also holds model.json")
        return load_from_folder(package)
    environ = dict(os.environ)
    if name:
        environ = {**environ, MODEL_DIR: "", MODEL_NAME: name}
    return model_source(project, environ, for_once=True).load()
