"""What runs the frozen part of a model: TensorFlow in float32, or ONNX Runtime in eight bits."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths
from cnnClassifier.conversion import write_onnx
from cnnClassifier.cores import usable_cores
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.features.extraction import Forward, code_of_pixels, features_of
from cnnClassifier.files import scratch_folder
from cnnClassifier.model_spec import FEATURES, ModelSpec
from cnnClassifier.modeling import Cut, forward
from cnnClassifier.preprocessing import preprocess

RANGING_IMAGES = 32  # training images that eight bits take their ranges from, at least if there are as many
RECIPE = "int8, 1"  # names what `quantise` does: changed, networks and features are made anew


class EightBits:
    """A trunk in eight bits: a network for ONNX Runtime, made once for the same weights, preprocessing and ranges."""

    def __init__(self, trunk: Any, trunk_digest: str, spec: ModelSpec, paths: Paths) -> None:
        self._trunk, self._preprocessing, self._paths = trunk, spec.preprocessing, paths
        self._records = ranging_records(paths)
        images = "".join(record.sha256 for record in self._records)
        pixels = f"{spec.preprocessing.model_dump_json()}|{code_of_pixels(spec.preprocessing)}"
        text = f"{trunk_digest}|{RECIPE}|{pixels}|{images}"
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def network(self) -> Path:
        """Its file, which is made if it is not there."""
        file = self._paths.cache / "eight_bits" / f"{self.digest[:24]}.onnx"
        if not file.is_file():
            _make(self._trunk, file, ranging_pixels(self._records, self._paths, self._preprocessing))
        return file

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """The features (n, d) of n images as `preprocess` returns them."""
        return features_of(self._session, batch, usable_cores())

    @cached_property
    def _session(self) -> Any:  # only once a feature is asked for that is not in the store
        from cnnClassifier.inference import open_session  # a third of a second

        return open_session(self.network(), 1)


def open_engine(parts: Cut, trunk_digest: str, spec: ModelSpec, paths: Paths) -> tuple[Forward, str]:
    """What gives a trunk's features of a batch, and what names all that they depend on but the pixels."""
    if spec.precision == "float32":
        return forward(parts.trunk), trunk_digest
    engine = EightBits(parts.trunk, trunk_digest, spec, paths)
    return engine, engine.digest


def ranging_records(paths: Paths) -> Sequence[ImageRecord]:
    """Images of train and valid, at even distances in the audited manifest: what ranges are taken from."""
    records = [record for record in read_manifest(paths.audited_manifest) if record.split != "test"]
    return records[:: max(1, len(records) // RANGING_IMAGES)]


def ranging_pixels(
    records: Sequence[ImageRecord], paths: Paths, spec: PreprocessingSpec
) -> Iterator[NDArray[np.float32]]:
    """Their pixels, one image after the other."""
    return (preprocess((paths.images / record.path).read_bytes(), spec) for record in records)


def _make(trunk: Any, file: Path, images: Iterator[NDArray[np.float32]]) -> None:
    from cnnClassifier.eight_bits import quantise  # half a second

    file.parent.mkdir(parents=True, exist_ok=True)
    # Another process may make the same one: each in a folder of its own.
    with scratch_folder(file.with_suffix(f".{os.getpid()}")) as scratch:
        write_onnx(trunk, (FEATURES,), scratch / "exact.onnx")
        quantise(scratch / "exact.onnx", scratch / "int8.onnx", images)
        (scratch / "int8.onnx").replace(file)
