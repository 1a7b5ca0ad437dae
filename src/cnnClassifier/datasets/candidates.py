"""A file that a source offers, and what its place says of it: class, split, group. Nothing here opens an image."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from cnnClassifier.config.data import Split
from cnnClassifier.datasets.manifest import RejectedFile
from cnnClassifier.errors import DataError

# Control characters break the manifest's lines; what is not UTF-8 (to Python, lone surrogates) cannot be written there.
UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Candidate:
    """A file that may be an image. `path` is relative to the source's root; split and group are None where unknown,
    `votes` empty.
    """

    file: Path
    path: str
    label: str
    split: Split | None
    group: str | None
    votes: tuple[int, ...] = ()


Listing = tuple[list[Candidate], list[RejectedFile]]

NO_CLASS = "not in a class folder"
NO_FILE = "no such file"
LEADS_OUT = "a link that leads out of the folder"


def in_path_order(found: Iterable[Candidate | RejectedFile]) -> Listing:
    """Candidates and rejected files apart, each in path order, whatever order they come in."""
    found = sorted(found, key=lambda item: item.path)
    return (
        [item for item in found if isinstance(item, Candidate)],
        [item for item in found if isinstance(item, RejectedFile)],
    )


def class_folder(below: str) -> str | None:
    """The folder that tells a file's class, the first of its path below the root or its split; None for one in none."""
    folder, found, _ = below.partition("/")
    return folder if found else None


def find_class(path: str, classes: dict[str, list[str]], where: str, cell: str | None = None) -> str:
    """The one class whose patterns match a path like "class folder/file.png"; DataError for none or several.

    A pattern without a slash is matched against the first folder, one with a slash against the whole path. A table's
    cell stands for a class folder above the path, and may have slashes itself.
    """
    folder, path = (path.split("/", 1)[0], path) if cell is None else (cell, f"{cell}/{path}")
    matches = [
        name for name, patterns in classes.items() if any(_is_meant(pattern, folder, path) for pattern in patterns)
    ]
    if len(matches) == 1:
        return matches[0]
    fault = f"belongs to several classes: {', '.join(matches)}" if matches else "belongs to no class"
    raise DataError(
        f"{where}: {path!r} {fault}; correct the patterns of `data_ingestion.classes` or exclude {folder!r}"
    )


def spellings(name: str) -> tuple[str, ...]:
    """A name as it is, and with accents as one character and as two: some file systems change one for the other."""
    return name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


def _is_meant(pattern: str, folder: str, path: str) -> bool:
    """Whether a pattern means a folder by its very name, which may have brackets, or matches it or the path."""
    asked = spellings(path if "/" in pattern else folder)
    return folder == pattern or any(map(fnmatchcase, asked, spellings(pattern)))


def find_group(path: str, pattern: str | None) -> str | None:
    """The group a path states: the pattern's first capture that took part; None where it does not match."""
    match = re.search(pattern, path) if pattern else None
    return next((capture for capture in match.groups() if capture is not None), None) if match else None


def is_excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches a path or the name at its end."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def is_below_excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches a path or a folder above it."""
    steps = [PurePosixPath(path), *PurePosixPath(path).parents[:-1]]
    return any(is_excluded(step.as_posix(), patterns) for step in steps)


def refuse_name(path: str) -> RejectedFile | None:
    """The rejection of a path that the manifest cannot hold; None for all others."""
    if not UNUSABLE.search(path):
        return None
    shown = UNUSABLE.sub(lambda character: f"\\x{ord(character[0]) & 0xFF:02x}", path)
    return RejectedFile(shown, "its name has control characters or is not UTF-8; rename it")


def is_inside(file: Path, root: Path) -> bool:
    """Whether a file or folder, wherever its spelling or a link leads, lies below the root."""
    # realpath, not Path.resolve: in Python 3.11 that raises RuntimeError for a link to itself.
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root))


def check_inside(file: Path, root: Path, where: str) -> None:
    """Raise DataError for a file or folder that really lies outside the root, by its spelling or by a link."""
    if not is_inside(file, root):
        raise DataError(f"{where}: {file} lies outside the data's root {root}; move it in or exclude it")
