"""Run images through the frozen part of a model, once each, and keep what it says of them."""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier import decoders, dicom, preprocessing, stain
from cnnClassifier.augmentation import AnyView
from cnnClassifier.batching import batches, progress
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.cores import usable_cores
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError, ImageError
from cnnClassifier.features.spaces import root_of
from cnnClassifier.features.store import FeatureStore
from cnnClassifier.model_spec import FEATURES, INPUT
from cnnClassifier.preprocessing import Pixels

Forward = Callable[[np.ndarray], np.ndarray]
Item = tuple[ImageRecord, AnyView]

SHARD = 64  # images a shard: what a kill can cost
AHEAD = 2  # shards whose pixels are made before the network wants them
AGAIN = "it was whole when it was brought here: run `python main.py data_ingestion` again"
BATCH = 16  # images a forward pass: past this the network is no faster, only larger in memory


@dataclass(frozen=True)
class Space:
    """Everything that features depend on but the image and the view."""

    preprocessing: PreprocessingSpec
    trunk_digest: str
    network: str = ""  # in words, for people; names nothing

    @property
    def key(self) -> str:
        """Names the space; the code that makes pixels is part of it, so an edit there never meets older features."""
        text = f"{self.preprocessing.model_dump_json()}|{self.trunk_digest}|{code_of_pixels(self.preprocessing)}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def description(self) -> dict[str, Any]:
        """What is told of the space beside its features."""
        return {"network": self.network, "preprocessing": self.preprocessing.model_dump(mode="json")}


def code_of_pixels(spec: PreprocessingSpec) -> str:
    """The code that makes pixels as `spec` says: of files in every format, since a set of images may hold them all."""
    modules = [preprocessing, decoders, *([stain] if spec.stain != "none" else [])]
    return "".join(map(inspect.getsource, modules)) + _code_of_dicom()


def _code_of_dicom() -> str:
    """The modules of `dicom`, read as text: to import them all would import pydicom."""
    files = sorted(Path(dicom.__file__).parent.glob("*.py"))
    return "".join(file.read_text(encoding="utf-8") for file in files)


class FeatureExtractor:
    """Gives the features of images: from the store where they are known, else by a forward pass that fills it."""

    def __init__(self, cache: Path, images: Path, space: Space, forward: Forward) -> None:
        self.store = FeatureStore(root_of(cache) / space.key, space.description)
        self.images = images
        self.space = space
        self.forward = forward

    def ensure(self, records: Sequence[ImageRecord], views: Sequence[AnyView]) -> None:
        """Compute what the store lacks, shard by shard, with progress; what is done survives a kill."""
        lacking = self.lacking((record, view) for record in records for view in views)
        shards = list(batches(lacking, SHARD))
        with progress(len(lacking), "features") as done:
            for shard, pixels in self._decode(shards, lacking):
                self.store.add(shard, self._forward(pixels))
                done(len(shard))

    def lacking(self, items: Iterable[Item]) -> dict[str, Item]:
        """Those of the items that the store has no features of, by key.

        As the items come, so that reading them in that order goes through one shard after the other.
        """
        wanted = {feature_key(*item): item for item in items}
        missing = self.store.missing(wanted)
        return {key: item for key, item in wanted.items() if key in missing}

    def read(self, records: Sequence[ImageRecord], view: AnyView) -> np.ndarray:
        """Features of one view of each record, float32 (n, *shape)."""
        return self.read_views([(record, view) for record in records])

    def read_views(self, items: Sequence[Item]) -> np.ndarray:
        """Features of each record in its own view, float32 (n, *shape)."""
        return self.store.read([feature_key(record, view) for record, view in items])

    def _decode(
        self, shards: Sequence[list[str]], wanted: Mapping[str, Item]
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Each shard with its pixels (n, size, size, 3), made on all cores while the network works on those before."""
        with ThreadPoolExecutor(usable_cores()) as pool:
            ahead = ([pool.submit(self._view_of, *wanted[key]) for key in shard] for shard in shards)
            waiting = list(islice(ahead, AHEAD))
            try:
                for shard in shards:
                    pixels = np.stack([view.result() for view in waiting.pop(0)])
                    waiting.extend(islice(ahead, 1))
                    yield shard, pixels
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # an error does not wait for what nobody will see

    def _view_of(self, record: ImageRecord, view: AnyView) -> np.ndarray:
        data = read_image(self.images, record.path)
        return prepare_view(data, record.path, view, self.space.preprocessing, record.sha256)

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        return np.concatenate([self.forward(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def feature_key(record: ImageRecord, view: AnyView) -> str:
    """Names an image's view in a store: by the image's bytes, not its path."""
    return f"{record.sha256}-{view.key}"


def read_image(images: Path, path: str) -> bytes:
    """The bytes of a file below `images`; DataError that names it if they cannot be read."""
    try:
        return (images / path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; {AGAIN}") from None


def prepare_view(data: bytes, path: str, view: AnyView, spec: PreprocessingSpec, sha256: str) -> Pixels:
    """Network input (size, size, 3) of a file's bytes in a view; ImageError that names it if they are no picture."""
    try:
        return view.prepare(data, spec, sha256)
    except ImageError as error:
        raise ImageError(f"{path}: {error}; {AGAIN}") from None


def features_of(session: Any, batch: np.ndarray, cores: int = 1) -> np.ndarray:
    """What a network on ONNX Runtime says of n images (n, size, size, 3), so many at a time: (n, d).

    With a session for one core each image has its core: none waits for another at a layer's end. Batches of several
    are no faster, and take memory.
    """
    with ThreadPoolExecutor(cores) as pool:
        images = pool.map(lambda image: session.run([FEATURES], {INPUT: image[np.newaxis]})[0], batch)
        return np.concatenate(list(images))
