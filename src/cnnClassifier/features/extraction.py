"""Run images through the frozen part of a model, once each, and keep what it says of them."""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cnnClassifier import augmentation, preprocessing
from cnnClassifier.augmentation import View
from cnnClassifier.batching import batches
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.store import FeatureStore

Forward = Callable[[np.ndarray], np.ndarray]

SHARD = 64  # images a shard: what a kill can cost
BATCH = 16  # images a forward pass: past this the network is no faster, only larger in memory


@dataclass(frozen=True)
class Space:
    """Everything that features depend on but the image and the view."""

    preprocessing: PreprocessingSpec
    trunk_digest: str

    @property
    def key(self) -> str:
        """Names the space; the code that makes pixels is part of it, so an edit there never meets older features."""
        code = "".join(inspect.getsource(module) for module in (preprocessing, augmentation))
        text = f"{self.preprocessing.model_dump_json()}|{self.trunk_digest}|{code}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class FeatureExtractor:
    """Gives the features of images: from the store where they are known, else by a forward pass that fills it."""

    def __init__(self, cache: Path, images: Path, space: Space, forward: Forward) -> None:
        self.store = FeatureStore(cache / "features" / space.key)
        self.images = images
        self.space = space
        self.forward = forward

    def ensure(self, records: Sequence[ImageRecord], views: Sequence[View]) -> None:
        """Compute what the store lacks, shard by shard, with progress; what is done survives a kill."""
        wanted = {feature_key(record, view): (record, view) for record in records for view in views}
        todo = sorted(self.store.missing(wanted))
        with (
            ThreadPoolExecutor(max_workers=2) as pool,
            tqdm(total=len(todo), desc="features", unit="image", disable=None) as progress,
        ):
            shards = list(batches(todo, SHARD))
            # The next shard is decoded while the network works on this one.
            ahead = (pool.submit(self._pixels, [wanted[key] for key in shard]) for shard in shards)
            waiting = list(islice(ahead, 2))
            for shard in shards:
                pixels = waiting.pop(0).result()
                waiting.extend(islice(ahead, 1))
                self.store.add(shard, self._forward(pixels))
                progress.update(len(shard))

    def read(self, records: Sequence[ImageRecord], view: View) -> np.ndarray:
        """Features of one view of each record, float32 (n, *shape)."""
        return self.read_views([(record, view) for record in records])

    def read_views(self, items: Sequence[tuple[ImageRecord, View]]) -> np.ndarray:
        """Features of each record in its own view, float32 (n, *shape)."""
        return self.store.read([feature_key(record, view) for record, view in items])

    def _pixels(self, items: Sequence[tuple[ImageRecord, View]]) -> np.ndarray:
        return np.stack([self._view_of(record, view) for record, view in items])

    def _view_of(self, record: ImageRecord, view: View) -> np.ndarray:
        data = (self.images / record.path).read_bytes()
        return view.apply(preprocessing.preprocess(data, self.space.preprocessing), record.sha256)

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        return np.concatenate([self.forward(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)])


def feature_key(record: ImageRecord, view: View) -> str:
    """Names an image's view in a store: by the image's bytes, not its path."""
    return f"{record.sha256}-{view.key}"
