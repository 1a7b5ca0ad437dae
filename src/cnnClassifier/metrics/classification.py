"""Classification metrics for many weightings of the images at once, so that a bootstrap is one call.

Arrays: `truth` (n,) class indices; `probabilities` (n, classes), rows summing to 1; `weights`
(draws, n), how often each image counts in each draw. A metric is (draws,) or (draws, classes);
nan where a draw lacks what it needs. scikit-learn gives the same numbers, one draw at a time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Scores:
    """All metrics of one set of predictions under each draw's weights."""

    accuracy: Floats
    balanced_accuracy: Floats
    macro_f1: Floats
    macro_roc_auc: Floats
    macro_pr_auc: Floats
    loss: Floats
    precision: Floats
    recall: Floats
    f1: Floats


OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "macro_roc_auc", "macro_pr_auc", "loss")
PER_CLASS = ("precision", "recall", "f1")


def score(truth: Integers, probabilities: Floats, weights: Floats) -> Scores:
    """Compute every metric; the predicted class is the most probable one, the loss is in nats."""
    counts = confusion(truth, probabilities, weights)
    support, called = counts.sum(axis=2), counts.sum(axis=1)
    hits = np.diagonal(counts, axis1=1, axis2=2)
    recall = _ratio(hits, support)
    # A class that occurs but is never called has precision 0 here, as in scikit-learn's zero_division=0.
    precision = np.where(support > 0, np.nan_to_num(_ratio(hits, called)), np.nan)
    f1 = np.where(support > 0, _ratio(2 * hits, support + called), np.nan)
    curves = [_areas(truth == label, probabilities[:, label], weights) for label in range(probabilities.shape[1])]
    certainty = np.clip(probabilities[np.arange(len(truth)), truth], SMALLEST_PROBABILITY, 1)
    return Scores(
        accuracy=_ratio(hits.sum(axis=1), counts.sum(axis=(1, 2))),
        balanced_accuracy=_mean(recall, truth),
        macro_f1=_mean(f1, truth),
        macro_roc_auc=_mean(np.stack([roc for roc, _ in curves], axis=1), truth),
        macro_pr_auc=_mean(np.stack([pr for _, pr in curves], axis=1), truth),
        loss=_ratio(weights @ -np.log(certainty), weights.sum(axis=1)),
        precision=precision,
        recall=recall,
        f1=f1,
    )


def confusion(truth: Integers, probabilities: Floats, weights: Floats) -> Floats:
    """Weighted counts (draws, true class, predicted class)."""
    classes = probabilities.shape[1]
    cells = np.eye(classes * classes)[truth * classes + probabilities.argmax(axis=1)]
    counts: Floats = weights @ cells
    return counts.reshape(-1, classes, classes)


def bootstrap_weights(groups: NDArray[np.str_], resamples: int, seed: int) -> Floats:
    """How often each image counts when whole groups are drawn with replacement, (resamples, n).

    Images of one patient are not independent; drawing them singly makes intervals too narrow
    (Field and Welsh 2007, the cluster bootstrap).
    """
    names, member_of = np.unique(groups, return_inverse=True)
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, member_of].astype(np.float64)


def _areas(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision for each draw, ties counted as one threshold."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    positives, negatives = weights[:, order] * positive[order], weights[:, order] * ~positive[order]
    hits = np.cumsum(positives, axis=1)[:, last_of_tie]
    false_alarms = np.cumsum(negatives, axis=1)[:, last_of_tie]
    tpr, fpr = _ratio(hits, hits[:, -1:]), _ratio(false_alarms, false_alarms[:, -1:])
    start = np.zeros((len(weights), 1))
    roc_auc = np.trapezoid(np.hstack([start, tpr]), np.hstack([start, fpr]), axis=1)
    precision = np.nan_to_num(_ratio(hits, hits + false_alarms))
    average_precision = (np.diff(np.hstack([start, tpr]), axis=1) * precision).sum(axis=1)
    return roc_auc, average_precision


def _ratio(above: Floats, below: Floats) -> Floats:
    quotient = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def _mean(values: Floats, truth: Integers) -> Floats:
    """Mean over the classes that the images have, nan for a draw that lacks one of them.

    The mean of the others would be another metric: it jumps where the missing class is an easy or a hard one.
    """
    mean: Floats = values[:, np.unique(truth)].mean(axis=1)
    return mean
