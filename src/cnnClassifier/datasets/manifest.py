"""The manifest: one row an image, in path order, as CSV that people and DVC can read."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar, get_args

from cnnClassifier.config.data import Split
from cnnClassifier.errors import DataError
from cnnClassifier.files import new_file, read_json, write_json

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class ImageRecord:
    """One readable image.

    `id` is stable for a path, `path` relative to the images folder (posix), `sha256` of the file's
    bytes, `pixel_hash` of the decoded picture (equal for the same picture in two file formats), `mode` and
    `format` as Pillow names them (a DICOM file's are L or RGB, and DICOM), `bytes` the file's size. `group` stands for
    the patient or scan; images of one group belong to one split.
    """

    id: str
    path: str
    label: str
    split: Split
    group: str
    sha256: str
    pixel_hash: str
    width: int
    height: int
    mode: str
    format: str
    bytes: int


@dataclass(frozen=True)
class RejectedFile:
    """A file that was left out, and why."""

    path: str
    reason: str


COLUMNS = tuple(field.name for field in fields(ImageRecord))


def write_manifest(records: Iterable[ImageRecord], path: Path) -> None:
    """Write rows in path order, whatever order they come in."""
    _write_table((asdict(record) for record in sorted(records, key=lambda record: record.path)), COLUMNS, path)


def read_manifest(path: Path) -> list[ImageRecord]:
    """Read a manifest; raise DataError naming the file, and the line where a row is not one."""
    return read_table(path, COLUMNS, _parse_row, "no manifest; run `python main.py data_ingestion` first")


def read_table(
    path: Path, columns: tuple[str, ...], parse: Callable[[dict[str, str], str], RowT], absent: str
) -> list[RowT]:
    """Rows of a CSV table of exactly these columns, each parsed with the words that say where it stands.

    Raises DataError for other columns, and, with `absent`, for a file that is not there.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise DataError(f"{path}: expected the columns {','.join(columns)}. Received: {reader.fieldnames}")
            return [parse(row, f"{path}, line {reader.line_num}") for row in reader]
    except FileNotFoundError:
        raise DataError(f"{path}: {absent}") from None


def write_rejected(rejected: Iterable[RejectedFile], path: Path) -> None:
    """Write the files left out, in path order."""
    rows = (asdict(item) for item in sorted(rejected, key=lambda item: item.path))
    _write_table(rows, ("path", "reason"), path)


def read_rejected(path: Path) -> list[RejectedFile]:
    """Read the files left out; none if the table is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [RejectedFile(row["path"], row["reason"]) for row in csv.DictReader(file)]


@dataclass(frozen=True)
class Classes:
    """Class names in index order; `synthetic`: the images are drawn, not taken of patients; `published`: the splits are
    the source's own, not drawn here.
    """

    names: tuple[str, ...]
    synthetic: bool
    published: bool = True


def write_classes(classes: Classes, path: Path) -> None:
    """Write class names in index order."""
    write_json(asdict(classes), path)


def read_classes(path: Path) -> Classes:
    """Read class names in index order; raise DataError when the file is missing or something else."""
    try:
        content = read_json(path)
        return Classes(tuple(content["names"]), content["synthetic"], content["published"])
    except FileNotFoundError:
        raise DataError(f"{path}: no class names; run `python main.py data_ingestion` first") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a file of class names: {error!r}; run `python main.py data_ingestion`") from None


def digest_records(records: Iterable[ImageRecord]) -> str:
    """sha256 that names a set of labelled images: their bytes and labels, not their names or order."""
    lines = sorted(f"{record.sha256} {record.label}" for record in records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _parse_row(row: dict[str, str], where: str) -> ImageRecord:
    try:
        return ImageRecord(
            **{
                **row,
                "split": _parse_split(row["split"]),
                "width": int(row["width"]),
                "height": int(row["height"]),
                "bytes": int(row["bytes"]),
            }  # type: ignore[arg-type]
        )
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: not a manifest row: {error}") from None


def _parse_split(name: str) -> Split:
    if name not in get_args(Split):
        raise ValueError(f"unknown split {name!r}")
    return name  # type: ignore[return-value]


def _write_table(rows: Iterable[dict[str, object]], columns: Sequence[str], path: Path) -> None:
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
