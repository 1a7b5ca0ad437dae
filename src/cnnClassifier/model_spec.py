"""What a model knows of itself: its class names, its preprocessing, where it comes from.

`model.json` stands beside the weights, so that nothing is guessed from a folder's name at
serving time. A Keras model folder holds architecture.json, model.weights.h5 and model.json; a served
package holds model.onnx and model.json, and outliers.npz where the model refuses images of other kinds.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.section import Section
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.errors import ModelError
from cnnClassifier.files import file_sha256

SPEC_FILE = "model.json"
ONNX_FILE = "model.onnx"
PRETRAINED_DIGEST = "weights.sha256"  # of a base model: the digest of the file that its weights were read from
WEIGHTS_FILE = "model.weights.h5"  # beside model.json where Keras is wanted: what is trained, not what is served
OUTLIERS_FILE = "outliers.npz"
CARD_FILE = "model_card.html"

# What the network takes and gives.
INPUT = "image"
OUTPUT = "probabilities"
FEATURES = "features"
MAPS = "maps"


class ModelSpec(Section):
    """A model's own description, in the order of its output columns.

    `precision` is what the convolutions compute in. `description` is one line for people; `synthetic` says that it
    learned from drawn pictures (the phantom), so that its answers mean nothing for a patient's. `decision` turns
    probabilities into answers; without one, as before there was any, the most probable class is the answer.
    """

    format: Literal[1] = 1
    classes: tuple[str, ...]
    preprocessing: PreprocessingSpec
    backbone: str
    weights: str
    freeze: str
    precision: Literal["float32", "int8"] = "float32"
    description: str = ""
    synthetic: bool = False
    decision: DecisionSpec = DecisionSpec()

    @model_validator(mode="after")
    def _some_classes_are_positive(self) -> "ModelSpec":
        point = self.decision.operating
        if point is not None and not set(point.positive) < set(self.classes):
            raise ValueError(f"the positive classes {point.positive} must be some of {self.classes}, and not all")
        return self


def digest_package(folder: Path) -> str:
    """12 hex digits that change with any file an answer depends on: weights, decision or outliers.

    Raises ModelError for a folder that is no package, or is one no more.
    """
    outliers = folder / OUTLIERS_FILE
    files = [folder / ONNX_FILE, folder / SPEC_FILE, *([outliers] if outliers.exists() else [])]
    try:
        digests = b"".join(bytes.fromhex(file_sha256(file)) for file in files)
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename}: no such file; a package folder is needed") from None
    return hashlib.sha256(digests).hexdigest()[:12]


def read_spec(folder: Path) -> ModelSpec:
    """Read a model folder's description; raise ModelError naming the file and what is wrong with it."""
    path = folder / SPEC_FILE
    try:
        return ModelSpec.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; is {folder} a model folder?") from None
    except ValidationError as error:
        raise ModelError(f"{path}: not a model description this version reads: {error}") from None


def write_spec(spec: ModelSpec, folder: Path) -> None:
    """Write a model folder's description."""
    (folder / SPEC_FILE).write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")
