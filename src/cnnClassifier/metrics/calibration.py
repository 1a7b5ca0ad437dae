"""Do probabilities mean what they say: temperature scaling, and what is measured before and after it.

Arrays: `truth` (n,) class indices; `probabilities` (n, classes), rows summing to 1; `folds` (n,) the part each
image was predicted in, by a model that had not seen it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cnnClassifier.decision import calibrate
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.classification import SMALLEST_PROBABILITY, Floats, Integers
from cnnClassifier.metrics.report import Flags

TEMPERATURES = (0.05, 20.0)  # the range searched: beyond it a model is all certainty or all guess
BINS = 15
CHANCE_DRAWS = 200


def fit_temperature(truth: Integers, probabilities: Floats, weights: Floats | None = None) -> float:
    """The temperature of least negative log likelihood, to six decimals, in the range of TEMPERATURES.

    Guo et al. 2017, "On Calibration of Modern Neural Networks"; `weights` (n,) how much each image counts. Of
    predictions without a mistake no temperature can be learned: the lowest of the range is given. Raises DataError
    for no images and for what is not a probability.
    """
    _check(truth, probabilities)
    # The logarithm of 0 is none, and one certain mistake must not decide everything.
    floored = np.clip(probabilities, SMALLEST_PROBABILITY, 1)

    def loss(log_temperature: float) -> float:
        return log_loss(truth, calibrate(floored, float(np.exp(log_temperature))), weights)

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-7})
    # Where nothing is wrong the loss is flat, and the search ends somewhere on it.
    best = found.x if found.fun < loss(np.log(TEMPERATURES[0])) else np.log(TEMPERATURES[0])
    return round(float(np.exp(best)), 6)


def log_loss(truth: Integers, probabilities: Floats, weights: Floats | None = None) -> float:
    """Mean negative logarithm, in nats, of the true class's probability."""
    certainty = np.clip(probabilities[np.arange(len(truth)), truth], SMALLEST_PROBABILITY, 1)
    return float(np.average(-np.log(certainty), weights=weights))


def brier(truth: Integers, probabilities: Floats) -> float:
    """Mean squared distance from the truth, summed over classes (Brier 1950): 0 is best, 2 is worst."""
    one_hot = np.eye(probabilities.shape[1])[truth]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def expected_calibration_error(truth: Integers, probabilities: Floats, bins: int = BINS) -> float:
    """Mean distance, over images, between the most probable class's probability and how often it is right.

    The images are compared in bins of equal numbers: most are near 1, and in bins of equal width one or two hold
    nearly all of them and hide their error (Nguyen and O'Connor 2015; Nixon et al. 2019).
    """
    return _binned_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, bins)


def debiased_calibration_error(
    truth: Integers, probabilities: Floats, groups: NDArray[np.str_], bins: int = BINS
) -> float:
    """Root mean squared distance of accuracy from confidence, less what chance adds to each bin; 0 at least.

    The estimator of Kumar, Liang and Ma 2019 ("Verified Uncertainty Calibration", section 5) on the same bins. Images
    of one of `groups` (n), a patient, are right or wrong together, so what chance adds is the variance of a mean over
    groups (Liang and Zeger 1986), not over images. A bin of a single group says nothing and counts as 0.
    """
    confidence = probabilities.max(axis=1)
    surplus = (probabilities.argmax(axis=1) == truth) - confidence
    number = _bin_numbers(confidence, bins)
    count = np.bincount(number)
    distance = np.bincount(number, surplus) / count
    noise = _variance_of_means(surplus - distance[number], number, groups)
    left = np.where(np.isfinite(noise), distance**2 - noise, 0)
    return float(np.sqrt(max(np.average(left, weights=count), 0)))


def reliability(truth: Integers, probabilities: Floats, bins: int = BINS) -> Floats:
    """The reliability diagram: one row a bin of equal numbers, its mean confidence, accuracy and count."""
    return _bin(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, bins)


