"""Do the images in use still look, to model and eye, like those it learned from? Pure statistics.

What changes first when a scanner, a window or a clinic does is one-dimensional enough: predicted classes, confidence,
the distance of the features, their first components, and what can be measured of the picture itself. Rabanser,
Guennemann and Lipton (2019, "Failing Loudly") found such univariate tests with a correction as good as multivariate
ones. Statistics: Kolmogorov and Smirnov's largest difference of two distribution functions, and the population
stability index (Siddiqi 2006, "Credit Risk Scorecards") of predicted classes, as Lipton, Wang and Smola (2018,
"Detecting and Correcting for Label Shift with Black Box Predictors") look at them.

Their textbook p-values hold for independent images. Images of a patient are not: a window of 50 may be 8 patients. So
p-values come from a bootstrap of whole groups of the reference, both for the reference and for the window (Davison and
Hinkley 1997, "Bootstrap Methods and Their Application", 3.8 and 4.4), and are corrected by Holm's method (1979). An
alarm also takes an effect of some size: of 100,000 images, any difference is significant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.holm import holm
from cnnClassifier.monitoring.properties import PROPERTIES
from cnnClassifier.monitoring.reference import TrainingReference

LEVEL = 0.01  # of quiet windows, at most this share may alarm: one a quarter where one is looked at each day
LEAST_DISTANCE = 0.1  # of two distribution functions
LEAST_INDEX = 0.1  # of stability: "some change" by the custom of those who use it, 0.25 is "major"
LEAST_REFUSED = 0.05  # more of all images than among the training ones
DRAWS = 9999
FEWEST = 30  # images that a window must have
CHUNK = 500  # draws at a time: keeps memory flat
ROUNDING = 1e-9  # sums of weights: a draw equal to the window must count as equal
HALF = 0.5  # an image more in each class: an index of a class that nobody has would be infinite

Floats = NDArray[np.floating]
Kind = Literal["distance", "farther", "shares", "more"]
LEAST: Mapping[Kind, float] = {
    "distance": LEAST_DISTANCE,
    "farther": LEAST_DISTANCE,
    "shares": LEAST_INDEX,
    "more": LEAST_REFUSED,
}


@dataclass(frozen=True)
class Window:
    """Images in use (n), in the order and units of `TrainingReference`; `refused` (n,) is what the model said."""

    probabilities: Floats
    distances: Floats
    components: Floats
    properties: Floats
    refused: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.refused)


@dataclass(frozen=True)
class Finding:
    """One comparison. `effect` is its statistic, `least` what an alarm takes; p-values before and after Holm.

    `kind`: "distance" is Kolmogorov and Smirnov's; "farther" the same, counting only what is larger in use; "shares"
    a stability index; "more" by how much a share is larger.
    """

    name: str
    kind: Kind
    effect: float
    least: float
    p_value: float
    adjusted: float
    alarm: bool


@dataclass(frozen=True)
class Measure:
    """One thing that is compared: of the reference's images and of the window's, one value each."""

    name: str
    kind: Kind
    reference: Floats
    window: Floats


class Null:
    """How much chance alone moves each statistic between a reference and a window of `images` new patients' images.

    Drawing it is the costly part, and it does not depend on the window: one serves many windows of a size.
    """

    def __init__(self, reference: TrainingReference, images: int, draws: int = DRAWS, seed: int = 0) -> None:
        self._groups = reference.groups
        self._sizes = np.bincount(reference.groups)
        self._drawn = max(1, round(images * len(self._sizes) / len(reference)))
        self._draws, self._seed = draws, seed
        self._statistics: dict[str, Floats] = {}  # by what is compared; drawn when first asked for

    def p_values(self, compared: Sequence[Measure], effects: Sequence[float]) -> list[float]:
        """The share of draws whose statistic is as large or larger, the window itself counted as one of them."""
        if not self._statistics:
            self._statistics = self._draw(compared)
        drawn = [self._statistics[measure.name] for measure in compared]
        return [
            float((1 + (statistics >= effect - ROUNDING).sum()) / (1 + self._draws))
            for statistics, effect in zip(drawn, effects, strict=True)
        ]

    def _draw(self, compared: Sequence[Measure]) -> dict[str, Floats]:
        random = np.random.default_rng(self._seed)
        statistics = {each.name: _STATISTICS[each.kind](each.reference) for each in compared}
        found: dict[str, list[Floats]] = {each.name: [] for each in compared}
        for start in range(0, self._draws, CHUNK):
            count = min(CHUNK, self._draws - start)
            window, reference = (self._weights(random, groups, count) for groups in (self._drawn, len(self._sizes)))
            for name, statistic in statistics.items():
                found[name].append(statistic.of_weights(window, reference))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _weights(self, random: np.random.Generator, groups: int, count: int) -> Floats:
        """Weights (count, n), rows summing to 1, of the reference's images when so many whole groups are drawn."""
        times = random.multinomial(groups, np.full(len(self._sizes), 1 / len(self._sizes)), size=count)
        weights: Floats = times[:, self._groups] / (times @ self._sizes)[:, None]
        return weights


