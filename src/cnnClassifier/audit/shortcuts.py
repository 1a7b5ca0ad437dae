"""How well the label can be told without any anatomy: from the file, the border or the grey histogram alone.

Where that works, a network may learn it, too, and its accuracy says nothing about the disease.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedGroupKFold

from cnnClassifier.audit.facts import Facts
from cnnClassifier.metrics.report import report

BLOCKS = ("file", "border", "histogram")
FOLDS, TREES, LEAF = 5, 100, 3
RESAMPLES, CONFIDENCE = 500, 0.95
MOST_IMAGES = 10_000  # more say no more about a shortcut; groups are drawn until there are so many

# A class is given away from this area under the ROC curve on, if the lower limit of its interval is at least the second
# figure. Measured on 30 phantoms without a shortcut, 8 to 20 patients a class: at most .76 and .63 (file, border), .81
# and .66 (histogram). With one, on ten: always 1.0 and 1.0 (file, border) for the marked class; 1 of 60 areas of the
# others passed, as each is told apart from the marked class, too. Grey levels may show the disease: they need more.
GIVES_AWAY = {"file": (0.8, 0.6), "border": (0.8, 0.6), "histogram": (0.9, 0.85)}


@dataclass(frozen=True)
class GivenAway:
    """How well one class is told from all others: area under the ROC curve with its interval."""

    label: str
    roc_auc: float
    low: float
    high: float
    flagged: bool


@dataclass(frozen=True)
class Shortcut:
    """What one block of facts says of the label, for images of groups it was not fitted on.

    `balanced_accuracy` as {value, low, high}; `chance` is what guessing reaches, one over the classes; `majority` is
    the accuracy of always answering the commonest class, beside `accuracy`.
    """

    block: str
    images: int
    accuracy: dict[str, float | None]
    balanced_accuracy: dict[str, float | None]
    majority: float
    chance: float
    classes: list[GivenAway]

    @property
    def flagged(self) -> list[str]:
        """The classes it gives away."""
        return [item.label for item in self.classes if item.flagged]


def find_shortcuts(facts: Facts, labels: Sequence[str], groups: Sequence[str], seed: int) -> list[Shortcut]:
    """Predict labels from each block alone, by a forest of randomised trees (Geurts et al. 2006), groups held out.

    `labels` and `groups` in the order of `facts`. Intervals are bootstrapped over groups. Empty when that cannot
    be measured: no image, a single class, or a class with fewer than two groups.
    """
    if len(set(labels)) < 2:
        return []
    rows = _draw_groups(np.asarray(groups), seed)
    classes, truth = np.unique(np.asarray(labels)[rows], return_inverse=True)
    held = np.asarray(groups)[rows]
    folds = min(FOLDS, *(len(np.unique(held[truth == index])) for index in range(len(classes))))
    if len(classes) < 2 or folds < 2:
        return []
    names = [str(name) for name in classes]
    return [_measure(block, facts.block(block)[rows], truth, held, names, folds, seed) for block in BLOCKS]


def predict_held_out(
    values: NDArray[np.float32], truth: NDArray[np.int64], groups: NDArray[np.str_], folds: int, seed: int
) -> NDArray[np.float64]:
    """Class probabilities (n, classes) of each image by a forest that has not seen its group."""
    probabilities = np.zeros((len(truth), truth.max() + 1))
    for fit, held in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(values, truth, groups):
        forest = ExtraTreesClassifier(
            TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed, n_jobs=-1
        ).fit(values[fit], truth[fit])
        # Threads would add up the trees' answers in any order, and so round them differently from run to run.
        forest.set_params(n_jobs=1)
        probabilities[np.ix_(held, forest.classes_)] = forest.predict_proba(values[held])
    return probabilities


def _measure(
    block: str,
    values: NDArray[np.float32],
    truth: NDArray[np.int64],
    groups: NDArray[np.str_],
    classes: list[str],
    folds: int,
    seed: int,
) -> Shortcut:
    probabilities = predict_held_out(values, truth, groups, folds, seed)
    overall = _report(truth, probabilities, groups, classes, seed)
    return Shortcut(
        block=block,
        images=len(truth),
        accuracy=overall["accuracy"],
        balanced_accuracy=overall["balanced_accuracy"],
        majority=float(np.bincount(truth).max() / len(truth)),
        chance=1 / len(classes),
        classes=[
            _tell_apart(block, label, truth == index, probabilities[:, index], groups, seed)
            for index, label in enumerate(classes)
        ],
    )


def _tell_apart(
    block: str, label: str, is_class: NDArray[np.bool_], score: NDArray[np.float64], groups: NDArray[np.str_], seed: int
) -> GivenAway:
    of_two = _report(is_class.astype(np.int64), np.stack([1 - score, score], axis=1), groups, ["other", label], seed)
    area = of_two["macro_roc_auc"]
    least, least_low = GIVES_AWAY[block]
    flagged = area["value"] >= least and area["low"] >= least_low
    return GivenAway(label, area["value"], area["low"], area["high"], flagged)


def _report(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: NDArray[np.str_],
    classes: list[str],
    seed: int,
) -> dict[str, Any]:
    return report(truth, probabilities, groups, classes, resamples=RESAMPLES, confidence=CONFIDENCE, seed=seed)


def _draw_groups(groups: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """Rows of all images, or, of very many, of whole groups drawn at random."""
    names, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    taken = order[np.cumsum(sizes[order]) <= max(MOST_IMAGES, sizes[order[0]])]
    return np.flatnonzero(np.isin(number, taken))
