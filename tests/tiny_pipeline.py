"""A pipeline over a few drawn pictures, run by its real components: a bright square or a bright disc on noise."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnClassifier.components.base import NoLog
from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.components.evaluation import Evaluation
from cnnClassifier.components.prepare_base_model import PrepareBaseModel
from cnnClassifier.components.training import Training
from cnnClassifier.config.data import DataAuditConfig, DataIngestionConfig
from cnnClassifier.config.types import EvaluationConfig, Paths, PrepareBaseModelConfig, TrainingConfig
from ingestion import paths_below

CLASSES = ("disc", "square")
SPLITS = {"train": "train", "valid": "valid", "test": "test"}
PATIENTS = {"train": 6, "valid": 2, "test": 3}
SLICES = 3
LEAKED = "test/disc/p900_s0.png"  # the first training disc once more


def write_data(root: Path) -> Path:
    """Class folders below split folders; one test picture is an exact copy of a training picture."""
    draw = np.random.default_rng(0)
    patient = 0
    for split, patients in PATIENTS.items():
        for label in CLASSES:
            for _ in range(patients):
                patient += 1
                for number in range(SLICES):
                    _write(_draw(label, draw), root / split / label / f"p{patient:03}_s{number}.png")
    leaked = root / LEAKED
    leaked.write_bytes((root / "train/disc/p001_s0.png").read_bytes())
    return root


def base_model(**changes: Any) -> PrepareBaseModelConfig:
    preprocessing = {"image_size": 32, "body_crop": False, **changes.pop("preprocessing", {})}
    settings = {"seed": 1, "backbone": "SmallCNN", "weights": "none", "freeze": "none", **changes}
    return PrepareBaseModelConfig(**settings, preprocessing=preprocessing)


def training(**changes: Any) -> TrainingConfig:
    # Two folds: each is one more fit.
    settings = {"seed": 1, "epochs": 4, "batch_size": 8, "learning_rate": 0.01, "validation": 0.25, "folds": 2}
    return TrainingConfig(**{**settings, "augmentation": {"views": 1}, **changes})


def ingest_and_audit(root: Path, data: Path) -> Paths:
    """The stages that need no TensorFlow; the paths of the project below `root`."""
    paths = paths_below(root)
    source = {"kind": "folder", "path": data}
    classes = {name: [name] for name in CLASSES}
    config = DataIngestionConfig(seed=1, source=source, classes=classes, splits=SPLITS, group_pattern=r"/(p\d+)_s")
    DataIngestion(config, paths).run()
    DataAudit(DataAuditConfig(), paths).run()
    return paths


def prepare(paths: Paths, **changes: Any) -> None:
    PrepareBaseModel(base_model(**changes), paths).run()


def train(paths: Paths, log: NoLog | None = None, **changes: Any) -> None:
    Training(training(**changes), paths, log).run()


def evaluate(paths: Paths, **changes: Any) -> None:
    settings = {"seed": 1, "resamples": 100, "operating": {"positive": CLASSES[:1]}, "abstain": "undecided"}
    Evaluation(EvaluationConfig(**{**settings, **changes}), paths).run()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its relative path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def _draw(label: str, draw: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:40, :40]
    down, across = rows - draw.integers(14, 27), columns - draw.integers(14, 27)
    square = np.maximum(abs(down), abs(across)) < 9
    disc = (np.hypot(down, across) < 9) & (np.hypot(down, across) > 4)
    return 60 + 150 * (square if label == "square" else disc) + draw.normal(0, 10, (40, 40))


def _write(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file)
