"""A tiny project whose data is ingested and audited, with two candidates to compare."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.selection.command import compare_candidates
from cnnClassifier.selection.plan import Candidate
from cnnClassifier.tracking.connection import Connection, connect
from environment import AMBIENT
from imports import ROOT
from tiny_pipeline import CLASSES, SPLITS, base_model, ingest_and_audit, training, write_data

POOLED = {"prepare_base_model": {"head": {"pooling": "max"}}}
SLOW = {"training.learning_rate": 1e-7}


@dataclass(frozen=True)
class Project:
    """A project folder; the working directory while a test runs."""

    root: Path

    def write_candidates(self, candidates: dict[str, Any]) -> None:
        """config/compare/tiny.yaml: the name of the experiment."""
        (self.root / "config/compare/tiny.yaml").write_text(yaml.safe_dump({"candidates": candidates}, sort_keys=False))

    def compare(self) -> Candidate:
        """What `python main.py compare --no-register` does."""
        return compare_candidates(None, load_settings(), load_project().paths, self.connection)

    @property
    def connection(self) -> Connection:
        return connect(load_project().tracking)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: drawing, ingesting, auditing, and MLflow's empty database. Without test images: none may be needed."""
    root = tmp_path_factory.mktemp("selection") / "project"
    data = write_data(root / "data")
    paths = ingest_and_audit(root, data)
    shutil.rmtree(paths.images / "test")
    (root / "config/compare").mkdir(parents=True)
    shutil.copyfile(ROOT / "config/config.yaml", root / "config/config.yaml")
    ingestion = {"seed": 1, "source": {"kind": "folder", "path": str(data)}, "splits": SPLITS}
    sections = {
        "data_ingestion": {**ingestion, "classes": {name: [name] for name in CLASSES}, "group_pattern": r"/(p\d+)_s"},
        "data_audit": {},
        "prepare_base_model": base_model(freeze="all").model_dump(mode="json"),
        "training": training(epochs=3, augmentation={"views": 0}).model_dump(mode="json"),
        "evaluation": {"seed": 1, "resamples": 200},
        "registration": {"name": "tiny", "description": "Tiny."},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(sections))
    Connection(f"sqlite:///{root}/mlflow.db", root / "mlruns").check()
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    saved = dict(os.environ)
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "project"
    shutil.copytree(template, root)
    monkeypatch.chdir(root)
    made = Project(root)
    made.write_candidates({"as_it_is": {}, "pooled": POOLED})
    yield made
    os.environ.clear()  # connecting writes to it
    os.environ.update(saved)
