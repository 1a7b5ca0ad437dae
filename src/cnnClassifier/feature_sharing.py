"""Frozen features for others: a copy of the store in `features/`, which DVC keeps like data.

Not the store itself: that grows with every run, and DVC would have to be told so each time, or refuse to pull.
"""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

from cnnClassifier.errors import CnnClassifierError, DataError
from cnnClassifier.features.spaces import GB, StoredSpace, survey
from cnnClassifier.files import new_folder

SHARED = Path("features")

log = logging.getLogger(__name__)


def share(store: Path) -> str:
    """Copy the store's spaces to `features/` and hand that to DVC; a line that says what to do next."""
    spaces = survey(store)
    if not spaces:
        raise DataError(f"{store}: no features to share yet; the first training makes them")
    with new_folder(SHARED) as folder:
        for space in spaces:
            _copy(space.folder, folder / space.folder.name)
    done = subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", str(SHARED)], check=False)
    if done.returncode:
        raise CnnClassifierError(f"`dvc add {SHARED}` failed, as it says above")
    return (
        f"{SHARED}/ has {len(spaces)} spaces ({_size(spaces):.2f} GB); commit {SHARED}.dvc and .gitignore, "
        "and `dvc push`: who pulls computes none of them again"
    )


def take(store: Path, shared: Path = SHARED) -> None:
    """Put the shared spaces that the store has not got into it, each whole or not at all. The work of a moment."""
    for space in sorted(shared.iterdir()) if shared.is_dir() else []:
        if space.is_dir() and not (store / space.name).exists():
            log.info("taking the frozen features of %s", space)
            with new_folder(store / space.name) as folder:
                _copy(space, folder)


def _copy(space: Path, folder: Path) -> None:
    """Whole shards: what has no .json yet, or is named partial, is still being written."""
    folder.mkdir(parents=True, exist_ok=True)
    for keys in space.glob("*.json"):
        for file in (keys, keys.with_suffix(".npy")):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)


def _size(spaces: list[StoredSpace]) -> float:
    return sum(space.bytes for space in spaces) / GB
