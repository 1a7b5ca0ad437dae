"""The same predictions by several protocols, side by side, with the controls judged on the same images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.metrics.classification import Floats, Integers, bootstrap_weights
from cnnClassifier.metrics.controls import grouped, nearest_neighbour, shortcut
from cnnClassifier.metrics.report import Flags, report, share

NEAREST_NEIGHBOUR, SHORTCUT = "nearest_neighbour", "shortcut"
COMPARED = ("accuracy", "balanced_accuracy")
FEWEST_OF_A_SOURCE = 5  # images: of fewer, a share says nothing


@dataclass(frozen=True)
class Judged:
    """Images (n) and what a model and the controls say of them: `truth` (n,), each probabilities (n, classes).

    `sources` (n,) says where each comes from as far as files tell: format and mode.
    """

    truth: Integers
    groups: NDArray[np.str_]
    sources: NDArray[np.str_]
    model: Floats
    controls: Mapping[str, Floats]

    def at(self, rows: Flags) -> "Judged":
        """Some of the images, (n,) true where they stay."""
        controls = {name: probabilities[rows] for name, probabilities in self.controls.items()}
        return Judged(self.truth[rows], self.groups[rows], self.sources[rows], self.model[rows], controls)


@dataclass(frozen=True)
class Reporting:
    """How to report: see `EvaluationConfig`; `positive` are class indices."""

    classes: tuple[str, ...]
    positive: tuple[int, ...]
    resamples: int
    confidence: float
    seed: int

    def on(self, judged: Judged, probabilities: Floats) -> dict[str, Any]:
        """metrics/report.py's report of one set of probabilities."""
        return report(
            judged.truth,
            probabilities,
            judged.groups,
            self.classes,
            resamples=self.resamples,
            confidence=self.confidence,
            seed=self.seed,
            positive=self.positive,
        )


def report_protocol(judged: Judged, how: Reporting) -> dict[str, Any]:
    """One protocol as metrics.json has it: the model's metrics, and its accuracy for each source of images."""
    return {**how.on(judged, judged.model), "by_source": _by_source(judged, how)}


def report_controls(judged: Judged, how: Reporting) -> dict[str, Any]:
    """What the controls reach on the images of one protocol: as little as a comparison needs."""
    reports = {name: how.on(judged, probabilities) for name, probabilities in judged.controls.items()}
    return {name: {metric: found[metric] for metric in COMPARED} for name, found in reports.items()}


def judge_test(
    vectors: tuple[NDArray[np.floating], NDArray[np.floating]],
    facts: tuple[NDArray[np.floating], NDArray[np.floating]],
    labels: Integers,
    classes: int,
    seed: int,
) -> dict[str, Floats]:
    """The controls taught on training images and asked about others: (taught, asked) `vectors` and `facts`."""
    return {
        NEAREST_NEIGHBOUR: nearest_neighbour(vectors[0], labels, vectors[1], classes),
        SHORTCUT: shortcut(facts[0], labels, facts[1], classes, seed=seed),
    }


def judge_grouped(
    vectors: NDArray[np.floating],
    facts: NDArray[np.floating],
    labels: Integers,
    folds: Integers,
    classes: int,
    seed: int,
) -> dict[str, Floats]:
    """The controls cross-validated on the model's own folds."""
    return {
        NEAREST_NEIGHBOUR: grouped(nearest_neighbour, vectors, labels, folds, classes),
        SHORTCUT: grouped(partial(shortcut, seed=seed), facts, labels, folds, classes),
    }


def _by_source(judged: Judged, how: Reporting) -> dict[str, Any]:
    right = judged.model.argmax(axis=1) == judged.truth
    weights = bootstrap_weights(judged.groups, how.resamples, how.seed)
    return {
        source: {"images": int(among.sum()), "accuracy": share(right, among, weights, how.confidence)}
        for source, among in _frequent(judged.sources)
    }


def _frequent(sources: NDArray[np.str_]) -> Iterator[tuple[str, Flags]]:
    for source in np.unique(sources):
        among = sources == source
        if among.sum() >= FEWEST_OF_A_SOURCE:
            yield str(source), among
