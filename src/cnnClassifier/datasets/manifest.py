"""The manifest: one row an image, in path order, as CSV that people and DVC can read."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
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
    the patient or scan; images of one group belong to one split. `votes`: how many annotators chose each class, in the
    order of classes.json; empty where nobody counted, and then `label` is all that is known.
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
    votes: tuple[int, ...] = ()


def group_of_picture(pixel_hash: str) -> str:
    """What an image's group is called where nothing names a patient: after the picture itself."""
    return pixel_hash[:16]


@dataclass(frozen=True)
class RejectedFile:
    """A file that was left out, and why."""

    path: str
    reason: str


VOTES = "votes"
COLUMNS = tuple(field.name for field in fields(ImageRecord) if field.name != VOTES)
ABSENT = "no manifest; run `python main.py data_ingestion` first, then `data_audit`"  # the audit writes one, too


def write_manifest(records: Iterable[ImageRecord], path: Path) -> None:
    """Write rows in path order, whatever order they come in; a column of votes only where somebody voted."""
    records = sorted(records, key=lambda record: record.path)
    columns = (*COLUMNS, VOTES) if any(record.votes for record in records) else COLUMNS
    rows = ({**asdict(record), VOTES: " ".join(map(str, record.votes))} for record in records)
    _write_table(({column: row[column] for column in columns} for row in rows), columns, path)


def read_manifest(path: Path) -> list[ImageRecord]:
    """Read a manifest; raise DataError naming the file, and the line where a row is not one."""
    return read_table(path, COLUMNS, _parse_row, ABSENT, (VOTES,))


def read_dealt(manifest: Path, audited: Path) -> list[ImageRecord]:
    """All images of a manifest, those that the audit left out too, with the splits and groups that it gave them.

    What it left out counts as training: from test it takes nothing but masks, and those are no copies of anything.
    """
    dealt = {record.path: record for record in read_manifest(audited)}
    return [dealt.get(record.path) or _as_training(record) for record in read_manifest(manifest)]


def read_table(
    path: Path,
    columns: tuple[str, ...],
    parse: Callable[[dict[str, str], str], RowT],
    absent: str,
    optional: tuple[str, ...] = (),
) -> list[RowT]:
    """Rows of a CSV table of exactly these columns, each parsed with the words that say where it stands.

    The `optional` ones may stand after them, all or none. Raises DataError for other columns, and, with `absent`, for
    a file that is not there.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) not in (columns, columns + optional):
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
class Drawn:
    """How splits are drawn where a source has none: shares of the groups for valid and test, and the seed."""

    valid: float
    test: float
    seed: int


@dataclass(frozen=True)
class Classes:
    """Class names in index order; `synthetic`: the images are drawn, not taken of patients; `published`: the splits are
    the source's own; where they are not, `drawn` says how to draw them.
    """

    names: tuple[str, ...]
    synthetic: bool
    published: bool = True
    drawn: Drawn | None = None


def write_classes(classes: Classes, path: Path) -> None:
    """Write class names in index order."""
    write_json({name: value for name, value in asdict(classes).items() if value is not None}, path)


def read_classes(path: Path) -> Classes:
    """Read class names in index order; raise DataError when the file is missing or something else."""
    try:
        content = read_json(path)
        given = tuple(content["names"]), content["synthetic"], content["published"]
        return Classes(*given, Drawn(**content["drawn"]) if "drawn" in content else None)
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
                VOTES: tuple(map(int, row.get(VOTES, "").split())),
            }  # type: ignore[arg-type]
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a manifest row: {error}") from None


def _as_training(record: ImageRecord) -> ImageRecord:
    return replace(record, split="train") if record.split == "test" else record


def _parse_split(name: str) -> Split:
    if name not in get_args(Split):
        raise ValueError(f"unknown split {name!r}")
    return name  # type: ignore[return-value]


def _write_table(rows: Iterable[dict[str, object]], columns: Sequence[str], path: Path) -> None:
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
