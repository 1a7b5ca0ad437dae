"""Where to draw the line between positive classes and the others, and what is missed and alarmed there.

An image's score is the sum of the calibrated probabilities of the positive classes; at or above the threshold it
is called positive. Arrays as in calibration.py; `probabilities` are the uncalibrated ones.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.decision import calibrate
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.calibration import calibrated_by_others, fit_temperature
from cnnClassifier.metrics.classification import Floats, Integers, bootstrap_weights
from cnnClassifier.metrics.report import Flags, two_rates

TARGETS = (0.90, 0.95, 0.98, 0.99, 1.0)
ROUNDING = 1e-9  # 0.98 * 50 is a little more than 49


def positive_score(probabilities: Floats, positive: Sequence[int]) -> Floats:
    """How probable it is that an image is of any positive class (indices), in [0, 1]."""
    # Rounding may take a sum a little above 1, and no threshold may follow it there.
    score: Floats = np.minimum(probabilities[:, list(positive)].sum(axis=1), 1)
    return score


def choose_threshold(score: Floats, is_positive: Flags, sensitivity: float) -> float:
    """The highest threshold in [0, 1] at which the share of positives called is `sensitivity` or more.

    Being the highest it has the best specificity of those. It lies half-way between two neighbouring scores, where
    no rounding flips an answer. Raises DataError when there are no positives or no negatives.
    """
    if is_positive.all() or not is_positive.any():
        kind = "positive" if not is_positive.any() else "other"
        raise DataError(f"no images of a {kind} class among {len(score)}: no threshold can be chosen; see `operating`")
    hits = math.ceil(sensitivity * is_positive.sum() - ROUNDING)
    lowest_called = np.sort(score[is_positive])[-hits]
    below = score[score < lowest_called].max(initial=0)
    middle = (below + lowest_called) / 2
    return float(middle if middle > below else lowest_called)  # no number lies between the closest of floats


def operating_report(
    truth: Integers,
    probabilities: Floats,
    folds: Integers,
    groups: NDArray[np.str_],
    classes: Sequence[str],
    positive: Sequence[int],
    sensitivity: float,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """The threshold for a target sensitivity, and the sensitivity and specificity reached, as `{value, low, high}`.

    `sensitivity` and `specificity` are cross-fitted: each fold is judged by the temperature and threshold chosen on
    the others, as a new image would be. `as_chosen` is what the final threshold gives on the images it was chosen
    on, a little flattering. `curve` says the same of other targets. Raises DataError as `choose_threshold`.
    """
    is_positive, weights = np.isin(truth, positive), bootstrap_weights(groups, resamples, seed)
    score = positive_score(calibrate(probabilities, fit_temperature(truth, probabilities)), positive)
    called = _called_by_others(truth, probabilities, folds, positive, {*TARGETS, sensitivity})
    rates = {target: two_rates(is_positive, each, weights, confidence) for target, each in called.items()}
    thresholds = {target: choose_threshold(score, is_positive, target) for target in called}
    return {
        "positive": [classes[index] for index in positive],
        "target_sensitivity": sensitivity,
        "threshold": thresholds[sensitivity],
        **rates[sensitivity],
        "as_chosen": two_rates(is_positive, score >= thresholds[sensitivity], weights, confidence),
        "curve": [{"target": each, "threshold": thresholds[each], **rates[each]} for each in TARGETS],
    }


def rates_by_threshold(score: Floats, is_positive: Flags) -> Floats:
    """Rows of threshold, sensitivity, specificity: every score that occurs, downwards from 1 to 0."""
    thresholds = np.unique(np.concatenate([score, [0, 1]]))[::-1]
    missed = np.searchsorted(np.sort(score[is_positive]), thresholds)
    passed = np.searchsorted(np.sort(score[~is_positive]), thresholds)
    return np.column_stack([thresholds, 1 - missed / is_positive.sum(), passed / (~is_positive).sum()])


def _called_by_others(
    truth: Integers, probabilities: Floats, folds: Integers, positive: Sequence[int], targets: Iterable[float]
) -> dict[float, Flags]:
    """For each target, which images (n,) are called positive by the threshold that the other folds would choose."""
    is_positive = np.isin(truth, positive)
    called = {target: np.zeros(len(truth), dtype=bool) for target in targets}
    for others, here, calibrated in calibrated_by_others(truth, probabilities, folds):
        score = positive_score(calibrated, positive)
        for target, each in called.items():
            each[here] = score[here] >= choose_threshold(score[others], is_positive[others], target)
    return called
