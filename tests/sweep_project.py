"""A tiny project whose data is ingested and audited, and which has lost its test images: a sweep needs none."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.sweep.command import open_search
from cnnClassifier.sweep.search import Search
from cnnClassifier.tracking.connection import Connection, connect
from environment import clean_environment
from imports import ROOT
from tiny_pipeline import CLASSES, SPLITS, base_model, ingest_and_audit, training, write_data

RATES = {"training.learning_rate": {"kind": "float", "low": 0.001, "high": 0.1, "log": True}}
DROPOUTS = {"prepare_base_model.head.dropout": [0.0, 0.3]}


def listen_to_ctrl_c() -> None:
    """Background jobs of a shell, as CI may be, ignore it, and so would their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class SweepProject:
    """A project folder; the working directory while a test runs."""

    root: Path

    def write_sweep(self, parameters: dict[str, Any] | None = None, **more: Any) -> None:
        """config/sweeps/tiny.yaml."""
        plan = {"trials": 3, "seed": 1, "parameters": parameters or {**RATES, **DROPOUTS}, **more}
        (self.root / "config/sweeps/tiny.yaml").write_text(yaml.safe_dump(plan))

    @property
    def connection(self) -> Connection:
        return connect(load_project().tracking)

    def search(self, **options: Any) -> Search:
        """What `python main.py sweep tiny` works with."""
        return open_search("tiny", load_settings(), load_project().paths, self.connection, **options)

    @contextmanager
    def process(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """`python main.py sweep tiny` in a process of its own."""
        command = [sys.executable, str(ROOT / "main.py"), "sweep", "tiny", *options]
        environment = {**clean_environment(), "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "120"}
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=listen_to_ctrl_c,
        ) as running:
            try:
                yield running
            finally:
                running.kill()


def make_template(root: Path) -> Path:
    """A project folder: drawn, ingested, audited, with MLflow's empty database."""
    data = write_data(root / "data")
    paths = ingest_and_audit(root, data)
    shutil.rmtree(paths.images / "test")
    (root / "config/sweeps").mkdir(parents=True)
    shutil.copyfile(ROOT / "config/config.yaml", root / "config/config.yaml")
    ingestion = {"seed": 1, "source": {"kind": "folder", "path": str(data)}, "splits": SPLITS}
    sections = {
        "data_ingestion": {**ingestion, "classes": {name: [name] for name in CLASSES}, "group_pattern": r"/(p\d+)_s"},
        "data_audit": {},
        "prepare_base_model": base_model(freeze="all", head={"dropout": 0.2}).model_dump(mode="json"),
        "training": training(epochs=3, augmentation={"views": 0}).model_dump(mode="json"),
        "evaluation": {"seed": 1},
        "registration": {"name": "tiny", "description": "Tiny."},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(sections))
    Connection(f"sqlite:///{root}/mlflow.db", root / "mlruns").check()
    return root
