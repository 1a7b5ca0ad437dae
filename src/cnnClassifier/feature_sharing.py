"""Frozen features for others: a copy of the store in `features/`, which DVC keeps like data.

Not the store itself: that grows with every run, and DVC would have to be told so each time, or refuse to pull.
"""

import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cnnClassifier.errors import CnnClassifierError, DataError
from cnnClassifier.features.locks import alone
from cnnClassifier.features.spaces import GB, StoredSpace, spaces_in, survey
from cnnClassifier.files import new_folder

SHARED = Path("features")
PATIENCE = 0.2  # seconds between looks at a space that another process is taking

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
    """Put the shared spaces that the store has not got into it, each whole or not at all. The work of a moment.

    Where another process is at it, this one waits: two would fill one folder.
    """
    for space in sorted(spaces_in(shared)):
        place = store / space.name
        if not _taken(space, place):
            log.info("%s: another process is at it; waiting until it is there", place)
            while not _taken(space, place):
                time.sleep(PATIENCE)


def _taken(space: Path, place: Path) -> bool:
    """Copy a space to its place, unless it is there or is being filled by who uses it; False while another takes it."""
    if place.exists():
        return True
    with alone(place.with_name(f"{place.name}.taking")) as first:
        if first:
            with alone(place) as unused:
                if unused and not place.exists():
                    log.info("taking the frozen features of %s", space)
                    with new_folder(place) as folder:
                        _copy(space, folder)
        return first


def _copy(space: Path, folder: Path) -> None:
    """Whole shards: what has no .json yet, or is named partial, is still being written."""
    folder.mkdir(parents=True, exist_ok=True)
    for keys in space.glob("*.json"):
        for file in (keys, keys.with_suffix(".npy")):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)


def _size(spaces: list[StoredSpace]) -> float:
    return sum(space.bytes for space in spaces) / GB
