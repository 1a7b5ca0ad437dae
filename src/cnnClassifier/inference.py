"""Encoded image in, class out: a served package (model.onnx and model.json) on ONNX Runtime.

No TensorFlow, no web and no registry here: whoever fetched the package says its name and version.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_state
from PIL import Image

from cnnClassifier.errors import ModelError
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec, read_spec
from cnnClassifier.preprocessing import preprocess

INPUT = "image"
OUTPUT = "probabilities"
SUM_TOLERANCE = 1e-3

# What onnxruntime raises for a file it cannot use; it has no common base but Exception.
ONNX_ERRORS = (
    onnx_state.EPFail,
    onnx_state.Fail,
    onnx_state.InvalidArgument,
    onnx_state.InvalidGraph,
    onnx_state.InvalidProtobuf,
    onnx_state.NoModel,
    onnx_state.NoSuchFile,
    onnx_state.NotImplemented,
    onnx_state.RuntimeException,
)


@dataclass(frozen=True)
class Prediction:
    """One image's answer and who gave it; `probabilities` follow the model's class order and sum to 1."""

    label: str
    confidence: float
    probabilities: dict[str, float]
    model: str
    version: str


@dataclass(frozen=True)
class Classifier:
    """A loaded model that may be asked from several threads at once."""

    spec: ModelSpec
    name: str
    version: str
    session: Any

    @classmethod
    def load(cls, folder: Path, name: str, version: str, threads: int | None = None) -> "Classifier":
        """Load a package folder; ModelError if a file is missing, broken or at odds with model.json.

        `threads` is how many cores one prediction may use (default: all).
        """
        spec = read_spec(folder)
        session = _open_session(folder / ONNX_FILE, threads or os.cpu_count() or 1)
        _check_input(session, spec, folder)
        _check_output(session, spec, folder)
        return cls(spec, name, version, session)

    def classify(self, data: bytes, max_pixels: int | None = None) -> Prediction:
        """Classify one encoded image; ImageError unless it is a picture of at most `max_pixels`."""
        pixels = preprocess(data, self.spec.preprocessing, max_pixels)
        return self._prediction(self.classify_pixels(pixels[np.newaxis])[0])

    def classify_pixels(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, shape (N, classes), of N images as `preprocess` returns them."""
        probabilities: NDArray[np.float32] = self.session.run([OUTPUT], {INPUT: batch})[0]
        return probabilities

    def self_test(self) -> None:
        """Classify a drawn picture; ModelError if the answer is not one probability a class, summing to 1."""
        pixels = preprocess(_drawn_picture(), self.spec.preprocessing)
        try:
            answer = self.classify_pixels(pixels[np.newaxis])
        except ONNX_ERRORS as error:
            raise ModelError(f"{self._title} fails its self-test: {_one_line(error)}") from None
        if answer.shape != (1, len(self.spec.classes)) or not abs(float(answer.sum()) - 1) < SUM_TOLERANCE:
            raise ModelError(f"{self._title} fails its self-test: its probabilities are {answer.tolist()}")

    @property
    def _title(self) -> str:
        return f"model {self.name} version {self.version}"

    def _prediction(self, probabilities: NDArray[np.float32]) -> Prediction:
        by_class = dict(zip(self.spec.classes, map(float, probabilities), strict=True))
        label = max(by_class, key=by_class.__getitem__)
        return Prediction(label, by_class[label], by_class, self.name, self.version)


def _open_session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except ONNX_ERRORS as error:
        raise ModelError(f"{path}: not an ONNX model that can be loaded: {_one_line(error)}") from None


def _check_input(session: Any, spec: ModelSpec, folder: Path) -> None:
    size = spec.preprocessing.size
    shape = _shape_of(INPUT, session.get_inputs(), folder)
    if not _fits(shape, (1, size, size, 3)):
        raise ModelError(f"{folder}: model.json says images of {size} x {size} x 3, model.onnx takes {shape}")


def _check_output(session: Any, spec: ModelSpec, folder: Path) -> None:
    shape = _shape_of(OUTPUT, session.get_outputs(), folder)
    if not _fits(shape, (1, len(spec.classes))):
        raise ModelError(f"{folder}: model.json names {len(spec.classes)} classes, model.onnx answers {shape}")


def _shape_of(name: str, tensors: list[Any], folder: Path) -> list[Any]:
    for tensor in tensors:
        if tensor.name == name:
            return list(tensor.shape)
    present = ", ".join(tensor.name for tensor in tensors)
    raise ModelError(f"{folder / ONNX_FILE}: no tensor {name!r}; there are: {present}")


def _fits(shape: list[Any], wanted: tuple[int, ...]) -> bool:
    """Whether every fixed dimension is the wanted one; an open dimension (a name or None) fits anything."""
    return len(shape) == len(wanted) and all(
        have == want for have, want in zip(shape, wanted, strict=True) if isinstance(have, int)
    )


def _drawn_picture() -> bytes:
    encoded = io.BytesIO()
    Image.linear_gradient("L").save(encoded, "PNG")
    return encoded.getvalue()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
