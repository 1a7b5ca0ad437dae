"""Feature arrays on disk, by key. Shards appear whole or not at all, so a kill or a second run does no harm."""

import json
import uuid
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.files import write_json

OPEN_SHARDS = 256  # memory maps held at a time: each costs a file handle, and 1024 of those is a common limit
LARGEST = float(np.finfo(np.float16).max)


class FeatureStore:
    """A folder of shards: `<name>.npy`, float16 (n, *shape), and `<name>.json`, its n keys.

    A shard counts once its .json is there; it is written last. Two runs that compute the same key
    write the same values, so either copy will do.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = lru_cache(OPEN_SHARDS)(self._map)

    @cached_property
    def _index(self) -> dict[str, tuple[str, int]]:
        index: dict[str, tuple[str, int]] = {}
        for keys_file in sorted(self.folder.glob("*.json")):
            for row, key in enumerate(json.loads(keys_file.read_text(encoding="utf-8"))):
                index[key] = (keys_file.stem, row)
        return index

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that have no features yet."""
        return {key for key in keys if key not in self._index}

    def add(self, keys: Sequence[str], features: np.ndarray) -> None:
        """Keep one array for each key, in half precision; ModelError for values that do not fit it."""
        if not np.abs(features).max(initial=0) <= LARGEST:
            raise ModelError(
                "the frozen layers give values beyond half precision (65504) or no numbers at all; "
                "check prepare_base_model.weights, or choose another freeze point"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        partial = self.folder / f"{name}.npy.partial"
        with partial.open("wb") as file:
            np.save(file, features.astype(np.float16))
        partial.replace(self.folder / f"{name}.npy")
        write_json(list(keys), self.folder / f"{name}.json")
        self._index.update({key: (name, row) for row, key in enumerate(keys)})

    def read(self, keys: Sequence[str]) -> np.ndarray:
        """The features of the keys, in their order, float32; raise DataError for a key that has none."""
        return np.stack([self._row(key) for key in keys])

    def _row(self, key: str) -> np.ndarray:
        if key not in self._index:
            raise DataError(f"{self.folder}: no features of {key}; they were deleted while in use, run the stage again")
        shard, row = self._index[key]
        # A copy: a view would keep the whole shard's file open.
        features: np.ndarray = self._open(shard)[row].astype(np.float32)
        return features

    def _map(self, shard: str) -> np.ndarray:
        mapped: np.ndarray = np.load(self.folder / f"{shard}.npy", mmap_mode="r")
        return mapped
