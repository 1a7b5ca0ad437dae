"""Bring a source's files to a local folder: Kaggle, a zip, a folder, a table, or the phantom."""

import lzma
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from cnnClassifier.config.data import (
    CsvSource,
    DataIngestionConfig,
    FolderSource,
    KaggleSource,
    PhantomSource,
    ZipSource,
)
from cnnClassifier.datasets.candidates import Listing
from cnnClassifier.datasets.folders import list_folder
from cnnClassifier.datasets.tables import list_table
from cnnClassifier.errors import DataError, one_line

# A cut or garbled archive; RuntimeError: one that needs a password; NotImplementedError: an unknown compression.
BROKEN_ARCHIVE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)


def find_candidates(config: DataIngestionConfig, work: Path) -> Listing:
    """Fetch the configured source and list its files in path order.

    What has to be made or unpacked goes below `work`. Raises DataError when the source cannot be had.
    """
    match config.source:
        case CsvSource():
            return list_table(config.source, config)
        case FolderSource(path=path):
            return list_folder(path, config)
        case KaggleSource():
            return list_folder(download_kaggle(config.source), config)
        case ZipSource():
            return _list_zip(config.source, config, work / "zip")
        case PhantomSource():
            from cnnClassifier.datasets.phantom.dataset import write_phantom

            write_phantom(work / "phantom", config.source)
            return list_folder(work / "phantom" / "images", config)


def _list_zip(source: ZipSource, config: DataIngestionConfig, unpacked: Path) -> Listing:
    folder = unpack_zip(source, unpacked)
    try:
        return list_folder(folder, config)
    except DataError as error:  # the unpacked files are gone by the time somebody reads of them
        raise DataError(str(error).replace(str(unpacked), str(source.path))) from None


def download_kaggle(source: KaggleSource) -> Path:
    """The folder of a Kaggle data set's pinned version, from kagglehub's cache or, failing that, the network."""
    import kagglehub
    from kagglehub.exceptions import DataCorruptionError

    try:
        folder = Path(kagglehub.dataset_download(source.dataset))
    # OSError: also what `requests` raises, without a network or for an answer such as 404.
    except (OSError, ValueError, DataCorruptionError, *BROKEN_ARCHIVE) as error:
        raise DataError(
            f"kaggle {source.dataset}: {one_line(error)}; check the network and the name, "
            "or download it elsewhere and set KAGGLEHUB_CACHE to its cache folder, or use source kind `zip`"
        ) from None
    return _sub_folder(folder, source.root, f"kaggle {source.dataset}")


def unpack_zip(source: ZipSource, destination: Path) -> Path:
    """Unpack an archive; DataError for one that is no file, damaged or locked, or has a member that lands outside."""
    destination.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(source.path) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(member, source.path)
            _check_names_differ(members, source.path)
            for member in tqdm(members, desc="unpack", unit="file", disable=None):
                archive.extract(member, destination)
    except FileNotFoundError:
        raise DataError(f"{source.path}: no such file; correct `data_ingestion.source.path`") from None
    except OSError as error:  # a folder, one that may not be read, a full disk
        why = error.strerror or error
        raise DataError(f"{source.path}: cannot be unpacked: {why}; correct `data_ingestion.source.path`") from None
    except BROKEN_ARCHIVE as error:
        raise DataError(f"{source.path}: not a whole zip archive: {one_line(error)}") from None
    return _sub_folder(destination, source.root, str(source.path))


def _check_member(member: zipfile.ZipInfo, archive: Path) -> None:
    # Some Windows programs write backslashes, against the format; unpacked here, they would stay in the names.
    member.filename = member.filename.replace("\\", "/")
    name = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if name.is_absolute() or ".." in name.parts or is_link:
        fault = "is a link" if is_link else "would land outside the data's root"
        raise DataError(f"{archive}: {member.filename!r} {fault}; refusing the archive")


def _check_names_differ(members: Sequence[zipfile.ZipInfo], archive: Path) -> None:
    """Of two different members of one name, however they spell it, the later would replace the earlier in silence."""
    whole = [member for member in members if not member.is_dir()]
    files = {(PurePosixPath(member.filename).as_posix(), member.CRC, member.file_size) for member in whole}
    names = Counter(name for name, _, _ in files if not any(step.startswith(".") for step in name.split("/")))
    for name, times in names.items():
        if times > 1:
            raise DataError(f"{archive}: {name!r} is in it {times} times; pack it again with a name for each picture")


def _sub_folder(folder: Path, root: str, what: str) -> Path:
    if not (folder / root).is_dir():
        there = ", ".join(sorted(entry.name for entry in folder.iterdir()))
        raise DataError(
            f"{what}: there is no folder {root!r} in it; `data_ingestion.source.root` may be one of: {there}"
        )
    return folder / root
