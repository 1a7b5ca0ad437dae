"""Who uses a space of features. The system takes a lock back when its process ends, however it ends.

The lock is a file beside the space's folder, so that it outlives the folder; its date says when the space was used.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TURN = "prune.lock"


def lock_file(folder: Path) -> Path:
    """The lock of a space's folder."""
    return folder.with_name(f"{folder.name}.lock")


def hold(folder: Path) -> int:
    """Mark a space as in use until the descriptor is closed or the process ends; waits while it is being removed."""
    descriptor = _open(lock_file(folder))
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)
    return descriptor


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether nobody uses a space; if so, nobody can begin to before the end of the block."""
    is_new = not lock_file(folder).exists()
    descriptor = _open(lock_file(folder))
    try:
        if is_new and folder.exists():  # looking at a space is no use of it
            os.utime(descriptor, (folder.stat().st_atime, folder.stat().st_mtime))
        yield _take(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def turn(root: Path) -> Iterator[None]:
    """Only one process at a time prunes: two that measure at once would remove twice too much."""
    descriptor = _open(root / TURN)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def last_used(folder: Path) -> float:
    """When a space was last opened or asked for features, in seconds since 1970."""
    return lock_file(folder).stat().st_mtime


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.open(file, os.O_RDWR | os.O_CREAT)
