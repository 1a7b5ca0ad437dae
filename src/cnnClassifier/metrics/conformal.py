"""Split-conformal prediction: sets of classes that hold the true one as often as promised, and whether they do.

The rule (LAC: Sadinle, Lei and Wasserman 2019; Angelopoulos and Bates 2021): every class whose calibrated
probability is at least 1 - quantile. Arrays as in calibration.py; the report takes uncalibrated `probabilities`.

Fitted on out-of-fold predictions, the quantile is that of models taught on a part of the images; the one that serves
has seen all of them and is a little better, so its sets tend to hold more (cross-conformal, Vovk 2015).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.decision import calibrate
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.calibration import calibrated_by_others, fit_temperature
from cnnClassifier.metrics.classification import Floats, Integers, bootstrap_weights
from cnnClassifier.metrics.report import Flags, share

COVERAGES = (0.80, 0.85, 0.90, 0.95, 0.99)
ROUNDING = 1e-9  # (9 + 1) * 0.9 must not become 10
SLACK = 1e-6  # what the predictions table rounds off; without it the image a quantile rests on may miss its own set


def fit_quantile(truth: Integers, probabilities: Floats, coverage: float) -> float:
    """The quantile, in [0, 1], at which sets hold the true class of a new image with probability `coverage`.

    It is the ceil((n + 1) coverage)-th smallest of 1 - the true class's probability, which makes the promise exact
    for any n if new images come as these did. With too few images to promise so much it is 1: every class.
    Raises DataError for no images.
    """
    if not len(truth):
        raise DataError("no predictions to fit a conformal quantile on")
    rank = math.ceil((len(truth) + 1) * coverage - ROUNDING)
    if rank > len(truth):
        return 1.0
    distances = np.sort(1 - probabilities[np.arange(len(truth)), truth])
    return float(min(max(distances[rank - 1], 0) + SLACK, 1))


def plain_sets(probabilities: Floats, quantile: float) -> Flags:
    """Which classes (n, classes) are probable enough; of an unsure image there may be none."""
    return 1 - probabilities <= quantile  # as in decision.py, to the last digit


def sets(probabilities: Floats, quantile: float) -> Flags:
    """`plain_sets`, with the most probable class in each, so that none is empty: this can only raise coverage."""
    filled = plain_sets(probabilities, quantile)
    filled[np.arange(len(filled)), probabilities.argmax(axis=1)] = True
    return filled


def conformal_report(
    truth: Integers,
    probabilities: Floats,
    folds: Integers,
    groups: NDArray[np.str_],
    classes: Sequence[str],
    coverage: float,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """The quantile of all images, and what sets hold when each fold's quantile comes from the others.

    `coverage` is that of the sets as served, `plain_coverage` that of the rule alone: this is what `nominal`
    promises. The two differ by the images whose set would be empty (`empty`, a share): where the model is right
    more often than promised, the served sets cover more. `curve` says the same of other nominal coverages.
    """
    weights = bootstrap_weights(groups, resamples, seed)
    found = {
        nominal: _sets_by_others(truth, probabilities, folds, nominal) for nominal in sorted({*COVERAGES, coverage})
    }
    rows = {
        nominal: {"nominal": nominal, **_describe(truth, plain, served, weights, confidence)}
        for nominal, (plain, served) in found.items()
    }
    held = _holds(found[coverage][1], truth)
    calibrated = calibrate(probabilities, fit_temperature(truth, probabilities))
    return {
        "quantile": fit_quantile(truth, calibrated, coverage),
        **rows[coverage],
        "per_class": {name: share(held, truth == index, weights, confidence) for index, name in enumerate(classes)},
        "curve": [rows[nominal] for nominal in COVERAGES],
    }


def _sets_by_others(truth: Integers, probabilities: Floats, folds: Integers, coverage: float) -> tuple[Flags, Flags]:
    """Each fold's plain and served sets by the temperature and quantile of the other folds."""
    plain, served = np.zeros(probabilities.shape, dtype=bool), np.zeros(probabilities.shape, dtype=bool)
    for others, here, calibrated in calibrated_by_others(truth, probabilities, folds):
        quantile = fit_quantile(truth[others], calibrated[others], coverage)
        plain[here], served[here] = plain_sets(calibrated[here], quantile), sets(calibrated[here], quantile)
    return plain, served


def _describe(truth: Integers, plain: Flags, served: Flags, weights: Floats, confidence: float) -> dict[str, Any]:
    everyone, size = np.ones(len(truth), dtype=bool), served.sum(axis=1)
    return {
        "coverage": share(_holds(served, truth), everyone, weights, confidence),
        "plain_coverage": share(_holds(plain, truth), everyone, weights, confidence),
        "empty": round(float((~plain.any(axis=1)).mean()), 6),
        "mean_size": round(float(size.mean()), 6),
        "singletons": round(float((size == 1).mean()), 6),
    }


def _holds(held: Flags, truth: Integers) -> Flags:
    return held[np.arange(len(truth)), truth]
