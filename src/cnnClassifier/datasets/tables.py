"""List a CSV table of images: file and label, where it has them split and group."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from cnnClassifier.config.data import CsvSource, DataIngestionConfig, Split, Votes
from cnnClassifier.datasets.candidates import (
    NO_FILE,
    Candidate,
    Listing,
    check_inside,
    find_class,
    find_group,
    in_path_order,
    is_below_excluded,
    refuse_name,
    spellings,
)
from cnnClassifier.datasets.manifest import RejectedFile
from cnnClassifier.errors import DataError


def list_table(source: CsvSource, config: DataIngestionConfig) -> Listing:
    """List a table's rows in path order; a row whose file does not exist is rejected, not fatal.

    Raises DataError for a missing table, root or column, an empty cell, an unknown label or split, a file that
    stands in the table twice and one outside the root.
    """
    return in_path_order(_place_rows(source, config))


def _place_rows(source: CsvSource, config: DataIngestionConfig) -> Iterator[Candidate | RejectedFile]:
    if not source.root.is_dir():
        raise DataError(f"{source.root}: no such folder; correct `data_ingestion.source.root`")
    line_of: dict[str, int] = {}
    for line, row in _read_rows(source):
        where = f"{source.table}, line {line}"
        path = _path_below(source.root, _cell(row, source.file_column, where))
        if is_below_excluded(path, config.exclude):
            continue
        if path in line_of:
            raise DataError(f"{where}: {path} stands in line {line_of[path]} too; keep one row for each image")
        line_of[path] = line
        yield _place(path, row, source, config, where)


def _place(
    path: str, row: dict[str, str], source: CsvSource, config: DataIngestionConfig, where: str
) -> Candidate | RejectedFile:
    if refused := refuse_name(path):
        return refused
    check_inside(source.root / path, source.root, where)
    label = find_class(path, config.classes, where, _cell(row, source.label_column, where))
    split = _find_split(_cell(row, source.split_column, where), config, where) if source.split_column else None
    if not (source.root / path).is_file():
        return RejectedFile(path, NO_FILE)
    # A patient with a space after the number is the same patient.
    group = (row[source.group_column] or "").strip() if source.group_column else find_group(path, config.group_pattern)
    votes = _count_votes(row, source.votes, config, where) if source.votes else ()
    return Candidate(source.root / path, path, label, split, group or None, votes)


def _count_votes(row: dict[str, str], votes: Votes, config: DataIngestionConfig, where: str) -> tuple[int, ...]:
    """Votes in the order of the classes; a class without a column has those that the others leave."""
    counts = {name: _whole_number(_cell(row, column, where), column, where) for name, column in votes.columns.items()}
    rest = votes.of - sum(counts.values())
    if rest < 0 or (rest and len(counts) == len(config.classes)):
        raise DataError(f"{where}: {sum(counts.values())} votes, and `source.votes.of` says {votes.of}")
    return tuple(counts.get(name, rest) for name in config.classes)


def _whole_number(cell: str, column: str, where: str) -> int:
    if not cell.isdecimal():
        raise DataError(f"{where}: column {column!r} must hold a number of votes. Received: {cell!r}")
    return int(cell)


def _path_below(root: Path, cell: str) -> str:
    """A cell's path below the root, without detours and as the file spells it: where it is copied to depends on it."""
    path = Path(os.path.relpath(root / cell, root)).as_posix()
    return next((spelt for spelt in spellings(path) if (root / spelt).is_file()), path)


def _cell(row: dict[str, str], column: str, where: str) -> str:
    if not row[column]:
        raise DataError(f"{where}: nothing in column {column!r}")
    return row[column]


def _find_split(value: str, config: DataIngestionConfig, where: str) -> Split:
    splits = config.splits or {}
    for split, name in splits.items():
        if value == name:
            return split
    raise DataError(f"{where}: unknown split {value!r}; `data_ingestion.splits` names {', '.join(splits.values())}")


def _one_row_per_line(table: Path) -> bool:
    """Whether each line is one row, so that a stray quote did no harm. Otherwise it may have swallowed rows."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        lines = sum(1 for line in file if line.strip())
        file.seek(0)
        return lines == sum(1 for row in csv.reader(file) if row)


def _read_rows(source: CsvSource) -> Iterator[tuple[int, dict[str, str]]]:
    wanted = [source.file_column, source.label_column, source.split_column, source.group_column]
    wanted += source.votes.columns.values() if source.votes else []
    line = 0
    try:
        with source.table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=not _one_row_per_line(source.table))
            missing = [column for column in wanted if column and column not in (reader.fieldnames or [])]
            if missing:
                raise DataError(f"{source.table}: no column {missing[0]!r}; it has {reader.fieldnames}")
            for row in reader:
                line = reader.line_num
                yield line, row
    except OSError as error:
        raise DataError(f"{source.table}: {error.strerror}; correct `data_ingestion.source.table`") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{source.table}: not a CSV table in UTF-8: {error}") from None
    except csv.Error as error:
        where = f"{source.table}, line {line + 1} or below"
        raise DataError(f"{where}: {error}; correct the double quotes: one is too many, or is not closed") from None