def compare(
    reference: TrainingReference, window: Window, refused_from: float | None, null: Null | None = None
) -> list[Finding]:
    """Every comparison, in a fixed order; DataError for a window of fewer than FEWEST images.

    `refused_from` is the distance above which the model refuses, None where it has no such rule. `null` is one of this
    reference and a window of about this size, where many windows are compared.
    """
    if len(window) < FEWEST:
        raise DataError(f"{len(window)} images are too few to compare; at least {FEWEST} are needed")
    null = null or Null(reference, len(window))
    compared = measures(reference, window, refused_from)
    effects = [_STATISTICS[each.kind](each.reference).of_window(each.window) for each in compared]
    p_values = null.p_values(compared, effects)
    return [
        Finding(each.name, each.kind, effect, LEAST[each.kind], p, q, q <= LEVEL and effect >= LEAST[each.kind])
        for each, effect, p, q in zip(compared, effects, p_values, holm(p_values), strict=True)
    ]


def measures(reference: TrainingReference, window: Window, refused_from: float | None) -> list[Measure]:
    """Everything that is compared, in a fixed order."""
    found = [
        Measure("classes", "shares", reference.probabilities.argmax(axis=1), window.probabilities.argmax(axis=1)),
        Measure("confidence", "distance", reference.probabilities.max(axis=1), window.probabilities.max(axis=1)),
    ]
    if refused_from is not None:
        # Not nearer: that somebody sends a training image again is no shift.
        found.append(Measure("feature distance", "farther", reference.distances, window.distances))
        found.append(Measure("refused", "more", _refused(reference, refused_from), window.refused.astype(float)))
    found += [
        Measure(f"features, axis {axis + 1}", "distance", reference.components[:, axis], window.components[:, axis])
        for axis in range(reference.components.shape[1])
    ]
    found += [
        Measure(name, "distance", reference.properties[:, column], window.properties[:, column])
        for column, name in enumerate(PROPERTIES)
    ]
    return found


def _refused(reference: TrainingReference, refused_from: float) -> Floats:
    """Which training images the model would have refused, 1 or 0, and with them all of the group that lies farthest.

    The detector is fitted so that hardly any are: a bootstrap of none would hold one unusual patient for impossible.
    """
    farthest = reference.groups == reference.groups[reference.distances.argmax()]
    refused: Floats = ((reference.distances > refused_from) | farthest).astype(float)
    return refused


class _Distance:
    """The largest difference of two distribution functions; the reference's values are where it is looked at."""

    def __init__(self, reference: Floats) -> None:
        self._order = np.argsort(reference, kind="stable")
        self._sorted = reference[self._order]

    @cached_property
    def _last(self) -> NDArray[np.bool_]:
        """Whether a value is the last of its equals: between equals, a distribution function has no value."""
        return np.append(self._sorted[1:] != self._sorted[:-1], True)

    def _largest(self, differences: Floats) -> Floats:
        largest: Floats = np.abs(differences).max(axis=-1)
        return largest

    def of_weights(self, window: Floats, reference: Floats) -> Floats:
        """The statistics of weighted reference images, (draws, n) each."""
        steps = (window - reference)[:, self._order]
        return self._largest(np.cumsum(steps, axis=1)[:, self._last])

    def of_window(self, window: Floats) -> float:
        """The statistic of a window's values (n,), at every value of either."""
        ordered = np.sort(window)
        at = np.concatenate([self._sorted, ordered])
        differences = np.searchsorted(ordered, at, "right") / len(ordered)
        differences -= np.searchsorted(self._sorted, at, "right") / len(self._sorted)
        return float(self._largest(differences))


class _Farther(_Distance):
    """The same where the window's values are the larger ones: its distribution function lies below."""

    def _largest(self, differences: Floats) -> Floats:
        largest: Floats = np.maximum(-differences, 0).max(axis=-1)
        return largest


class _Shares:
    """The stability index of classes' shares: the sum of (p - q) log(p / q)."""

    def __init__(self, reference: Floats) -> None:
        self._classes = np.arange(int(reference.max()) + 1)
        self._member = (reference[:, None] == self._classes).astype(float)
        self._images = len(reference)

    def of_weights(self, window: Floats, reference: Floats) -> Floats:
        """The statistics of weighted reference images."""
        return self._index(window @ self._member, reference @ self._member)

    def of_window(self, window: Floats) -> float:
        """The statistic of a window's classes (n,); classes that the reference never has count as one more."""
        classes = np.arange(max(len(self._classes), int(window.max()) + 1))
        shares = (window[:, None] == classes).mean(axis=0)
        known = np.pad(self._member.mean(axis=0), (0, len(classes) - len(self._classes)))
        return float(self._index(shares, known))

    def _index(self, window: Floats, reference: Floats) -> Floats:
        p, q = ((shares + HALF / self._images) for shares in (window, reference))
        index: Floats = ((p - q) * np.log(p / q)).sum(axis=-1)
        return index


class _More:
    """By how much a share is larger in the window."""

    def __init__(self, reference: Floats) -> None:
        self._reference = reference

    def of_weights(self, window: Floats, reference: Floats) -> Floats:
        """The statistics of weighted reference images."""
        found: Floats = (window - reference) @ self._reference
        return found

    def of_window(self, window: Floats) -> float:
        """The statistic of a window's values (n,)."""
        return float(window.mean() - self._reference.mean())


_Statistic = _Distance | _Shares | _More
_STATISTICS: Mapping[Kind, Callable[[Floats], _Statistic]] = {
    "distance": _Distance,
    "farther": _Farther,
    "shares": _Shares,
    "more": _More,
}
