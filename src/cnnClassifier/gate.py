"""Whether a new model becomes champion: pure, and the only place where that is decided."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Champion:
    """The version to beat and its score; None if the score is not recorded."""

    version: int
    score: float | None


@dataclass(frozen=True)
class Decision:
    """What to do and why, in words for the log and the model card."""

    promote: bool
    reason: str


def decide(challenger: float, champion: Champion | None, margin: float, same_data: bool) -> Decision:
    """Promote if there is no champion, or if it is beaten by more than `margin` on the same test data.

    Scores are shares of 1, higher is better; `same_data`: both were measured on the same test images.
    """
    if not math.isfinite(challenger):
        return Decision(False, f"the challenger's score is {challenger}; look at its evaluation")
    if champion is None:
        return Decision(True, f"there is no champion yet; the challenger scores {challenger:.4f}")
    if champion.score is None or not same_data:
        return Decision(False, _incomparable(champion))
    return _compare(challenger, champion.version, champion.score, margin)


def _compare(challenger: float, version: int, champion: float, margin: float) -> Decision:
    gain = challenger - champion
    scores = f"{challenger:.4f} against {champion:.4f} of version {version}"
    if gain > margin:
        return Decision(True, f"{scores}: better by {gain:.4f}, more than the margin of {margin:.4f}")
    return Decision(False, f"{scores}: a gain of {gain:+.4f} is not more than the margin of {margin:.4f}")


def _incomparable(champion: Champion) -> str:
    cause = "on other test data" if champion.score is not None else "without a record of this metric"
    return (
        f"not comparable: champion version {champion.version} was measured {cause}. "
        "Evaluate and register it again on this data, or move the alias `champion` by hand"
    )
