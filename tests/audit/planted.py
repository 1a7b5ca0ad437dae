"""Phantoms with planted faults as the audit meets them: images on disk, records in memory, and the truth."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnClassifier.audit.facts import Facts, gather_facts
from cnnClassifier.config.data import SPLITS, DataIngestionConfig, PhantomFaults, PhantomSource
from cnnClassifier.datasets.folders import list_folder
from cnnClassifier.datasets.ingest import copy_readable
from cnnClassifier.datasets.manifest import ImageRecord, RejectedFile
from cnnClassifier.datasets.phantom.dataset import CLASSES, write_phantom


@dataclass(frozen=True)
class Planted:
    """A phantom brought in: its images, what was left out, and the rows of truth by path."""

    images: Path
    records: list[ImageRecord]
    rejected: list[RejectedFile]
    facts: Facts
    truth: Mapping[str, Mapping[str, str]]

    def with_fault(self, fault: str) -> set[str]:
        """The paths of the files planted for a fault."""
        return {path for path, row in self.truth.items() if row["fault"] == fault}

    def sources(self, fault: str) -> set[tuple[str, str]]:
        """The planted files of a fault with the file each was made from, as pairs in path order."""
        pairs = ((path, self.truth[path]["source_path"]) for path in self.with_fault(fault))
        return {(min(pair), max(pair)) for pair in pairs}


def plant(
    folder: Path, faults: PhantomFaults | None = None, pattern: str | None = r"/(p\d+)_", **options: Any
) -> Planted:
    """Draw a phantom below a folder and ingest it, groups by patient or, without a pattern, unknown."""
    size = {"patients_per_class": 8, "slices_per_patient": 2, "image_size": 64, **options}
    source = PhantomSource(kind="phantom", faults=faults or PhantomFaults(), **size)
    write_phantom(folder / "phantom", source, workers=1)
    config = DataIngestionConfig(
        seed=1,
        source=source,
        classes={label: [label] for label in CLASSES},
        splits={split: split for split in SPLITS},
        group_pattern=pattern,
    )
    candidates, _ = list_folder(folder / "phantom/images", config)
    records, rejected = copy_readable(candidates, folder / "images")
    with (folder / "phantom/truth.csv").open(newline="", encoding="utf-8") as file:
        truth = {row["path"]: row for row in csv.DictReader(file)}
    return Planted(folder / "images", records, rejected, gather_facts(records, folder / "images"), truth)
