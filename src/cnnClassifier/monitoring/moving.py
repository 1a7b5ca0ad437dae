"""A log may be moved, deleted or replaced while it is open: which file a name stands for, and what lies beside it.

SQLite finds `-wal` and `-shm` by name. Those of a file that has gone are still in use by whoever has it open, so no
other file may share them: they are taken away, which takes them from nobody who has them open.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BESIDE = ("-wal", "-shm")

Identity = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """What stood under a log's name, and beside it; None for what did not."""

    file: Identity | None
    shared: Identity | None

    @classmethod
    def of(cls, path: Path) -> "Place":
        """What stands there now."""
        return cls(_identity(path), _identity(_beside(path, "-shm")))


def make_room(path: Path) -> None:
    """An empty file where there is none; OSError where the folder does not let it."""
    if path.exists():
        return
    with turn(path):
        if not path.exists():
            _clear(path)
            path.touch()


def leave(path: Path, place: Place) -> None:
    """Clear the way for another file than the one of `place`, unless somebody has begun it already."""
    with turn(path):
        if Place.of(path).shared == place.shared:
            _clear(path)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """One at a time in a log's folder: else one would take away what another has just begun."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(path: Path) -> None:
    for ending in BESIDE:
        _beside(path, ending).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return Path(os.path.realpath(path) + ending)  # SQLite follows links, too


def _identity(path: Path) -> Identity | None:
    """What stays the same of a file while it is open, and differs in any other."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
