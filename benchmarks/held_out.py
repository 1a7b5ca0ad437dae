"""What benchmarks of method share: a finished run's images without the test split, and figures of held-out answers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.metrics.classification import score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIGURES = ("balanced accuracy", "accuracy", "log loss")


def images_to_learn_from(manifest: Path) -> list[ImageRecord]:
    """The audited images of train and valid; the test split is never read."""
    return [record for record in read_manifest(manifest) if record.split != "test"]


def figures(told: Floats, labels: Integers) -> Floats:
    """Those of FIGURES, (3,), of the probabilities (n, classes) of images that their model had not seen."""
    found = score(labels, told, np.ones((1, len(labels))))
    return np.concatenate([found.balanced_accuracy, found.accuracy, found.loss])


def say(text: str) -> None:
    """Print at once: whoever waits sees it."""
    print(text, flush=True)  # noqa: T201
