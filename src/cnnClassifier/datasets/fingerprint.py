"""What lies in a source that somebody brings, in short: DVC watches no folder, archive or table outside of its own."""

import hashlib
from pathlib import Path

from cnnClassifier.config.data import CsvSource, DataIngestionConfig, FolderSource, ZipSource
from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.datasets.tables import list_table
from cnnClassifier.errors import DataError


def fingerprint(config: DataIngestionConfig) -> str | None:
    """A digest of names, sizes and times of change: of a folder's files, an archive, a table and the files it names.

    None for a source that is drawn or pinned, and for one that is not here or is refused: then nothing can be said.
    """
    try:
        files = _files(config)
    except DataError:  # what is wrong there is for data_ingestion to say
        return None
    lines = sorted(f"{file} {_state(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest() if lines else None


def _files(config: DataIngestionConfig) -> list[Path]:
    match config.source:
        case FolderSource(path=path) if path.is_dir():
            return [path / name for name in walk_files(path, config.exclude)]
        case ZipSource(path=path) if path.is_file():
            return [path]
        case CsvSource(table=table, root=root) if table.is_file():
            candidates, misplaced = list_table(config.source, config)
            return [table, *(each.file for each in candidates), *(root / each.path for each in misplaced)]
    return []


def _state(file: Path) -> str:
    try:
        facts = file.stat()
    except OSError:  # a broken link, which is rejected and may be mended
        return "gone"
    return f"{facts.st_size} {facts.st_mtime_ns}"
