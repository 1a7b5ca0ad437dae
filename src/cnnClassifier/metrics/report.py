"""A set of predictions as metrics.json says it: every metric with its bootstrap interval."""

from collections.abc import Sequence
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


def report(
    truth: Integers,
    probabilities: Floats,
    groups: NDArray[np.str_],
    classes: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """Overall and per-class metrics, each `{value, low, high}`; `low` and `high` are percentile limits.

    The interval is that of the test set as drawn: what another model would score after another training
    is not in it. What cannot be said, such as the recall of a class without images, is None. Raises
    DataError when there are no images at all.
    """
    if not len(truth):
        raise DataError("no test images to report on; see the `test` split in audit.json")
    point = score(truth, probabilities, np.ones((1, len(truth))))
    draws = _score_in_parts(truth, probabilities, bootstrap_weights(groups, resamples, seed))
    return {
        "images": len(truth),
        "groups": len(np.unique(groups)),
        **{name: _with_interval(getattr(point, name)[0], getattr(draws, name), confidence) for name in OVERALL},
        "per_class": {
            label: {
                "support": int((truth == index).sum()),
                **{
                    name: _with_interval(getattr(point, name)[0, index], getattr(draws, name)[:, index], confidence)
                    for name in PER_CLASS
                },
            }
            for index, label in enumerate(classes)
        },
    }


def _score_in_parts(truth: Integers, probabilities: Floats, weights: Floats) -> Scores:
    rows = max(1, CELLS_AT_A_TIME // len(truth))
    parts = [score(truth, probabilities, weights[first : first + rows]) for first in range(0, len(weights), rows)]
    return Scores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in OVERALL + PER_CLASS})


def _with_interval(value: float, drawn: Floats, confidence: float) -> dict[str, float | None]:
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return {"value": round(float(value), 6), "low": round(float(low), 6), "high": round(float(high), 6)}
