"""Is the best candidate better than the others, on the same images, when all pairs are looked at? Pure.

Arrays: `truth` (n,) class indices; `groups` (n,) the patient or scan of each image; probabilities (n, classes).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.metrics.classification import Floats, Integers, bootstrap_weights, score
from cnnClassifier.metrics.comparison import compare
from cnnClassifier.metrics.holm import holm
from cnnClassifier.metrics.report import Interval, score_in_parts, with_interval

FAR_BELOW = 10  # times


@dataclass(frozen=True)
class Draws:
    """The bootstrap: so many `resamples` of the groups, intervals at `confidence`, from a seed."""

    resamples: int
    confidence: float
    seed: int

    def enough_for(self, pairs: int) -> "Draws":
        """As many draws as keep the smallest p-value that can be, 2 * pairs / (resamples + 1), far below the level."""
        needed = math.ceil(FAR_BELOW * 2 * pairs / (1 - self.confidence))
        return replace(self, resamples=max(self.resamples, needed))


@dataclass(frozen=True)
class Rivalry:
    """The best against another: how much better it is, with its two-sided interval, and the corrected p-value."""

    other: str
    gain: float
    low: float
    high: float
    p: float


def interval(truth: Integers, probabilities: Floats, groups: NDArray[np.str_], metric: str, draws: Draws) -> Interval:
    """A metric with its bootstrap interval over groups."""
    value = getattr(score(truth, probabilities, np.ones((1, len(truth)))), metric)[0]
    drawn = score_in_parts(truth, probabilities, bootstrap_weights(groups, draws.resamples, draws.seed))
    return with_interval(value, getattr(drawn, metric), draws.confidence)


def against_the_others(
    best: str,
    probabilities: Mapping[str, Floats],
    truth: Integers,
    groups: NDArray[np.str_],
    metric: str,
    draws: Draws,
) -> list[Rivalry]:
    """The best against each other, in the order given.

    Paired bootstrap over groups, two-sided (Davison and Hinkley 1997, 4.2: the draws themselves count as one more).
    p-values are corrected by Holm's method over all pairs of candidates, not over those with the best alone: which one
    is best was found on the same images.
    """
    level = 1 - (1 - draws.confidence) / 2  # `compare` gives one-sided limits
    found = {
        pair: compare(
            truth,
            probabilities[pair[0]],
            probabilities[pair[1]],
            groups,
            metric,
            resamples=draws.resamples,
            confidence=level,
            seed=draws.seed,
        )
        for pair in _pairs(best, probabilities)
    }
    corrected = dict(
        zip(found, holm([_two_sided(each.probability_better, each.draws) for each in found.values()]), strict=True)
    )
    return [
        Rivalry(other, each.gain, each.low, each.high, corrected[first, other])
        for (first, other), each in found.items()
        if first == best
    ]


def _pairs(best: str, names: Mapping[str, Floats]) -> list[tuple[str, str]]:
    """All pairs, the best first in its own."""
    return list(combinations([best, *(name for name in names if name != best)], 2))


def _two_sided(better: float, resamples: int) -> float:
    return min(1.0, 2 * (resamples * min(better, 1 - better) + 1) / (resamples + 1))
