"""Feature arrays on disk, by key. Shards appear whole or not at all, so a kill or a second run does no harm."""

import os
import time
import uuid
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.features.locks import hold
from cnnClassifier.files import read_json, write_json

DESCRIPTION = "space.json"
LARGEST = float(np.finfo(np.float16).max)


class Layout(NamedTuple):
    """Where a shard's rows lie in its file: bytes before the first one, and the shape of each."""

    offset: int
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of float16."""
        return int(np.prod(self.shape, dtype=np.int64)) * 2


class FeatureStore:
    """A folder of shards: `<name>.npy`, float16 (n, *shape), and `<name>.json`, its n keys.

    A shard counts once its .json is there; it is written last. Two runs that compute the same key
    write the same values, so either copy will do. space.json, for people, is what `about` says and the features' shape.
    While a store is open no other process prunes its folder.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.about = dict(about or {})
        self._held = hold(folder)
        self._layouts: dict[str, Layout] = {}
        weakref.finalize(self, os.close, self._held)

    @cached_property
    def _index(self) -> dict[str, tuple[str, int]]:
        index: dict[str, tuple[str, int]] = {}
        for keys_file in shard_keys(self.folder):
            for row, key in enumerate(read_json(keys_file)):
                index[key] = (keys_file.stem, row)
        return index

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that have no features yet."""
        os.utime(self._held)
        return {key for key in keys if key not in self._index}

    def add(self, keys: Sequence[str], features: np.ndarray) -> None:
        """Keep one array for each key, in half precision; ModelError for values that do not fit it."""
        if not np.abs(features).max(initial=0) <= LARGEST:
            raise ModelError(
                "the frozen layers give values beyond half precision (65504) or no numbers at all; "
                "check prepare_base_model.weights, or choose another freeze point"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._describe(features.shape[1:])
        name = uuid.uuid4().hex
        partial = self.folder / f"{name}.npy.partial"
        with partial.open("wb") as file:
            np.save(file, features.astype(np.float16))
        partial.replace(self.folder / f"{name}.npy")
        write_json(list(keys), self.folder / f"{name}.json")
        self._index.update({key: (name, row) for row, key in enumerate(keys)})

    def read(self, keys: Sequence[str]) -> np.ndarray:
        """The features of the keys, in their order, float32; raise DataError for a key that has none."""
        by_shard: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for position, key in enumerate(keys):
            shard, row = self._find(key)
            by_shard[shard].append((position, row))
        found: list[np.ndarray] = [np.empty(0)] * len(keys)
        for shard, wanted in by_shard.items():
            for (position, _), features in zip(wanted, self._rows(shard, [row for _, row in wanted]), strict=True):
                found[position] = features
        return np.stack(found, dtype=np.float32)

    def shards(self, keys: Iterable[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """Every shard that holds some of the keys, whole: its own keys, and their features, float16 (n, *shape).

        Raises DataError for a key that has none, or a shard that is cut short.
        """
        for name in sorted({self._find(key)[0] for key in keys}):
            path = self.folder / f"{name}.npy"
            try:
                yield read_json(path.with_suffix(".json")), np.load(path)
            except (EOFError, ValueError):
                raise _cut_short(path) from None

    def _find(self, key: str) -> tuple[str, int]:
        if key not in self._index:
            raise DataError(f"{self.folder}: no features of {key}; they were deleted while in use, run the stage again")
        return self._index[key]

    def _rows(self, shard: str, rows: Sequence[int]) -> list[np.ndarray]:
        """Read where they lie, not through a map: rows in random order of many shards would map and unmap each time."""
        path = self.folder / f"{shard}.npy"
        with path.open("rb", buffering=0) as file:
            layout = self._layouts.get(shard) or self._layouts.setdefault(shard, _layout(file))
            parts = [os.pread(file.fileno(), layout.row_bytes, layout.offset + row * layout.row_bytes) for row in rows]
        if any(len(part) < layout.row_bytes for part in parts):
            raise _cut_short(path)
        return [np.frombuffer(part, np.float16).reshape(layout.shape) for part in parts]

    def _describe(self, shape: tuple[int, ...]) -> None:
        description = self.folder / DESCRIPTION
        if not description.exists():
            # Under a name of its own first: another run may be describing the same space.
            own = self.folder / f"{uuid.uuid4().hex}.partial"
            write_json({**self.about, "shape": shape, "created": time.strftime("%Y-%m-%d %H:%M:%S")}, own)
            own.replace(description)


def shard_keys(folder: Path) -> list[Path]:
    """The files that name the keys of each whole shard."""
    return sorted(file for file in folder.glob("*.json") if file.name != DESCRIPTION)


def _cut_short(path: Path) -> DataError:
    return DataError(f"{path} is cut short; delete it and {path.stem}.json beside it, and run the stage again")


def _layout(file: Any) -> Layout:
    np.lib.format.read_magic(file)
    shape, _, _ = np.lib.format.read_array_header_1_0(file)
    return Layout(file.tell(), tuple(shape[1:]))