def calibration_report(
    truth: Integers, probabilities: Floats, folds: Integers, groups: NDArray[np.str_], *, bins: int = BINS, seed: int
) -> dict[str, Any]:
    """The temperature of all images, and error before and after calibration.

    "after" is cross-fitted: each fold at the temperature of the others, so no image helps to choose its own. `ece`
    has two more, since few images never give 0: `by_chance`, the mean of CHANCE_DRAWS where every probability is
    true and every image stands for itself, and `debiased`, what is left of "after" without chance, which is larger
    where images share one of `groups` (n).
    """
    after = cross_calibrate(truth, probabilities, folds)
    measures: dict[str, Callable[[Integers, Floats], float]] = {
        "ece": partial(expected_calibration_error, bins=bins),
        "brier": brier,
        "log_loss": log_loss,
    }
    report = {
        name: {"before": round(measure(truth, probabilities), 6), "after": round(measure(truth, after), 6)}
        for name, measure in measures.items()
    }
    report["ece"]["debiased"] = round(debiased_calibration_error(truth, after, groups, bins), 6)
    report["ece"]["by_chance"] = round(_error_by_chance(after.max(axis=1), bins, seed), 6)
    return {"temperature": fit_temperature(truth, probabilities), **report}


def cross_calibrate(truth: Integers, probabilities: Floats, folds: Integers) -> Floats:
    """Each fold's probabilities at the temperature fitted on the other folds."""
    calibrated = np.empty(probabilities.shape)
    for _, here, by_the_others in calibrated_by_others(truth, probabilities, folds):
        calibrated[here] = by_the_others[here]
    return calibrated


def calibrated_by_others(
    truth: Integers, probabilities: Floats, folds: Integers
) -> Iterator[tuple[Flags, Flags, Floats]]:
    """For each fold: which images (n,) lie in the others, which in it, and all at the temperature of the others.

    What is then chosen on the others can be judged on it. Raises DataError when there is only one fold.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise DataError(f"cross-fitting needs predictions of two folds or more. Received: {len(names)}")
    for fold in names:
        others = folds != fold
        yield others, ~others, calibrate(probabilities, fit_temperature(truth[others], probabilities[others]))


def _bin(confidence: Floats, right: Flags, bins: int) -> Floats:
    number = _bin_numbers(confidence, bins)
    count = np.bincount(number)
    means = [np.bincount(number, values) / count for values in (confidence, right)]
    return np.column_stack([*means, count])


def _bin_numbers(confidence: Floats, bins: int) -> Integers:
    """Each image's bin, from 0 without a gap."""
    # By rank, so that equal confidences share a bin whatever the order of the images.
    rank = np.searchsorted(np.sort(confidence), confidence)
    return np.unique(rank * bins // len(confidence), return_inverse=True)[1]


def _variance_of_means(residuals: Floats, number: Integers, groups: NDArray[np.str_]) -> Floats:
    """How far each bin's mean lies from the true one, squared: of groups drawn, not of images; infinite for one."""
    group = np.unique(groups, return_inverse=True)[1]
    pairs, pair = np.unique(number * len(groups) + group, return_inverse=True)
    bin_of = pairs // len(groups)
    spread = np.bincount(bin_of, np.bincount(pair, residuals) ** 2) / np.bincount(number) ** 2
    drawn = np.bincount(bin_of)
    return np.where(drawn > 1, spread * drawn / np.maximum(drawn - 1, 1), np.inf)


def _binned_error(confidence: Floats, right: Flags, bins: int) -> float:
    mean_confidence, accuracy, count = _bin(confidence, right, bins).T
    return float(np.average(np.abs(mean_confidence - accuracy), weights=count))


def _error_by_chance(confidence: Floats, bins: int, seed: int) -> float:
    draw = np.random.default_rng(seed)
    right = draw.random((CHANCE_DRAWS, len(confidence))) < confidence
    return float(np.mean([_binned_error(confidence, one, bins) for one in right]))


def _check(truth: Integers, probabilities: Floats) -> None:
    if not len(truth):
        raise DataError("no predictions to fit a temperature on")
    if not np.isfinite(probabilities).all() or (probabilities < 0).any():
        row = int(np.argmin((np.isfinite(probabilities) & (probabilities >= 0)).all(axis=1)))
        raise DataError(f"prediction {row} is not a row of probabilities: {probabilities[row]}; train the model again")
