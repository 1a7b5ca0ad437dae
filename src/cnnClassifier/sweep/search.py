"""Runs trials until there are enough: alone or beside other processes, and after a kill where it was."""

import logging
import math
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from optuna.exceptions import TrialPruned, UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from cnnClassifier.errors import ConfigError, ModelError, TrackingError, WeightsError
from cnnClassifier.sweep.interrupt import remembered_interrupts
from cnnClassifier.sweep.judging import Bench, judge
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.sweep.results import (
    BASE,
    DEALS,
    EPOCHS,
    FINISHED,
    REASON,
    SECONDS,
    VALUES,
    Result,
    finished,
    ranked,
    result_of,
)
from cnnClassifier.sweep.space import Space, leaves, text_of
from cnnClassifier.sweep.study import original_number, queue_again, release_dead_trials
from cnnClassifier.tracking.sweeps import SweepRun, TrialRun
from cnnClassifier.tracking.values import digest_of

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
LOOK_AGAIN_SECONDS = 1.0
TALKATIVE = ("cnnClassifier.cross_validation", "cnnClassifier.fitting")  # a line a fold, for a hundred trials

log = logging.getLogger(__name__)


@dataclass
class Search:
    """A sweep at work; `folder` holds what its trials have not finished."""

    space: Space
    bench: Bench
    study: Study
    run: SweepRun
    folder: Path
    current: int | None = None

    @property
    def plan(self) -> SweepPlan:
        """What the sweep's file says."""
        return self.space.plan

    def go_on(self, trials: int, seconds: float = math.inf) -> None:
        """Run trials until `trials` are finished, or start no more after so many seconds.

        The first is that of the parameters as they stand. Trials that other processes run are waited for.
        """
        end = time.monotonic() + seconds
        release_dead_trials(self.study)
        log.info("%s: %d of %d trials are finished", self.study.study_name, len(finished(self.results())), trials)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        with remembered_interrupts() as interrupted:
            self._run_until(trials, end, interrupted)

    def _run_until(self, trials: int, end: float, interrupted: Event) -> None:
        waiting = False
        while (done := len(finished(self.results()))) < trials and time.monotonic() < end:
            if interrupted.is_set():
                raise KeyboardInterrupt
            if done + len(self._running()) < trials:
                self._run_one(trials)
                continue
            if not waiting:
                log.info("waiting for %d trials that other processes run, or for a sign that they died", trials - done)
            waiting = True
            time.sleep(LOOK_AGAIN_SECONDS)
            release_dead_trials(self.study)

    def results(self) -> list[Result]:
        """All trials so far, by number."""
        return [result_of(trial) for trial in self.study.get_trials(deepcopy=False)]

    def close(self, table: Path, status: str) -> None:
        """Tell MLflow the trials it has not got and close the sweep's run; left to the last process at work."""
        release_dead_trials(self.study)
        if self._running():
            return
        told = self.results()
        best = ranked(told, self.plan)[:1]
        try:
            self.run.log_missing([_trial_run(result) for result in finished(told)])
            self.run.finish(best[0].metrics if best else {}, table, status)
        except TrackingError as error:
            log.warning("%s. Run the same command again once the server is back", error)

    def _run_one(self, trials: int) -> None:
        self._enqueue_base()
        self.current = None
        try:
            self.study.optimize(self._objective, n_trials=1)
        except KeyboardInterrupt:
            self._retry_current()
            raise
        except UpdateFinishedTrialError:
            log.warning("trial %s was given up for dead, as after a long sleep; another takes its place", self.current)
            return
        self._tell(trials)

    def _objective(self, trial: Trial) -> float:
        self.current, started = trial.number, time.monotonic()
        is_base = BASE in trial.user_attrs and self._is_first_base(trial.number)
        values = {} if is_base else self.space.draw(trial)
        trial.set_user_attr(VALUES, values)
        if BASE in trial.user_attrs:
            trial.set_user_attr(BASE, is_base)
        # By its values too: in another storage a trial of the same number has others, and must not resume these.
        original = original_number(self._frozen(trial.number))
        scratch = self.folder / f"trial{original}-{digest_of(values)}"
        try:
            return self._judge(trial, values, scratch, can_stop=not is_base)
        except (ConfigError, ModelError) as error:
            if is_base or isinstance(error, WeightsError):
                raise
            trial.set_user_attr(REASON, str(error))
            raise TrialPruned from None  # so that the sampler keeps away from here
        finally:
            trial.set_user_attr(SECONDS, round(time.monotonic() - started, 2))

    def _judge(self, trial: Trial, values: dict[str, object], scratch: Path, *, can_stop: bool) -> float:
        """The mean of the metric over the shufflings, each reported; TrialPruned once it is hopeless."""
        if twin := self._complete_with(values):
            trial.set_user_attr(DEALS, twin.deals)
            trial.set_user_attr(EPOCHS, twin.epochs)
            return self._mean(twin.deals)
        deals: list[dict[str, float]] = []
        for deal in judge(self.space.settings(values), self.bench, self.plan.repeats, scratch):
            deals.append(deal.metrics)
            trial.set_user_attr(DEALS, deals)
            trial.set_user_attr(EPOCHS, deal.epochs)
            trial.report(self._mean(deals), len(deals))
            if can_stop and len(deals) < self.plan.repeats and trial.should_prune():
                shutil.rmtree(scratch)
                raise TrialPruned
        shutil.rmtree(scratch)
        return self._mean(deals)

    def _complete_with(self, values: dict[str, object]) -> Result | None:
        """A trial that has found what these values give: among a few choices the sampler draws the same ones again."""
        return next((each for each in self.results() if each.state == "complete" and each.values == values), None)

    def _mean(self, deals: Sequence[dict[str, float]]) -> float:
        return statistics.fmean(deal[self.plan.metric] for deal in deals)

    def _enqueue_base(self) -> None:
        """Queue the parameters as they stand, unless they are tried, being tried or queued."""
        if not any(result.is_base and result.state != "killed" for result in self.results()):
            self.study.enqueue_trial({}, user_attrs={BASE: True})

    def _is_first_base(self, number: int) -> bool:
        """Two processes that begin at once both queue the base parameters: the second of these draws others."""
        return all(each.number >= number for each in self.results() if each.is_base and each.state != "killed")

    def _retry_current(self) -> None:
        if self.current is not None and self._frozen(self.current).state == TrialState.FAIL:
            queue_again(self.study, self._frozen(self.current))

    def _tell(self, trials: int) -> None:
        """Log the trial that has just ended, for people and in MLflow; a lost server costs a warning."""
        told = self.results()
        if self.current is None or (mine := told[self.current]).state not in FINISHED:
            return
        log.info("%d of %d: %s", len(finished(told)), trials, describe(mine, self.plan.metric))
        try:
            self.run.log_trial(_trial_run(mine))
        except TrackingError as error:
            log.warning("%s. The trial is kept, and logged when the sweep ends or goes on", error)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])


