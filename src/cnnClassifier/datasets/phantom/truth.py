"""The truth table: what every file of a phantom is, faults included. Column names are documented in docs/phantom.md."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from cnnClassifier.config.data import Split

TRUTH_FILE = "truth.csv"


@dataclass(frozen=True)
class Truth:
    """One image file. `path` and `source_path` are relative to images/; lesion figures are in its pixels."""

    path: str
    patient: str
    slice: int | None
    split: Split
    label: str
    lesion_row: float | None = None
    lesion_column: float | None = None
    lesion_diameter: float | None = None
    fault: str = ""
    source_path: str = ""


def measure_lesion(truth: Truth, mask: np.ndarray | None) -> Truth:
    """Note the lesion's middle and the diameter of a disc of its area; nothing for an empty mask or None."""
    if mask is None or not mask.any():
        return replace(truth, lesion_row=None, lesion_column=None, lesion_diameter=None)
    rows, columns = np.nonzero(mask)
    return replace(
        truth,
        lesion_row=round(float(rows.mean()), 1),
        lesion_column=round(float(columns.mean()), 1),
        lesion_diameter=round(float(2 * np.sqrt(len(rows) / np.pi)), 1),
    )


def write_truth(rows: Iterable[Truth], folder: Path) -> None:
    """Write truth.csv, in path order."""
    names = [field.name for field in fields(Truth)]
    with (folder / TRUTH_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["class" if name == "label" else name for name in names])
        for row in sorted(rows, key=lambda row: row.path):
            writer.writerow([getattr(row, name) for name in names])
