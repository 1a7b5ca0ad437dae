"""Is one model better than another, on the same images, and how sure is that."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.classification import OVERALL, Floats, Integers, bootstrap_weights, score
from cnnClassifier.metrics.report import score_in_parts

LOWER_IS_BETTER = ("loss",)


@dataclass(frozen=True)
class Comparison:
    """A challenger against a champion, by one metric.

    `challenger` and `champion` are the metric's values; `gain` is how much better the challenger is (above 0 is
    better, for the loss too). `low` is the one-sided lower limit: in the stated share (`confidence`) of draws
    the gain is at least this, so a challenger with `low` above 0 is better at that confidence; `high` is the upper
    limit in the same sense. `probability_better`: the share of draws it is better in, equals counting half; `draws`:
    of how many, those not counted in which the metric cannot be said.
    """

    challenger: float
    champion: float
    gain: float
    low: float
    high: float
    probability_better: float
    draws: int


def compare(
    truth: Integers,
    challenger: Floats,
    champion: Floats,
    groups: NDArray[np.str_],
    metric: str = "balanced_accuracy",
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Compare two models' probabilities (n, classes) of the same images by a paired bootstrap over groups.

    Each draw takes whole groups with replacement and scores both models on it: what makes a draw easy makes it so
    for both, and only their difference is left. `metric` is one of OVERALL. Raises DataError for another one,
    for predictions of different images and where the metric cannot be said of these.
    """
    _check(truth, challenger, champion, metric)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    weights, once = bootstrap_weights(groups, resamples, seed), np.ones((1, len(truth)))
    new, old = (float(getattr(score(truth, each, once), metric)[0]) for each in (challenger, champion))
    if np.isnan([new, old]).any():
        raise DataError(f"{metric} cannot be said of these {len(truth)} images; they need two classes or more")
    drawn_new, drawn_old = (getattr(score_in_parts(truth, each, weights), metric) for each in (challenger, champion))
    gains = sign * (drawn_new - drawn_old)
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        raise DataError(
            f"{metric}: none of {resamples} draws of the groups has every class of these {len(truth)} images; bring "
            "more groups (patients or scans) of the rarest class"
        )
    low, high = np.percentile(gains, [100 * (1 - confidence), 100 * confidence])
    better = (gains > 0).mean() + (gains == 0).mean() / 2
    return Comparison(new, old, sign * (new - old), float(low), float(high), float(better), len(gains))


def _check(truth: Integers, challenger: Floats, champion: Floats, metric: str) -> None:
    if metric not in OVERALL:
        raise DataError(f"unknown metric; expected one of {', '.join(OVERALL)}. Received: {metric!r}")
    if not len(truth) == len(challenger) == len(champion) or challenger.shape != champion.shape:
        raise DataError(
            f"{len(truth)} images, but predictions of {challenger.shape} and {champion.shape}; "
            "predict the same images into the same classes with both models"
        )
    if not len(truth):
        raise DataError("no images to compare two models on")
