"""Encoded image in, class out: a served package (model.onnx, model.json, perhaps .npz files) on ONNX Runtime.

No TensorFlow, no web and no registry here: whoever fetched the package says its name and version.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_state
from PIL import Image

from cnnClassifier.cores import usable_cores
from cnnClassifier.decision import decide
from cnnClassifier.errors import ModelError, NoMapsError, one_line
from cnnClassifier.model_spec import (
    CARD_FILE,
    FEATURES,
    INPUT,
    MAPS,
    ONNX_FILE,
    OUTLIERS_FILE,
    OUTPUT,
    ModelSpec,
    digest_package,
    read_spec,
)
from cnnClassifier.monitoring.reference import REFERENCE_FILE, TrainingReference, load_training_reference
from cnnClassifier.outliers import Reference, distances, load_reference
from cnnClassifier.preprocessing import preprocess

SUM_TOLERANCE = 1e-3

AS_ASKED_FOR = 1  # kSameAsRequested, how ONNX Runtime's arena of memory may grow

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
    """One image's answer (as `decision.Answer` describes it) and who gave it.

    `distance` from the training images, and `components` on the axes of the model's training reference, are what its
    features come down to for the prediction log; None and empty for a model without an outlier rule or a reference.
    """

    state: Literal["answer", "abstained", "refused"]
    label: str | None
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    changes: tuple[str, ...]
    model: str
    version: str
    distance: float | None = None
    components: tuple[float, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A prediction, and for each class where in the image what speaks for it lies: (classes, h, w).

    A map is of the whole image that `preprocess` returns, coarser; docs/explain.md says what its numbers are.
    """

    prediction: Prediction
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """A loaded model that may be asked from several threads at once; `digest` names the files that it comes from."""

    folder: Path
    spec: ModelSpec
    name: str
    version: str
    digest: str
    session: Any
    reference: Reference | None = None
    training: TrainingReference | None = None
    one_core: Any | None = None

    @classmethod
    def load(cls, folder: Path, name: str, version: str | None = None, threads: int | None = None) -> "Classifier":
        """Load a package folder; ModelError if a file is missing, broken or at odds with model.json.

        `version` is what it is called (default: its digest), `threads` how many cores one prediction may use (all).
        """
        spec = read_spec(folder)
        session = open_session(folder / ONNX_FILE, threads or usable_cores())
        _check_input(session, spec, folder)
        _check_output(session, spec, folder)
        _check_maps(session, spec, folder)
        reference, training = _reference(session, spec, folder), _training(session, folder)
        digest = digest_package(folder)
        return cls(folder, spec, name, version or digest, digest, session, reference, training)

    def for_a_crowd(self) -> "Classifier":
        """The same model, opened once more for passes of one core each where many are asked for at once."""
        if self.one_core or self.session.get_session_options().intra_op_num_threads == 1:
            return self
        return replace(self, one_core=open_session(self.folder / ONNX_FILE, 1))

    def classify(self, data: bytes, max_pixels: int | None = None) -> Prediction:
        """Classify one encoded image; ImageError unless it is a picture of at most `max_pixels`."""
        return self.classify_batch(preprocess(data, self.spec.preprocessing, max_pixels)[np.newaxis])[0]

    def classify_batch(self, batch: NDArray[np.float32], crowded: bool = False) -> list[Prediction]:
        """The predictions for N images as `preprocess` returns them, in one pass of the network.

        `crowded`: other passes are under way, so this one takes a core for itself if it can (`for_a_crowd`).
        """
        return self._decide(self._measure(batch, crowded=crowded))

    def classify_pixels(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Uncalibrated probabilities, shape (N, classes), of N images as `preprocess` returns them."""
        return self.run([OUTPUT], batch)[0]

    def features_of_pixels(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pooled features, shape (N, d), of N images as `preprocess` returns them."""
        return self.run([FEATURES], batch)[0]

    def explain_batch(self, batch: NDArray[np.float32], crowded: bool = False) -> list[Explanation]:
        """The same, each with every class's map."""
        self._check_maps()
        found = self._measure(batch, MAPS, crowded=crowded)
        return [Explanation(*each) for each in zip(self._decide(found), found[MAPS], strict=True)]

    def explain_pixels(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Uncalibrated probabilities (N, classes), and where the evidence for each class lies (N, classes, h, w)."""
        self._check_maps()
        probabilities, maps = self.run([OUTPUT, MAPS], batch)
        return probabilities, maps

    def run(self, outputs: list[str], batch: NDArray[np.float32], crowded: bool = False) -> list[NDArray[np.float32]]:
        """Outputs of the network (OUTPUT, FEATURES, MAPS) for N images as `preprocess` returns them, in one pass."""
        session = self.one_core if crowded and self.one_core else self.session
        arrays: list[NDArray[np.float32]] = session.run(outputs, {INPUT: batch})
        return arrays

    def self_test(self) -> None:
        """Classify a drawn picture; ModelError if the answer is not one probability a class, summing to 1."""
        pixels = preprocess(_drawn_picture(), self.spec.preprocessing)
        try:
            answer = self.classify_pixels(pixels[np.newaxis])
        except ONNX_ERRORS as error:
            raise ModelError(f"{self._title} fails its self-test: {one_line(error)}") from None
        if answer.shape != (1, len(self.spec.classes)) or not abs(float(answer.sum()) - 1) < SUM_TOLERANCE:
            raise ModelError(f"{self._title} fails its self-test: its probabilities are {answer.tolist()}")

    @property
    def card(self) -> Path:
        """Where the package's model card stands, if it has one: older packages do not."""
        return self.folder / CARD_FILE

    @property
    def has_maps(self) -> bool:
        """Whether the package can say where its evidence lies: older packages cannot."""
        return MAPS in [output.name for output in self.session.get_outputs()]

    @property
    def _title(self) -> str:
        return f"model {self.name} version {self.version}"

    def _check_maps(self) -> None:
        if not self.has_maps:
            raise NoMapsError(
                f"{self._title} cannot say why: an ensemble has no maps, nor one exported before there were maps"
            )

    def _measure(self, batch: NDArray[np.float32], *more: str, crowded: bool = False) -> dict[str, NDArray[np.float32]]:
        """The network's outputs for N images: probabilities, features where anything needs them, and `more`."""
        needs_features = self.reference is not None or self.training is not None
        outputs = [OUTPUT, *([FEATURES] if needs_features else []), *more]
        return dict(zip(outputs, self.run(outputs, batch, crowded), strict=True))

    def _decide(self, found: Mapping[str, NDArray[np.float32]]) -> list[Prediction]:
        """What the model's rules make of them."""
        probabilities, distance = found[OUTPUT], [None] * len(found[OUTPUT])
        if self.reference is not None:
            distance = distances(self.reference, found[FEATURES]).tolist()
        components: list[list[float]] = [[]] * len(distance)
        if self.training is not None:
            components = self.training.axes.project(found[FEATURES]).tolist()
        answers = (
            decide(row, self.spec.decision, self.spec.classes, far)
            for row, far in zip(probabilities, distance, strict=True)
        )
        return [
            Prediction(**vars(answer), model=self.name, version=self.version, distance=far, components=tuple(along))
            for answer, far, along in zip(answers, distance, components, strict=True)
        ]


def open_session(path: Path, threads: int) -> Any:
    """ONNX Runtime on a network and so many cores; ModelError for a file that is none."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that have nothing to do would spin on the cores that decode the next picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except ONNX_ERRORS as error:
        raise ModelError(f"{path}: not an ONNX model that can be loaded: {one_line(error)}") from None


@cache
def _share_arena() -> None:
    """One arena of memory for all networks of the process: of their own, each would double as it grows."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"arena_extend_strategy": AS_ASKED_FOR}))


def _check_input(session: Any, spec: ModelSpec, folder: Path) -> None:
    size = spec.preprocessing.image_size
    shape = _shape_of(INPUT, session.get_inputs(), folder)
    if not _fits(shape, (1, size, size, 3)):
        raise ModelError(f"{folder}: model.json says images of {size} x {size} x 3, model.onnx takes {shape}")


def _check_output(session: Any, spec: ModelSpec, folder: Path) -> None:
    shape = _shape_of(OUTPUT, session.get_outputs(), folder)
    if not _fits(shape, (1, len(spec.classes))):
        raise ModelError(f"{folder}: model.json names {len(spec.classes)} classes, model.onnx answers {shape}")


def _check_maps(session: Any, spec: ModelSpec, folder: Path) -> None:
    shapes = [list(output.shape) for output in session.get_outputs() if output.name == MAPS]
    if any(len(shape) != 4 or not _fits(shape[:2], (1, len(spec.classes))) for shape in shapes):
        raise ModelError(f"{folder}: model.json names {len(spec.classes)} classes, model.onnx has maps {shapes[0]}")


def _reference(session: Any, spec: ModelSpec, folder: Path) -> Reference | None:
    """What the model's outlier rule compares images with; None without such a rule."""
    if spec.decision.outliers is None:
        return None
    reference = load_reference(folder / OUTLIERS_FILE)
    shape = _shape_of(FEATURES, session.get_outputs(), folder)
    if not _fits(shape, (1, len(reference.deviation))):
        raise ModelError(
            f"{folder}: {OUTLIERS_FILE} is for {len(reference.deviation)} features, model.onnx has {shape}"
        )
    return reference


def _training(session: Any, folder: Path) -> TrainingReference | None:
    """What monitoring compares answers with; None for a package that was made before there was any."""
    training = load_training_reference(folder)
    if training is not None:
        shape = _shape_of(FEATURES, session.get_outputs(), folder)
        if not _fits(shape, (1, len(training.axes.mean))):
            raise ModelError(
                f"{folder}: {REFERENCE_FILE} is for {len(training.axes.mean)} features, model.onnx has {shape}"
            )
    return training


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
