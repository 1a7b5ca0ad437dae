"""The table of predictions: one row an image in path order, what is known of it and a probability for each class."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError
from cnnClassifier.files import new_file
from cnnClassifier.metrics.classification import Floats, Integers

KNOWN = ["id", "sha256", "path", "group", "label"]
FOLD, PREDICTED = "fold", "predicted"
LARGEST_SUM_ERROR = 1e-3


@dataclass(frozen=True)
class Predictions:
    """Images (n) and their uncalibrated `probabilities` (n, classes), in the table's order.

    `truth` (n,) is the index of each label in `classes`; `folds` (n,) the part each was predicted in, None
    where the images were held out as a whole.
    """

    ids: list[str]
    sha256: list[str]
    paths: list[str]
    groups: NDArray[np.str_]
    labels: list[str]
    truth: Integers
    folds: Integers | None
    probabilities: Floats
    classes: tuple[str, ...]


class Known(NamedTuple):
    """What a table knows of an image."""

    id: str
    sha256: str
    path: str
    group: str
    label: str


def write_predictions(
    records: Sequence[ImageRecord | Known],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    path: Path,
    folds: Integers | None = None,
) -> None:
    """Write records with their rows of probabilities (n, classes) as CSV, in path order.

    Six significant digits, not decimals: calibration must tell a probability of 1e-9 from one of 0.
    """
    order = sorted(range(len(records)), key=lambda row: records[row].path)
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*KNOWN, *([] if folds is None else [FOLD]), PREDICTED, *classes])
        for row in order:
            known = [getattr(records[row], name) for name in KNOWN]
            fold = [] if folds is None else [int(folds[row])]
            predicted = classes[int(probabilities[row].argmax())]
            writer.writerow([*known, *fold, predicted, *(f"{value:.6g}" for value in probabilities[row])])


def write_again(table: Predictions, path: Path) -> None:
    """Write a table that was read, perhaps with other probabilities."""
    known = map(
        Known._make, zip(table.ids, table.sha256, table.paths, table.groups.tolist(), table.labels, strict=True)
    )
    write_predictions(list(known), table.probabilities, table.classes, path, table.folds)


def read_predictions(path: Path, stage: str = "evaluation") -> Predictions:
    """Read a table of predictions; `stage` is the one that writes it.

    Raises DataError naming the file, and the line where a row is wrong: a missing file or column, an unknown label,
    a probability that is none, a row that does not sum to 1, no rows at all.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            rows = [(f"{path}, line {reader.line_num}", row) for row in reader]
    except FileNotFoundError:
        raise DataError(f"{path}: no predictions; run `python main.py {stage}` first") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8: {error}") from None
    has_folds = _check_header(header, path)
    if not rows:
        raise DataError(f"{path}: a header and no predictions; run `python main.py {stage}` again")
    return _parse(rows, header, has_folds)


def folds_of(predictions: Predictions) -> Integers:
    """The fold of each image, (n,); DataError for predictions that are not out-of-fold ones."""
    if predictions.folds is None:
        raise DataError("these predictions name no folds; run `python main.py training` to write out-of-fold ones")
    return predictions.folds


def _check_header(header: list[str], path: Path) -> bool:
    """Whether there is a column of folds; what follows `predicted` are classes, whatever they are called."""
    for has_folds, wanted in ((False, [*KNOWN, PREDICTED]), (True, [*KNOWN, FOLD, PREDICTED])):
        if header[: len(wanted)] == wanted and len(header) > len(wanted) + 1:
            return has_folds
    expected = ",".join([*KNOWN, f"({FOLD})", PREDICTED])
    raise DataError(f"{path}: expected the columns {expected} and two classes or more. Received: {','.join(header)}")


def _parse(rows: Sequence[tuple[str, list[str]]], header: list[str], has_folds: bool) -> Predictions:
    first = len(KNOWN) + has_folds + 1
    classes = tuple(header[first:])
    for where, row in rows:
        _check_row(row, len(header), classes, where)
    ids, sha256, paths, groups, labels = ([row[column] for _, row in rows] for column in range(len(KNOWN)))
    return Predictions(
        ids=ids,
        sha256=sha256,
        paths=paths,
        groups=np.array(groups),
        labels=labels,
        truth=np.array([classes.index(label) for label in labels]),
        folds=np.array(list(_folds(rows))) if has_folds else None,
        probabilities=np.array([_probabilities(row[first:], where) for where, row in rows]),
        classes=classes,
    )


def _check_row(row: list[str], columns: int, classes: Sequence[str], where: str) -> None:
    if len(row) != columns:
        raise DataError(f"{where}: expected {columns} cells. Received: {len(row)}")
    if row[KNOWN.index("label")] not in classes:
        raise DataError(f"{where}: unknown label; expected one of {classes}. Received: {row[KNOWN.index('label')]!r}")


def _folds(rows: Sequence[tuple[str, list[str]]]) -> Iterator[int]:
    for where, row in rows:
        try:
            yield int(row[len(KNOWN)])
        except ValueError:
            raise DataError(f"{where}: expected a fold's number. Received: {row[len(KNOWN)]!r}") from None


def _probabilities(cells: Sequence[str], where: str) -> list[float]:
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise DataError(f"{where}: not a probability: {error}") from None
    if not abs(sum(values) - 1) <= LARGEST_SUM_ERROR or min(values) < 0:
        raise DataError(f"{where}: probabilities must lie in 0 to 1 and sum to 1. Received: {values}")
    return values
