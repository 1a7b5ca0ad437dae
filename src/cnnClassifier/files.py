"""Write so that a kill at any moment leaves the old or the new under a name, or nothing, but never a half."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnClassifier.errors import DataError, one_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of writing, all of them


class DamagedFileError(DataError, ValueError):
    """A file does not hold what was written there; as a ValueError for whoever can do without it."""


def write_text(text: str, path: Path) -> None:
    """Write a text file under a temporary name, then rename it."""
    with new_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(content: Any, path: Path) -> None:
    """Write JSON for people and diffs: indented, in the order given."""
    write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", path)


def read_json(path: Path) -> Any:
    """Read a JSON file; DamagedFileError for one that a full disk or a lost machine left empty or cut short."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFileError(
            f"{path}: damaged, it is no JSON: {one_line(error)}; bring a whole copy back, or delete it and run again "
            "what writes it"
        ) from None


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sqlite_to_read(path: Path) -> str:
    """The URI by which SQLite opens a file for reading only (`uri=True`), whatever characters its path has."""
    return f"{path.absolute().as_uri()}?mode=ro"


@contextmanager
def naming_database(path: Path) -> Iterator[None]:
    """DataError with the file for what SQLite says of a disk, of rights, of a damaged file; it names none itself."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: SQLite says: {error}") from None


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Give the error of a full disk the name of the file: of an open one the system does not say it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


def in_utf8(path: str) -> str:
    """A path as text can hold it: bytes that are not UTF-8, which are lone surrogates to Python, as `\\xe4`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextmanager
def new_file(destination: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `destination`, replacing what is there, only if the block succeeds."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".partial")
    try:
        with naming_file(destination):
            yield partial
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `destination`, replacing what is there, only if the block succeeds.

    All that is there is lost: `destinations.check_new_folder` is asked first where a user names the place.
    """
    destination = Path(os.path.realpath(destination))  # a link to a folder stays, and "." has a name
    with scratch_folder(destination.with_name(destination.name + ".partial")) as partial:
        with naming_file(destination):
            yield partial
        # Moved away whole before it is removed: removing takes time, and a kill may come in it.
        with scratch_folder(destination.with_name(destination.name + ".replaced")) as replaced:
            if destination.exists():
                destination.replace(replaced)
            partial.replace(destination)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that is removed with all that is in it at the end of the block, however it ends."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
