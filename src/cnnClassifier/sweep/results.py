"""A trial as tables need it: read back from what Optuna keeps of it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from cnnClassifier.sweep.plan import SweepPlan

BASE, VALUES, DEALS, EPOCHS, SECONDS, REASON = "base", "values", "deals", "epochs", "seconds", "reason"
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "killed",
          TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}  # fmt: skip
FINISHED = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Result:
    """One trial: `values` are what it changed (nothing, for the base parameters), `deals` one set of metrics for each
    shuffling of the folds that it got to. `state`: complete, pruned (stopped early), failed (`reason` says why),
    killed (another trial took its place), running or waiting.
    """

    number: int
    state: str
    is_base: bool
    values: dict[str, Any]
    deals: tuple[dict[str, float], ...]
    epochs: int | None
    seconds: float | None
    reason: str
    started: datetime | None
    ended: datetime | None

    @property
    def metrics(self) -> dict[str, float]:
        """Each metric's mean over the shufflings."""
        return {name: statistics.fmean(self.of(name)) for name in (self.deals[0] if self.deals else ())}

    def of(self, metric: str) -> list[float]:
        """A metric on each shuffling."""
        return [deal[metric] for deal in self.deals]

    def deviation(self, metric: str) -> float | None:
        """A metric's deviation over the shufflings; None of one."""
        return statistics.stdev(self.of(metric)) if len(self.deals) > 1 else None


def result_of(trial: FrozenTrial) -> Result:
    """A trial as Optuna has it, in our words."""
    kept = trial.user_attrs
    return Result(
        number=trial.number,
        state="failed" if REASON in kept else STATES[trial.state],
        is_base=bool(kept.get(BASE)),
        values=kept.get(VALUES, {}),
        deals=tuple(kept.get(DEALS, ())),
        epochs=kept.get(EPOCHS),
        seconds=kept.get(SECONDS),
        reason=kept.get(REASON, ""),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
    )


def finished(results: Sequence[Result]) -> list[Result]:
    """Those that count as tried."""
    return [result for result in results if result.state in FINISHED]


def ranked(results: Sequence[Result], plan: SweepPlan) -> list[Result]:
    """The complete ones, best first; of equals the earliest."""
    complete = [result for result in results if result.state == "complete"]
    return sorted(complete, key=lambda result: result.metrics[plan.metric], reverse=plan.direction == "maximize")


def base_of(results: Sequence[Result]) -> Result | None:
    """The trial of the parameters as they stand, once it is complete."""
    return next((result for result in results if result.is_base and result.state == "complete"), None)
