"""Runs data_ingestion for real in a folder of its own, and reads back what it wrote."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.config.data import DataIngestionConfig
from cnnClassifier.config.loading import load_project
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from imports import ROOT
from pictures import CLASSES

OWN_SPLITS = {"train": "train", "valid": "valid", "test": "test"}


@dataclass(frozen=True)
class Ingested:
    """The outputs of a run."""

    paths: Paths

    @property
    def records(self) -> list[ImageRecord]:
        """The manifest's rows."""
        return read_manifest(self.paths.manifest)

    @property
    def by_path(self) -> dict[str, ImageRecord]:
        """The manifest's rows by path."""
        return {record.path: record for record in self.records}

    @property
    def rejected(self) -> dict[str, str]:
        """The reason for each file left out."""
        with self.paths.rejected.open(newline="", encoding="utf-8") as file:
            return {row["path"]: row["reason"] for row in csv.DictReader(file)}

    @property
    def images(self) -> list[str]:
        """The paths of the copied images."""
        files = (file for file in self.paths.images.rglob("*") if file.is_file())
        return sorted(file.relative_to(self.paths.images).as_posix() for file in files)


def configure(source: dict[str, Any] | Path, **changes: Any) -> DataIngestionConfig:
    """A configuration of a folder (or another source) with three classes and its own splits."""
    if isinstance(source, Path):
        source = {"kind": "folder", "path": source}
    if "random_split" not in changes:
        changes = {"splits": OWN_SPLITS, **changes}
    return DataIngestionConfig(seed=1, source=source, **{"classes": {name: [name] for name in CLASSES}, **changes})


def paths_below(folder: Path) -> Paths:
    """The project's paths, below another folder."""
    paths = load_project(ROOT / "config/config.yaml").paths
    return Paths(**{name: folder / path for name, path in paths.model_dump().items()})


def ingest(config: DataIngestionConfig, folder: Path) -> Ingested:
    """Run the stage below a folder."""
    paths = paths_below(folder)
    DataIngestion(config, paths).run()
    return Ingested(paths)
