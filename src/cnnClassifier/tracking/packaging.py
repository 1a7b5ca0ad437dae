"""The served package as an MLflow pyfunc: model from code, no pickle, no TensorFlow needed to load it."""

import ast
import io
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cnnClassifier
from cnnClassifier import DISCLAIMER
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.tracking.client import import_mlflow

PACKAGE = Path(cnnClassifier.__file__).parent
MODEL_CODE = Path(__file__).with_name("pyfunc_model.py")
PACKAGE_ARTIFACT, KERAS_ARTIFACT = "package", "keras_model"
# What the shipped code imports and what `mlflow models serve` needs, in the versions that are installed here.
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow", "pydantic", "pydicom", "python-gdcm", "scipy")


def save_pyfunc(package: Path, keras_model: Path | None, destination: Path, spec: ModelSpec) -> None:
    """Write an MLflow model folder around a served package, with the Keras model, if any, beside it for retraining.

    `destination` must not exist. Input: a column `image` of encoded images. Output, one row an image:
    label (empty unless state is "answer"), confidence, state, prediction_set and changes (as text), error (why an image
    could not be read; its state is "error", its numbers are null), probability_<class> for each class, model, version.
    """
    mlflow = import_mlflow()
    with tempfile.TemporaryDirectory(prefix="cnnClassifier-pyfunc-") as folder:
        # MLflow keeps the name of an artifact's folder: give each the one that `registry.download` looks for.
        artifacts = {PACKAGE_ARTIFACT: package, KERAS_ARTIFACT: keras_model}
        staged = {name: shutil.copytree(source, Path(folder) / name) for name, source in artifacts.items() if source}
        mlflow.pyfunc.save_model(
            path=str(destination),
            python_model=str(MODEL_CODE),
            artifacts={name: str(copy) for name, copy in staged.items()},
            code_paths=[str(copy_code(Path(folder)))],
            signature=_signature(mlflow, spec),
            input_example=_example(),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            metadata={"classes": list(spec.classes), "disclaimer": DISCLAIMER},
        )


def copy_code(folder: Path) -> Path:
    """Copy the files that serving imports into `folder`/cnnClassifier."""
    for file in serving_files():
        target = folder / file.relative_to(PACKAGE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder / PACKAGE.name


def serving_files() -> list[Path]:
    """The files of this package that the model's code imports, and those that they import in turn."""
    found: set[Path] = set()
    waiting = list(_imported_files(MODEL_CODE))
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imported_files(file))
    return sorted(found)


def imported_modules(file: Path) -> Iterator[str]:
    """Every module or name that a file of Python imports, anywhere in it, by its full dotted name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imported_files(file: Path) -> Iterator[Path]:
    for module in imported_modules(file):
        parts = module.split(".")
        if parts[0] == PACKAGE.name:
            yield from _files_of(parts)


def _files_of(parts: list[str]) -> Iterator[Path]:
    """The file of `a.b.c` and the __init__ of each package above; `c` may be a name inside module `a.b`."""
    for depth in range(1, len(parts) + 1):
        module = PACKAGE.parent.joinpath(*parts[:depth])
        yield from (file for file in (module.with_suffix(".py"), module / "__init__.py") if file.is_file())


def _example() -> Any:
    """A drawn picture: MLflow tries the saved model on it and keeps it as a ready-made request."""
    import pandas as pd  # type: ignore[import-untyped]
    from PIL import Image

    encoded = io.BytesIO()
    Image.linear_gradient("L").save(encoded, "PNG")
    return pd.DataFrame({"image": [encoded.getvalue()]})


def _signature(mlflow: Any, spec: ModelSpec) -> Any:
    types = mlflow.types
    text, number = types.DataType.string, types.DataType.double
    outputs = {"label": text, "confidence": number}
    outputs |= dict.fromkeys(("state", "prediction_set", "changes", "error"), text)
    outputs |= {f"probability_{name}": number for name in spec.classes}
    outputs |= {"model": text, "version": text}
    return mlflow.models.ModelSignature(
        inputs=types.Schema([types.ColSpec(types.DataType.binary, "image")]),
        outputs=types.Schema([types.ColSpec(kind, name) for name, kind in outputs.items()]),
    )
