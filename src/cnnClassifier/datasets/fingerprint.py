"""What lies in a source that somebody brings, in short: DVC watches no folder, archive or table outside of its own."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnClassifier.config.data import CsvSource, DataIngestionConfig, FolderSource, ZipSource
from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.errors import DataError


def fingerprint(config: DataIngestionConfig) -> str | None:
    """A digest of all names, sizes and times of change in a folder, archive or table with its images.

    None for a source that is drawn or pinned, and for one that is not here: then nothing can be said of it.
    """
    match config.source:
        case FolderSource(path=path) | ZipSource(path=path):
            places = [path]
        case CsvSource(table=table, root=root):
            places = [table, root]
        case _:
            return None
    try:
        lines = [line for place in places for line in sorted(_lines(place, config.exclude))]
    except (OSError, DataError):  # what is wrong there is for data_ingestion to say
        return None
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _lines(place: Path, exclude: Sequence[str]) -> Iterator[str]:
    names = walk_files(place, exclude) if place.is_dir() else [""]
    for name in names:
        facts = (place / name).stat()
        yield f"{name} {facts.st_size} {facts.st_mtime_ns}"
