"""How much each training image counts: rare classes as much as common ones, a patient's many slices not many times."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.config.types import TrainingConfig

EXPONENTS = {"none": 0.0, "root": 0.5, "equal": 1.0}

Weights = NDArray[np.float32]


def example_weights(
    labels: Sequence[int] | NDArray[np.int64], groups: Sequence[str], classes: int, config: TrainingConfig
) -> Weights:
    """A weight for each image (n,), with mean 1, from class indices (n,) and group names (n,)."""
    weights = group_weights(labels, groups, EXPONENTS[config.group_weights])
    return balanced_weights(labels, classes, weights) if config.class_weights == "balanced" else weights


def group_weights(labels: Sequence[int] | NDArray[np.int64], groups: Sequence[str], exponent: float) -> Weights:
    """1 / (images of the same class and group) ** exponent, scaled so that each class keeps its share."""
    sizes = Counter(zip(labels, groups, strict=True))
    weights = np.array([sizes[image] ** -exponent for image in zip(labels, groups, strict=True)])
    sums, counts = np.bincount(labels, weights), np.bincount(labels)
    scaled: Weights = (weights * (counts / np.where(counts, sums, 1))[np.asarray(labels)]).astype(np.float32)
    return scaled


def balanced_weights(
    labels: Sequence[int] | NDArray[np.int64], classes: int, weights: NDArray[np.floating] | None = None
) -> Weights:
    """The weights (default: all 1), scaled so that each class weighs the same in sum and the mean weight is 1."""
    given = np.ones(len(labels), np.float32) if weights is None else weights
    sums = np.bincount(labels, given, minlength=classes)
    by_class = len(labels) / (classes * np.where(sums, sums, 1))
    balanced: Weights = (given * by_class[np.asarray(labels)]).astype(np.float32)
    return balanced
