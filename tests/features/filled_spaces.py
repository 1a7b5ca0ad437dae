"""Feature stores with spaces of a few rows, of which each says which key it has."""

import os
import time
from pathlib import Path

import numpy as np

from cnnClassifier.features.locks import lock_file
from cnnClassifier.features.spaces import survey
from cnnClassifier.features.store import FeatureStore

SHARDS = 3


def row_of(key: str) -> np.ndarray:
    """What a network would say of this key: half precision holds it."""
    return np.full((1, 50), int(key.split("-")[0]), np.float32)


def fill(folder: Path, views: int = 1) -> FeatureStore:
    store = FeatureStore(folder, {"network": f"network {folder.name}"})
    for number in range(SHARDS):
        keys = [f"{number}-view{view}" for view in range(views)]
        store.add(keys, np.concatenate([row_of(key) for key in keys]))
    return store


def filled(root: Path, names: str) -> dict[str, Path]:
    """A closed space for each letter, used in that order, an hour apart."""
    folders = {name: root / name for name in names}
    for hours, folder in enumerate(reversed(folders.values())):
        fill(folder)
        used = time.time() - 3600 * (hours + 1)
        os.utime(lock_file(folder), (used, used))
    return folders


def names(root: Path) -> str:
    return "".join(space.folder.name for space in survey(root))
