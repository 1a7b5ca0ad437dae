"""Files to ask about: those named, those in folders below, those in .zip archives."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cnnClassifier.archives import Member, is_archive, read_archive
from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.errors import ArchiveError, DataError
from cnnClassifier.files import in_utf8


def list_files(named: Sequence[Path]) -> list[Path]:
    """The files, and all below the folders in path order; hidden ones only where they are named themselves.

    Raises DataError for a name that does not exist, and where there is no file at all.
    """
    if missing := next((path for path in named if not path.exists()), None):
        raise DataError(f"{missing}: no such file or folder")
    files = [file for path in named for file in (_below(path) if path.is_dir() else [path])]
    if not files:
        raise DataError(f"{', '.join(map(str, named))}: no files in there")
    return files


def read_members(path: Path) -> Iterator[Member]:
    """A file's bytes under its path; of an archive, those of each file in it; or why there are none."""
    if (shown := in_utf8(str(path))) != str(path):
        yield Member(shown, error="its name is not UTF-8; rename it")
        return
    if not path.is_file():  # reading a pipe would wait for ever
        yield Member(str(path), error="not a regular file")
        return
    try:
        data = path.read_bytes()
        members = read_archive(data) if is_archive(data) else [Member("", data)]
    except OSError as error:
        members = [Member("", error=f"cannot be read: {error.strerror}")]
    except ArchiveError as error:
        members = [Member("", error=str(error))]
    for member in members:
        yield Member(str(path / member.name), member.data, member.error)


def _below(folder: Path) -> list[Path]:
    """All files there, also those that lie elsewhere and are linked to: links into a data store are a common form."""
    linked: list[str] = []
    return [folder / name for name in sorted([*walk_files(folder, left_out=linked), *linked])]
