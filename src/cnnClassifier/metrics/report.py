"""A set of predictions as metrics.json says it: every metric with its bootstrap interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.classification import (
    OVERALL,
    PER_CLASS,
    Floats,
    Integers,
    Scores,
    bootstrap_weights,
    score,
)

# Cells of the (draws, images) arrays worked on at a time: some hundred MB, whatever the size of the test set.
CELLS_AT_A_TIME = 4_000_000
FEWEST_DRAWS = 0.8  # of all, for an interval of a mean over classes

Flags = NDArray[np.bool_]
Interval = dict[str, float | None]


def report(
    truth: Integers,
    probabilities: Floats,
    groups: NDArray[np.str_],
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
    positive: Sequence[int] = (),
) -> dict[str, Any]:
    """Overall and per-class metrics, each `{value, low, high}`; `low` and `high` are percentile limits.

    With `positive` classes (indices) also `any_positive`: how often an image of any of them is called any of
    them (sensitivity), and one of the others any of the others (specificity), the most probable class being the call.
    The interval is that of the test set as drawn: what another model would score after another training
    is not in it, and of a single group there is none. What cannot be said, such as the recall of a class without
    images, is None. Raises
    DataError when there are no images at all.
    """
    if not len(truth):
        raise DataError("no test images to report on; see the `test` split in audit.json")
    point = score(truth, probabilities, np.ones((1, len(truth))))
    weights = bootstrap_weights(groups, resamples, seed)
    draws = score_in_parts(truth, probabilities, weights)
    called = np.isin(probabilities.argmax(axis=1), positive)
    count = len(np.unique(groups))
    found = {
        "images": len(truth),
        "groups": count,
        **{
            name: with_interval(getattr(point, name)[0], getattr(draws, name), confidence, FEWEST_DRAWS)
            for name in OVERALL
        },
        **({"any_positive": two_rates(np.isin(truth, positive), called, weights, confidence)} if positive else {}),
        "per_class": {
            label: {"support": int((truth == index).sum()), **_one_class(index, point, draws, confidence)}
            for index, label in enumerate(classes)
        },
    }
    return found if count > 1 else _without_limits(found)  # every draw is that one group


def two_rates(positive: Flags, called: Flags, weights: Floats, confidence: float) -> dict[str, Interval]:
    """Sensitivity and specificity of calling images (n,) positive, with intervals over the draws of `weights`."""
    return {
        "sensitivity": share(called, positive, weights, confidence),
        "specificity": share(~called, ~positive, weights, confidence),
    }


def share(hit: Flags, among: Flags, weights: Floats, confidence: float) -> Interval:
    """How large a part of the images `among` (n,) is `hit` (n,), with its interval over the draws of `weights`."""
    hits, all_of_them = weights @ (hit & among), weights @ among.astype(np.float64)
    drawn = np.divide(hits, all_of_them, out=np.full(len(weights), np.nan), where=all_of_them > 0)
    return with_interval(hit[among].mean() if among.any() else np.nan, drawn, confidence)


def score_in_parts(truth: Integers, probabilities: Floats, weights: Floats) -> Scores:
    """What `score` gives, in bounded memory however many draws and images there are."""
    rows = max(1, CELLS_AT_A_TIME // len(truth))
    parts = [score(truth, probabilities, weights[first : first + rows]) for first in range(0, len(weights), rows)]
    return Scores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in OVERALL + PER_CLASS})


def with_interval(value: float, drawn: Floats, confidence: float, fewest: float = 0.0) -> Interval:
    """`{value, low, high}`: a value and the percentiles of its bootstrap draws that hold `confidence` of them.

    Draws of which the value cannot be said, having lost a class, are left out. There are no limits where less than a
    share `fewest` is left: those draws are much alike, as each has the few groups of the rarest class.
    """
    said = drawn[~np.isnan(drawn)]
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    if len(said) < max(1, fewest * len(drawn)):
        return {"value": round(float(value), 6), "low": None, "high": None}
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(said, [tail, 100 - tail])
    return {"value": round(float(value), 6), "low": round(float(low), 6), "high": round(float(high), 6)}


def _without_limits(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if name in ("low", "high") else _without_limits(value) if isinstance(value, Mapping) else value
        for name, value in tree.items()
    }


def _one_class(index: int, point: Scores, draws: Scores, confidence: float) -> dict[str, Interval]:
    return {
        name: with_interval(getattr(point, name)[0, index], getattr(draws, name)[:, index], confidence)
        for name in PER_CLASS
    }
