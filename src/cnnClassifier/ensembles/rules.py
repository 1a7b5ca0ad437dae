"""What the mean of several models is worth and how it answers, from their out-of-fold predictions. Pure.

Each member is calibrated by its own temperature; the mean is not calibrated again, so that what is served is the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnnClassifier.config.types import EvaluationConfig
from cnnClassifier.decision import ConformalRule, DecisionSpec, OperatingPoint, OutlierRule, calibrate
from cnnClassifier.metrics.calibration import calibration_report, debiased_calibration_error
from cnnClassifier.metrics.classification import bootstrap_weights
from cnnClassifier.metrics.comparison import compare
from cnnClassifier.metrics.conformal import fit_quantile, sets
from cnnClassifier.metrics.operating import choose_threshold, positive_score
from cnnClassifier.metrics.predictions import Predictions, folds_of
from cnnClassifier.metrics.report import Flags, report, share, two_rates

BALANCED = "balanced_accuracy"


@dataclass(frozen=True)
class Fitted:
    """The mean's out-of-fold predictions, its metrics as metrics.json has them, and its rules for answers."""

    table: Predictions
    metrics: dict[str, Any]
    decision: DecisionSpec


def mean_of(tables: Sequence[Predictions], temperatures: Sequence[float]) -> Predictions:
    """The mean of the members' calibrated out-of-fold predictions of the same images in the same order."""
    each = [calibrate(table.probabilities, t) for table, t in zip(tables, temperatures, strict=True)]
    return replace(tables[0], probabilities=np.mean(each, axis=0))


def fit_rules(table: Predictions, config: EvaluationConfig, outliers: OutlierRule | None) -> Fitted:
    """Report on the mean, and fit threshold and conformal set on it; `outliers` is the rule it takes over.

    What is reported of a rule is cross-fitted: each fold is judged by the rule that the other folds would choose.
    ConfigError for a positive class that is none of the table's.
    """
    draws: dict[str, Any] = {"resamples": config.resamples, "confidence": config.confidence, "seed": config.seed}
    positive = _positive(table, config)
    judged = (table.truth, table.probabilities, table.groups, table.classes)
    metrics: dict[str, Any] = {
        "grouped_cv": report(*judged, positive=positive, **draws),
        "calibration": _calibration(table, config.seed),
    }
    weights = bootstrap_weights(table.groups, config.resamples, config.seed)
    conformal = ConformalRule(
        coverage=config.coverage, quantile=fit_quantile(table.truth, table.probabilities, config.coverage)
    )
    metrics["conformal"] = {
        "quantile": conformal.quantile,
        "nominal": config.coverage,
        **_sets(table, config.coverage, weights, config.confidence),
    }
    operating = None
    if config.operating is not None:
        is_positive, score = np.isin(table.truth, positive), positive_score(table.probabilities, positive)
        target = config.operating.sensitivity
        threshold = choose_threshold(score, is_positive, target)
        operating = OperatingPoint(positive=config.operating.positive, threshold=threshold)
        metrics["operating"] = {
            "positive": list(config.operating.positive),
            "threshold": threshold,
            "target_sensitivity": target,
            **two_rates(is_positive, _called(table, score, is_positive, target), weights, config.confidence),
        }
    decision = DecisionSpec(outliers=outliers, operating=operating, conformal=conformal, abstain=config.abstain)
    return Fitted(table, metrics, decision)


def against_best_member(mean: Predictions, members: Sequence[Predictions], config: EvaluationConfig) -> dict[str, Any]:
    """How much better the mean is than its best member, by balanced accuracy: paired bootstrap over groups."""
    found = [
        compare(
            mean.truth,
            mean.probabilities,
            each.probabilities,
            mean.groups,
            BALANCED,
            resamples=config.resamples,
            confidence=1 - (1 - config.confidence) / 2,
            seed=config.seed,
        )
        for each in members
    ]
    best = int(np.argmax([each.champion for each in found]))
    gain = found[best]
    return {"member": best, "value": round(gain.gain, 6), "low": round(gain.low, 6), "high": round(gain.high, 6)}


def _positive(table: Predictions, config: EvaluationConfig) -> tuple[int, ...]:
    return config.operating.indices(table.classes) if config.operating else ()


def _calibration(table: Predictions, seed: int) -> dict[str, Any]:
    """Errors of the mean as it is served: what a further temperature would make of it is left out."""
    found = calibration_report(table.truth, table.probabilities, folds_of(table), table.groups, seed=seed)
    errors = {name: {"before": found[name]["before"], "after": found[name]["before"]} for name in ("brier", "log_loss")}
    ece = found["ece"]["before"]
    debiased = round(debiased_calibration_error(table.truth, table.probabilities, table.groups), 6)
    return {"temperature": 1.0, "ece": {"before": ece, "after": ece, "debiased": debiased}, **errors}


def _called(table: Predictions, score: np.ndarray, is_positive: Flags, target: float) -> Flags:
    """Which images (n,) are called positive by the threshold that the other folds would choose."""
    folds, called = folds_of(table), np.zeros(len(score), bool)
    for here in (folds == number for number in np.unique(folds)):
        called[here] = score[here] >= choose_threshold(score[~here], is_positive[~here], target)
    return called


def _sets(table: Predictions, coverage: float, weights: np.ndarray, confidence: float) -> dict[str, Any]:
    """How often the set holds the truth, and how large it is, by the quantile that the other folds would choose."""
    folds, held = folds_of(table), np.zeros(table.probabilities.shape, bool)
    for here in (folds == number for number in np.unique(folds)):
        quantile = fit_quantile(table.truth[~here], table.probabilities[~here], coverage)
        held[here] = sets(table.probabilities[here], quantile)
    size, everyone = held.sum(axis=1), np.ones(len(held), bool)
    return {
        "coverage": share(held[np.arange(len(held)), table.truth], everyone, weights, confidence),
        "mean_size": round(float(size.mean()), 6),
        "singletons": round(float((size == 1).mean()), 6),
    }
