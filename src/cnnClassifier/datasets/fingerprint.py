"""A digest of a source that a user brings: DVC does not watch folders, archives or tables outside the project."""

import hashlib
from pathlib import Path

from cnnClassifier.config.data import CsvSource, DataIngestionConfig, FolderSource, ZipSource
from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.datasets.tables import list_table


def fingerprint(config: DataIngestionConfig) -> str | None:
    """A digest of names, sizes and times of change: of a folder's files, an archive, a table and the files it names.

    None for a generated, pinned or missing source (`absent_part`): there is nothing to watch. Raises DataError for one
    that is refused, with the words in which data_ingestion would refuse it.
    """
    if (files := _files(config)) is None:
        return None
    lines = sorted(f"{file} {_state(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def absent_part(config: DataIngestionConfig) -> Path | None:
    """The folder, archive or table of a source that is not here; None for one that is, or that nobody has to bring.

    A folder without files is as one that is not here: what is to be mounted in it is not.
    """
    match config.source:
        case FolderSource(path=path) if not (path.is_dir() and any(walk_files(path, config.exclude))):
            return path
        case ZipSource(path=path) if not path.is_file():
            return path
        case CsvSource(table=table) if not table.is_file():
            return table
        case CsvSource(root=root) if not root.is_dir():
            return root
    return None


def _files(config: DataIngestionConfig) -> list[Path] | None:
    if absent_part(config):
        return None
    match config.source:
        case FolderSource(path=path):
            return [path / name for name in walk_files(path, config.exclude)]
        case ZipSource(path=path):
            return [path]
        case CsvSource(table=table, root=root):
            candidates, misplaced = list_table(config.source, config)
            return [table, *(each.file for each in candidates), *(root / each.path for each in misplaced)]
    return None


def _state(file: Path) -> str:
    try:
        facts = file.stat()
    except OSError:  # a broken link, which is rejected and may be mended
        return "gone"
    return f"{facts.st_size} {facts.st_mtime_ns}"
