"""What benchmarks of method share: a finished run's images without the test split, and figures of held-out answers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.datasets.manifest import ImageRecord, read_manifest

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIGURES = ("balanced accuracy", "accuracy", "log loss")


def images_to_learn_from(manifest: Path) -> list[ImageRecord]:
    """The audited images of train and valid; the test split is never read."""
    return [record for record in read_manifest(manifest) if record.split != "test"]


def labels_of(records: Sequence[ImageRecord], classes: Sequence[str]) -> Integers:
    """The class of each image, as an index (n,)."""
    return np.array([classes.index(record.label) for record in records])


def figures(told: Floats, labels: Integers) -> Floats:
    """Those of FIGURES, (3,), of the probabilities (n, classes) of images that their model had not seen."""
    right = told.argmax(axis=1) == labels
    balanced = np.mean([right[labels == label].mean() for label in np.unique(labels)])
    return np.array([balanced, right.mean(), -np.log(told[np.arange(len(told)), labels]).mean()])


def say(text: str) -> None:
    """Print at once: whoever waits sees it."""
    print(text, flush=True)  # noqa: T201
