"""The files of an uploaded .zip, in memory: nothing is written, no name is used as a path, nothing grows unbounded."""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from cnnClassifier.errors import ArchiveError

FILE_HEADER, DIRECTORY_HEADER, END, END_64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07"
END_SIZE, LONGEST_COMMENT = 22, 0xFFFF
LOCAL_SIZE = 30

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others may ask for gigabytes, or are not read by all
ENCRYPTED = 0x1
CHUNK = 2**16
LONGEST_NAME = 100

# Files that systems put beside those that people choose; a DICOMDIR lists a series and is no picture.
CLUTTER = {"thumbs.db", "desktop.ini", "dicomdir"}

# What zipfile raises for a damaged file, beside its own BadZipFile.
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, OSError, OverflowError, RuntimeError,
    ValueError, IndexError,
)  # fmt: skip


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold: entries, files among them, bytes of one and of all once inflated, and their growth."""

    entries: int = 1000
    files: int = 1000
    member_bytes: int = 32 * 2**20
    total_bytes: int = 256 * 2**20
    ratio: int = 300
    ratio_from: int = 2**20  # smaller ones may grow as they like: an empty slice does


@dataclass(frozen=True)
class Member:
    """A file of an archive: the end of its name, for people to see, and its bytes, or why it has none."""

    name: str
    data: bytes | None = None
    error: str | None = None


def is_archive(data: bytes) -> bool:
    """Whether these bytes begin as a .zip does."""
    return data.startswith((FILE_HEADER, END))


def read_archive(data: bytes, limits: ArchiveLimits | None = None, before: Sequence[Member] = ()) -> list[Member]:
    """The files of a .zip in the order that people count in (2 before 10), folders and systems' clutter left out.

    A file that cannot be had is a member with an error. Raises ArchiveError, before anything is inflated, for what is
    no .zip, holds no file or more than the limits allow, or is built to grow. What came `before`, in archives of the
    same request, counts against the limits on files and on all their bytes.
    """
    limits = limits or ArchiveLimits()
    _check_directory(data, limits)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if _is_wanted(entry)]
            if not entries:
                raise ArchiveError("the archive holds no files")
            _check_together(archive, len(entries), limits, before)
            _check_apart(archive)
            return list(_read_all(archive, sorted(entries, key=_natural), limits))
    except UnicodeDecodeError:
        raise ArchiveError("the archive has a file name that is no text; make it again") from None
    except ZIP_ERRORS:
        raise ArchiveError("the archive is damaged") from None


def _check_directory(data: bytes, limits: ArchiveLimits) -> None:
    """Count the entries before zipfile makes an object of each."""
    end = data.rfind(END, max(0, len(data) - END_SIZE - LONGEST_COMMENT))
    if end < 0 or end + END_SIZE > len(data):
        raise ArchiveError("not a .zip archive, or cut short")
    if data[end - 20 : end - 16] == END_64:
        raise ArchiveError("the archive is of the kind for more than 4 GB (ZIP64); make a plain .zip")
    stated, size = struct.unpack_from("<HI", data, end + 10)
    if size > end:
        raise ArchiveError("the archive is damaged")
    if max(stated, data.count(DIRECTORY_HEADER, end - size, end)) > limits.entries:
        raise ArchiveError(f"the archive holds more than the {limits.entries:,} files allowed")


def _check_together(archive: zipfile.ZipFile, files: int, limits: ArchiveLimits, before: Sequence[Member]) -> None:
    """Compare files and bytes, with those that are held already, with what may be held."""
    if len(before) + files > limits.files:
        raise ArchiveError(f"{len(before) + files:,} files are more than the {limits.files:,} taken at a time")
    size = sum(len(member.data or b"") for member in before) + sum(entry.file_size for entry in archive.infolist())
    if size > limits.total_bytes:
        whose = "with the files before it, the archive holds" if before else "the archive holds"
        raise ArchiveError(f"{whose} more than the {limits.total_bytes // 2**20} MB allowed")


def _check_apart(archive: zipfile.ZipFile) -> None:
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    edges = [*(entry.header_offset for entry in entries[1:]), archive.start_dir]
    for entry, edge in zip(entries, edges, strict=True):
        if entry.header_offset + LOCAL_SIZE + entry.compress_size > edge:
            raise ArchiveError("the archive has files that overlap")


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    steps = _steps(entry)
    return not (
        entry.is_dir()
        or any(step == "__MACOSX" or (step.startswith(".") and step.strip(".")) for step in steps)
        or steps[-1].lower() in CLUTTER
    )


def _steps(entry: zipfile.ZipInfo) -> list[str]:
    return entry.filename.replace("\\", "/").split("/")


def _natural(entry: zipfile.ZipInfo) -> list[tuple[bool, int, str]]:
    """A key that puts slice 2 before slice 10. No int(): it refuses thousands of digits."""
    parts = re.split(r"([0-9]+)", entry.filename.lower())
    return [
        (True, len(part.lstrip("0")), part.lstrip("0")) if part[:1].isdigit() and part.isascii() else (False, 0, part)
        for part in parts
    ]


def _read_all(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], limits: ArchiveLimits) -> Iterator[Member]:
    names: set[str] = set()
    for entry in entries:
        yield _read(archive, entry, _unused(_shown(entry), names), limits)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, limits: ArchiveLimits) -> Member:
    if refusal := _refusal(entry, limits):
        return Member(name, error=refusal)
    try:
        data = _inflate(archive, entry, limits)
    except ZIP_ERRORS:
        return Member(name, error="damaged in the archive")
    if is_archive(data):
        return Member(name, error="an archive within the archive is not opened")
    return Member(name, data)


def _refusal(entry: zipfile.ZipInfo, limits: ArchiveLimits) -> str | None:
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "not a file but a link or a device"
    if entry.flag_bits & ENCRYPTED:
        return "encrypted"
    if entry.compress_type not in METHODS:
        return "compressed in another way than .zip files commonly are"
    if entry.file_size > limits.member_bytes:
        return f"larger than the {limits.member_bytes // 2**20} MB allowed"
    if entry.file_size > limits.ratio_from and entry.file_size > limits.ratio * entry.compress_size:
        return f"grows more than {limits.ratio}-fold when it is read"
    return None


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: ArchiveLimits) -> bytes:
    """A member's bytes. zipfile stops at the size that the directory states, which was checked, and checks the sum."""
    parts, size = [], 0
    with archive.open(entry) as stream:
        while part := stream.read(CHUNK):
            size += len(part)
            if size > limits.member_bytes:
                raise zipfile.BadZipFile
            parts.append(part)
    return b"".join(parts)


def _shown(entry: zipfile.ZipInfo) -> str:
    """The last step of a name, printable and short."""
    name = "".join(character if character.isprintable() else "?" for character in _steps(entry)[-1])
    return name[-LONGEST_NAME:] or "?"


def _unused(name: str, names: set[str]) -> str:
    """The name, or with a number behind it if another file has it too."""
    shown, count = name, 1
    while shown in names:
        count += 1
        shown = f"{name} ({count})"
    names.add(shown)
    return shown
