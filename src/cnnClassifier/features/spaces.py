"""What the feature store holds as a whole, and keeping it below its limit: the least recently used spaces go."""

import logging
import math
import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnClassifier.features.locks import alone, last_used, turn
from cnnClassifier.features.store import DESCRIPTION, shard_keys
from cnnClassifier.files import read_json

FOLDER = "features"
GB = 1e9
DOOMED = ".removed"
BEGUN = (".partial", ".replaced")  # what `files.new_folder` calls a space that is being taken

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredSpace:
    """One folder of features: its size, when it was last used (seconds since 1970), whether it is in use now, and
    what space.json says of it (empty for a space without one).
    """

    folder: Path
    bytes: int
    last_used: float
    in_use: bool
    description: dict[str, Any]

    @property
    def network(self) -> str:
        """The network in words."""
        return str(self.description.get("network") or "unknown network")

    def count(self) -> tuple[int, int]:
        """How many images it holds features of, and in how many views; of a space pruned meanwhile, those read."""
        keys: set[str] = set()
        with suppress(FileNotFoundError):
            for file in shard_keys(self.folder):
                keys.update(read_json(file))
        images, views = ({key.split("-", 1)[part] for key in keys} for part in (0, 1))
        return len(images), len(views)


@dataclass(frozen=True)
class Pruned:
    """What pruning took away, and what there is now."""

    removed: list[StoredSpace]
    leftover_files: int
    total: int

    def __str__(self) -> str:
        freed = sum(space.bytes for space in self.removed) / GB
        names = ", ".join(f"{space.network} [{space.folder.name[:8]}]" for space in self.removed)
        spaces = f"{len(self.removed)} spaces ({freed:.2f} GB): {names}" if self.removed else "no space"
        return f"removed {spaces}; {self.leftover_files} files that killed runs left; {self.total / GB:.2f} GB remain"


def root_of(cache: Path) -> Path:
    """Where the spaces lie below a project's cache."""
    return cache / FOLDER


def spaces_in(root: Path) -> list[Path]:
    """The folders of spaces below a store's folder, none if it is not there; not those half taken or half removed."""
    folders = (folder for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else ()
    return [folder for folder in folders if DOOMED not in folder.name and folder.suffix not in BEGUN]


def survey(root: Path) -> list[StoredSpace]:
    """The spaces below the store's folder, the one used longest ago first."""
    return sorted(map(_look_at, spaces_in(root)), key=lambda space: (space.last_used, space.folder))


def prune(root: Path, limit: float, spared_from: float = math.inf) -> Pruned:
    """Remove what killed runs left, then least recently used spaces until the rest is at most `limit` bytes.

    A space that is in use, or was used at `spared_from` (seconds since 1970) or later, stays.
    """
    if not root.is_dir():
        return Pruned([], 0, 0)
    with turn(root):
        leftovers = _remove_leftovers(root)
        spaces = survey(root)
        total = sum(space.bytes for space in spaces)
        removed = []
        for space in spaces:
            if total > limit and space.last_used < spared_from and _remove(space.folder):
                removed.append(space)
                total -= space.bytes
    return Pruned(removed, leftovers, total)


def keep_below(root: Path, limit: float, run_began: float) -> None:
    """After a run: if the store has outgrown its limit (bytes), remove spaces that the run did not use, and say so."""
    if sum(space.bytes for space in survey(root)) <= limit:
        return
    pruned = prune(root, limit, spared_from=run_began)
    log.info("feature store beyond %.2f GB (features.limit_gb): %s", limit / GB, pruned)
    if pruned.total > limit:
        log.warning("what is in use fills the feature store beyond its limit; raise features.limit_gb if runs repeat")


def _look_at(folder: Path) -> StoredSpace:
    with alone(folder) as free:
        return StoredSpace(folder, _bytes_in(folder), last_used(folder), not free, _description(folder))


def _description(folder: Path) -> dict[str, Any]:
    try:
        return dict(read_json(folder / DESCRIPTION))
    except (FileNotFoundError, TypeError, ValueError):  # it is for people only
        return {}


def _bytes_in(folder: Path) -> int:
    """Sizes of a folder's files; those that are renamed or removed meanwhile count nothing."""
    total = 0
    with suppress(FileNotFoundError):
        for file in list(folder.iterdir()):
            with suppress(FileNotFoundError):
                total += file.stat().st_size
    return total


def _remove(folder: Path) -> bool:
    """Remove a space unless somebody uses it. It goes whole: a kill leaves a folder that is no space any more."""
    doomed = folder.with_name(f"{folder.name}{DOOMED}-{uuid.uuid4().hex}")
    with alone(folder) as free:
        if free:
            folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
    return free


def _remove_leftovers(root: Path) -> int:
    """What killed prunings and takings left and, in spaces that nobody uses, killed writers; how many files it was."""
    files = sum(map(_remove_all, root.glob(f"*{DOOMED}-*")))
    files += sum(_remove_begun(folder) for ending in BEGUN for folder in root.glob(f"*{ending}"))
    return files + sum(_clean(space.folder) for space in survey(root))


def _remove_begun(folder: Path) -> int:
    """Remove what a killed process had begun to take, unless another has the space's place and so is taking it now."""
    with alone(folder.with_suffix("")) as free:
        return _remove_all(folder) if free and folder.is_dir() else 0  # it may have been taken by now


def _remove_all(folder: Path) -> int:
    files = len(list(folder.iterdir()))
    shutil.rmtree(folder)
    return files


def _clean(folder: Path) -> int:
    with alone(folder) as free:
        left = _unfinished(folder) if free else []
        for file in left:
            file.unlink()
    return len(left)


def _unfinished(folder: Path) -> list[Path]:
    """Half-written files, and shards that never got their keys."""
    keyless = [shard for shard in folder.glob("*.npy") if not shard.with_suffix(".json").exists()]
    return [*folder.glob("*.partial"), *keyless]
