"""What runs the frozen part of a model: TensorFlow in float32, or ONNX Runtime in eight bits."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths
from cnnClassifier.conversion import write_onnx
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.features.extraction import Forward
from cnnClassifier.files import scratch_folder
from cnnClassifier.model_spec import FEATURES, INPUT, ModelSpec
from cnnClassifier.modeling import Cut, forward
from cnnClassifier.preprocessing import preprocess

RANGING_IMAGES = 32  # training images that eight bits take their ranges from, at least if there are as many
RECIPE = "int8, 1"  # names what `quantise` does: changed, networks and features are made anew


def open_engine(parts: Cut, trunk_digest: str, spec: ModelSpec, paths: Paths) -> tuple[Forward, str]:
    """What gives a trunk's features of a batch, and what names all that they depend on but the pixels."""
    if spec.precision == "float32":
        return forward(parts.trunk), trunk_digest
    records = ranging_records(paths)
    images = "".join(record.sha256 for record in records)
    digest = hashlib.sha256(
        f"{trunk_digest}|{RECIPE}|{spec.preprocessing.model_dump_json()}|{images}".encode()
    ).hexdigest()
    file = paths.cache / "eight_bits" / f"{digest[:24]}.onnx"

    @cache
    def session() -> Any:  # only once a feature is asked for that is not in the store
        if not file.is_file():
            _make(parts.trunk, file, ranging_pixels(records, paths, spec.preprocessing))
        from cnnClassifier.inference import open_session  # a third of a second

        return open_session(file, 1)

    def run(batch: np.ndarray) -> np.ndarray:
        network = session()
        # A core for each image: none waits for another at a layer's end. Larger batches are no faster, and take memory.
        with ThreadPoolExecutor(os.cpu_count()) as cores:
            return np.concatenate(
                [*cores.map(lambda image: network.run([FEATURES], {INPUT: image[np.newaxis]})[0], batch)]
            )

    return run, digest


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
