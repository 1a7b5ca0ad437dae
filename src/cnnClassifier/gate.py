"""Whether a new model becomes champion: pure, and the only place where that is decided."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnClassifier.config.types import RegistrationConfig
from cnnClassifier.metrics.comparison import Comparison, compare
from cnnClassifier.metrics.predictions import Predictions

COMMON = 0.9  # the least share of the challenger's images that the champion must have answered too
RESAMPLES = 2000
SEED = 0


@dataclass(frozen=True)
class Rival:
    """The champion to beat: how the challenger compares with it or, if it does not, the obstacle."""

    version: int
    comparison: Comparison | None
    obstacle: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do, why in plain words without a full stop, and the numbers that were looked at."""

    promote: bool
    reason: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class _Check:
    passed: bool
    reason: str
    numbers: Mapping[str, float]


def decide_promotion(
    score: float,
    rival: Rival | None,
    metrics: Mapping[str, Any],
    audit: Mapping[str, Any],
    bars: RegistrationConfig,
) -> Decision:
    """Promote a version that beats its rival, is calibrated, and learned from data that met the audit's policy.

    `score` is the challenger's `bars.metric`; `rival` is None where there is no champion: the other two are asked
    of a first champion all the same. `metrics` is metrics.json (calibration.ece.debiased, a share of 1), `audit`
    audit.json (policy: {satisfied, broken: [sentences]}).
    """
    checks = (_superior(score, rival, bars), _calibrated(metrics, bars.calibration_error), _policy(audit))
    failed = [check.reason for check in checks if not check.passed]
    numbers = {name: value for check in checks for name, value in check.numbers.items() if math.isfinite(value)}
    if failed:
        return Decision(False, "; ".join(failed), numbers)
    return Decision(True, "; ".join(check.reason for check in checks), numbers)


def with_way_round(reason: str, promoted: bool, version: int, name: str | None = None) -> str:
    """A decision's reason and, if it did not promote, what a person may do; `name` where it is not the active one's."""
    if promoted:
        return reason
    named = f" --name {name}" if name else ""
    return f'{reason}. `python main.py promote {version}{named} --because "..."` makes it champion all the same'


def compare_with_champion(
    version: int,
    challenger: Predictions,
    champion: Predictions,
    bars: RegistrationConfig,
    left_out: Collection[str] = (),
) -> Rival:
    """Compare two versions on the images that both have answered, matched by the SHA-256 of their files.

    `left_out` are ids of images that the metric is not about. Labels and groups are the challenger's: those of the
    data as it is now. The interval is that of a paired bootstrap over groups (metrics/comparison.py), its lower limit
    one-sided at `bars.confidence`. Raises DataError where the metric cannot be said of the images.
    """
    if set(challenger.classes) != set(champion.classes):
        return Rival(version, None, f"it answers other classes: {', '.join(champion.classes)}")
    asked = [row for row, name in enumerate(challenger.ids) if name not in left_out]
    mine, theirs = _common_rows(asked, challenger.sha256, champion.sha256)
    if len(mine) < COMMON * len(asked) or not asked:
        return Rival(
            version, None, f"it has answered {len(mine)} of the {len(asked)} images, and {COMMON:.0%} are needed"
        )
    columns = [champion.classes.index(name) for name in challenger.classes]
    comparison = compare(
        challenger.truth[mine],
        challenger.probabilities[mine],
        champion.probabilities[theirs][:, columns],
        challenger.groups[mine],
        bars.metric.rpartition(".")[2],
        resamples=RESAMPLES,
        confidence=bars.confidence,
        seed=SEED,
    )
    return Rival(version, comparison)


def _common_rows(asked: Sequence[int], mine: Sequence[str], theirs: Sequence[str]) -> tuple[list[int], list[int]]:
    """Rows of one and the same image in both tables; of one that occurs twice in theirs, the last."""
    row_of = {sha256: row for row, sha256 in enumerate(theirs)}
    common = [row for row in asked if mine[row] in row_of]
    return common, [row_of[mine[row]] for row in common]


def _superior(score: float, rival: Rival | None, bars: RegistrationConfig) -> _Check:
    if not math.isfinite(score):
        return _Check(False, f"its {bars.metric} is {score}: look at its evaluation", {})
    numbers = {"score": score}
    if rival is None:
        return _Check(True, f"there was no champion before, and its {bars.metric} is {score:.4f}", numbers)
    if rival.comparison is None:
        return _Check(False, f"it cannot be compared with champion version {rival.version}: {rival.obstacle}", numbers)
    return _better(rival.version, rival.comparison, bars, numbers)


def _better(version: int, found: Comparison, bars: RegistrationConfig, numbers: Mapping[str, float]) -> _Check:
    numbers = {
        **numbers,
        "challenger": found.challenger,
        "champion": found.champion,
        "gain": found.gain,
        "low": found.low,
        "high": found.high,
        "probability_better": found.probability_better,
    }
    passed = found.low > bars.margin
    reason = (
        f"{bars.metric} {found.challenger:.4f} against {found.champion:.4f} of version {version}: a gain of "
        f"{found.gain:+.4f}, with {bars.confidence:.0%} confidence above {found.low:+.4f}, which is "
        f"{'more' if passed else 'not more'} than the margin of {bars.margin:.4f}"
    )
    return _Check(passed, reason, numbers)


def _calibrated(metrics: Mapping[str, Any], bar: float) -> _Check:
    try:
        ece = float(metrics["calibration"]["ece"]["debiased"])
    except (KeyError, TypeError):
        return _Check(False, "its calibration was not measured: metrics.json has no calibration.ece.debiased", {})
    passed = ece <= bar
    side = "within" if passed else "above"
    reason = f"its calibration error, less what chance adds, is {ece:.3f}, {side} the bar of {bar:.3f}"
    return _Check(passed, reason, {"ece": ece})


def _policy(audit: Mapping[str, Any]) -> _Check:
    policy = audit.get("policy", {})
    if policy.get("satisfied") is True:
        return _Check(True, "the audit's policy is satisfied", {"policy_broken": 0})
    broken = policy.get("broken") or ["audit.json does not say that it is satisfied"]
    return _Check(False, f"the audit's policy is broken: {', '.join(broken)}", {"policy_broken": len(broken)})
