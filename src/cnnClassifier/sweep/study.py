"""Optuna's side of a sweep: where its trials are kept, how values are drawn, how killed trials are tried again."""

import hashlib
import logging
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from cnnClassifier.errors import ConfigError
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.tracking.client import masked
from cnnClassifier.tracking.connection import UNREADABLE, is_readable

HEARTBEAT_SECONDS = 5
GRACE_SECONDS = 60  # a trial not heard of for so long is dead
SQLITE_PATIENCE = 60  # seconds that one process waits for the other's write
PRUNE_FROM = 10  # complete trials before any is stopped early
MADE_BY_ANOTHER = (1, 4)  # seconds until tables are looked for again
RETRIES = 3  # a trial that kills its process this often is left alone
ORIGINAL = "failed_trial"  # where Optuna's callback keeps the number of the trial that one repeats

log = logging.getLogger(__name__)


@contextmanager
def _known_experimental() -> Iterator[None]:
    """Optuna calls heartbeats experimental since 2.9; we know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


with _known_experimental():
    retry_later = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)


class NumberedSampler(BaseSampler):
    """TPE (Bergstra et al. 2011), seeded anew for each trial from the sweep's seed and the trial's number.

    So a sweep that goes on, or a second process, draws what nobody has drawn; one seed for the whole would begin again.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.inner: BaseSampler = TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Take the seed of this trial."""
        digest = hashlib.sha256(f"{self.seed} {trial.number}".encode()).digest()
        self.inner = TPESampler(seed=int.from_bytes(digest[:4], "big"))
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As TPE does."""
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPE does."""
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As TPE does."""
        return self.inner.sample_independent(study, trial, param_name, param_distribution)


class MedianPruner(BasePruner):
    """Stops a trial whose mean so far is worse than the median of those complete, after as many shufflings.

    Optuna's own asks for the best mean that a trial ever had: a lucky first shuffling would save it from all others.
    """

    def __init__(self, complete: int) -> None:
        self.complete = complete

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop; never before so many are complete."""
        told = [each.intermediate_values for each in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])]
        at_this_step = [values[trial.last_step] for values in told if trial.last_step in values]
        if len(told) < self.complete or trial.last_step is None or not at_this_step:
            return False
        ahead = trial.intermediate_values[trial.last_step] - statistics.median(at_this_step)
        return ahead < 0 if study.direction == StudyDirection.MAXIMIZE else ahead > 0


def open_study(name: str, plan: SweepPlan, url: str, grace: int = GRACE_SECONDS) -> Study:
    """The study of this name, made if it is not there; ConfigError for a storage that cannot be used."""
    _log_with_us()
    if not _is_readable(url):
        raise ConfigError(f"--storage: {UNREADABLE}")
    pruner = MedianPruner(PRUNE_FROM) if plan.prune else NopPruner()
    try:
        return optuna.create_study(
            storage=_open_shared(url, grace),
            study_name=name,
            direction=plan.direction,
            sampler=NumberedSampler(plan.seed),
            pruner=pruner,
            load_if_exists=True,
        )
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
        why = " ".join(masked(str(error)).split())[:300]
        raise ConfigError(f"--storage {masked(url)}: cannot keep trials there: {why}") from None


def sqlite_url(folder: Path) -> str:
    """The address of a study's file in a folder, whatever characters its path has.

    SQLite's own URI in it, as Optuna takes braces for its own and SQLAlchemy all that follows a `?` for options. Put
    together by SQLAlchemy, whose versions differ in what they decode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "study.db").resolve().as_uri()
    return URL.create("sqlite", database=file, query={"uri": "true"}).render_as_string()


def release_dead_trials(study: Study) -> None:
    """Mark trials whose process was killed as failed, and queue them again."""
    with _known_experimental():
        fail_stale_trials(study)


def queue_again(study: Study, trial: FrozenTrial) -> None:
    """Queue a trial that somebody interrupted, as often as they like: that says nothing against it, as a kill does."""
    again = optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs | {ORIGINAL: original_number(trial)},
    )
    study.add_trial(again)


def original_number(trial: FrozenTrial) -> int:
    """The number of the trial that this one repeats, or its own."""
    return int(trial.system_attrs.get(ORIGINAL, trial.number))


def importances(study: Study, plan: SweepPlan) -> Mapping[str, float]:
    """How much of the metric's variance each parameter explains (fANOVA, Hutter et al. 2014); none of few trials."""
    names = list(plan.parameters)
    told = [trial for trial in study.get_trials(states=[TrialState.COMPLETE]) if set(names) <= set(trial.params)]
    if len(told) < PRUNE_FROM or len({trial.value for trial in told}) == 1:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=plan.seed)
    return optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)


def _is_readable(url: str) -> bool:
    try:
        return is_readable(url.format(SCHEMA_VERSION=""))  # Optuna fills it in
    except (ValueError, LookupError):
        return False


def _open_shared(url: str, grace: int) -> RDBStorage:
    """Where two processes are the first, both make Optuna's tables, and one fails: it looks again."""
    for seconds in MADE_BY_ANOTHER:
        try:
            return _open_storage(url, grace)
        except (IntegrityError, ProgrammingError) as error:
            log.info("%s: another process seems to make its tables: %s", masked(url), type(error.orig).__name__)
            time.sleep(seconds)
    return _open_storage(url, grace)


def _open_storage(url: str, grace: int) -> RDBStorage:
    sqlite = url.startswith("sqlite")
    with _known_experimental():
        return RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": SQLITE_PATIENCE}} if sqlite else {"pool_pre_ping": True},
            heartbeat_interval=min(HEARTBEAT_SECONDS, grace),
            grace_period=grace,
            heartbeat_stale_trial_callback=retry_later,
        )


def _log_with_us() -> None:
    """Optuna's lines go through our logging; what it says of each trial we say ourselves."""
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    quiet = logging.getLogger().getEffectiveLevel() > logging.DEBUG
    optuna.logging.set_verbosity(logging.ERROR if quiet else logging.DEBUG)