def describe(result: Result, metric: str) -> str:
    """A trial in one line."""
    found = f"{metric} {result.metrics[metric]:.4f}" if result.deals else result.reason
    stopped = ", stopped early" if result.state == "pruned" else ""
    return f"trial {result.number} in {result.seconds:.1f} s: {found}{stopped} ({values_line(result)})"


def values_line(result: Result) -> str:
    """What a trial changed, by the last parts of the names."""
    changed = (f"{name.rpartition('.')[2]} {_short(value)}" for name, value in leaves(result.values))
    return "the base parameters" if result.is_base else ", ".join(changed)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else text_of(value)


def _trial_run(result: Result) -> TrialRun:
    if result.started is None or result.ended is None:
        raise ValueError(f"trial {result.number} has not ended")
    deviations = {f"{name}.deviation": result.deviation(name) for name in result.metrics}
    metrics = result.metrics | {name: value for name, value in deviations.items() if value is not None}
    metrics |= {"seconds": result.seconds or 0.0} | ({"epochs": float(result.epochs)} if result.epochs else {})
    tags = {"sweep.state": result.state, "sweep.base": str(result.is_base).lower(), "sweep.reason": result.reason}
    return TrialRun(
        number=result.number,
        parameters=result.values,
        metrics=metrics,
        tags=tags,
        status=STATUS[result.state],
        started=result.started,
        ended=result.ended,
    )
