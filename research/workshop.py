"""What the four notebooks share: an experiment's settings, a temporary folder for what stages write, and pictures.

With CNNCLASSIFIER_SMALL set, as `make notebooks` does, the experiment is made so small that all four take a minute.
"""

import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnnClassifier.components import load_component
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.datasets.contact_sheet import contact_sheet
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.overrides import plan_edit
from cnnClassifier.preprocessing import decode

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, as the command line does it

ROOT = Path(__file__).resolve().parents[1]
SMALL_VARIABLE = "CNNCLASSIFIER_SMALL"
SMALL = {
    "data_ingestion.source.patients_per_class": 10,
    "data_ingestion.source.slices_per_patient": 2,
    "data_ingestion.source.image_size": 192,
    "prepare_base_model.preprocessing.image_size": 96,
    "prepare_base_model.precision": "float32",
    "training.epochs": 40,
    "training.folds": 3,
    "evaluation.resamples": 100,
}


@dataclass(frozen=True)
class Workshop:
    """Settings of an experiment, and paths below a folder of its own."""

    settings: Settings
    paths: Paths

    def run(self, *stages: str) -> None:
        """Run stages by their components, as the pipeline does, but for the tracking."""
        for stage in stages:
            load_component(stage)(getattr(self.settings, stage), self.paths).run()

    def pictures(self, records: Iterable[ImageRecord]) -> list[np.ndarray]:
        """The images of manifest rows as 8-bit arrays."""
        return [read(self.paths.images / record.path) for record in records]


def open_workshop(experiment: str = "phantom") -> Workshop:
    """An experiment in a new temporary folder, from the project's root on, wherever the notebook is started.

    Features of the frozen network are kept in the project's cache, so that only the first notebook computes them.
    """
    os.chdir(ROOT)
    # It warns of functions traced often, and counts those of different models as one.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="cnnClassifier-research-"))
    file = folder / "params.yaml"
    file.write_bytes((ROOT / f"config/experiments/{experiment}.yaml").read_bytes())
    if os.environ.get(SMALL_VARIABLE):
        plan_edit(SMALL, file).write_to(file)
    own = load_project().paths
    paths = {name: folder / path for name, path in own.model_dump().items()}
    return Workshop(load_settings(file), Paths(**{**paths, "cache": own.cache.resolve()}))


def read(file: Path) -> np.ndarray:
    """An image file as an 8-bit array, grey (h, w) or RGB (h, w, 3)."""
    return as_bytes(decode(file.read_bytes()))


def as_bytes(pixels: np.ndarray) -> np.ndarray:
    """Pixels (h, w, 1 or 3) of 0-255 as 8 bits, grey without its third axis."""
    values = np.rint(pixels).clip(0, 255).astype(np.uint8)
    return values[..., 0] if values.shape[-1] == 1 else values


def sheet(
    images: Iterable[np.ndarray], columns: int, labels: Iterable[str] | None = None, tile: int = 150
) -> Image.Image:
    """Pictures in rows; a notebook shows what this returns."""
    return contact_sheet(list(images), columns, None if labels is None else list(labels), tile)
