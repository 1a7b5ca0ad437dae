"""A sweep in MLflow: one parent run, found again by its study's name, and a child run for each trial."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnnClassifier.batching import batches
from cnnClassifier.config.types import Settings
from cnnClassifier.tracking.client import import_mlflow, tracking_errors
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.identity import run_tags
from cnnClassifier.tracking.run import PARAMETERS_AT_ONCE, experiment_id
from cnnClassifier.tracking.values import legal_name, parameters

log = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"
STUDY, TRIAL = "sweep.study", "sweep.trial"
UNFINISHED = "RUNNING"  # of a trial's run: its writing was cut short, for it is made when the trial is over
PAGE = 1000  # runs in one answer


@dataclass(frozen=True)
class TrialRun:
    """What a child run says of a trial: `parameters` that vary by dotted name, `status` as MLflow calls it."""

    number: int
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    status: str
    started: datetime
    ended: datetime


@dataclass(frozen=True)
class SweepRun:
    """The open parent run."""

    connection: Connection
    experiment_id: str
    run_id: str
    name: str

    def log_trial(self, trial: TrialRun) -> None:
        """Write one trial as a child run; TrackingError if the server is lost."""
        with tracking_errors(self.connection.uri, f"log trial {trial.number}"):
            self._write(trial)

    def log_missing(self, trials: list[TrialRun]) -> None:
        """Write those trials that the server has not got: of a process that was killed, or while it was away."""
        with tracking_errors(self.connection.uri, "log the trials"):
            known = self._logged()
            for trial in trials:
                run_id, status = known.get(trial.number, (None, UNFINISHED))
                if status == UNFINISHED:
                    self._write(trial, run_id)

    def finish(
        self, best: Mapping[str, float], table: Path, status: str, tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Log the best trial's metrics and the table of all, and close the run."""
        client = self.connection.client
        with tracking_errors(self.connection.uri, "finish the sweep's run"):
            for name, text in tags.items():
                client.set_tag(self.run_id, name, text)
            for name, value in best.items():
                client.log_metric(self.run_id, legal_name(f"best.{name}"), value)
            client.log_artifact(self.run_id, str(table))
            client.set_terminated(self.run_id, status)

    def close(self, status: str) -> None:
        """Close the run before it is complete; the next call goes on with it."""
        with tracking_errors(self.connection.uri, "close the sweep's run"):
            self.connection.client.set_terminated(self.run_id, status)

    def _logged(self) -> dict[int, tuple[str, str]]:
        """Each logged trial's run and its status."""
        client, token = self.connection.client, None
        found: dict[int, tuple[str, str]] = {}
        wanted = f"tags.`{PARENT}` = '{self.run_id}'"
        while True:
            page = client.search_runs([self.experiment_id], wanted, max_results=PAGE, page_token=token)
            found |= {int(run.data.tags[TRIAL]): (run.info.run_id, run.info.status) for run in page}
            token = page.token
            if not token:
                return found

    def _write(self, trial: TrialRun, run_id: str | None = None) -> None:
        """As a new child run, or into one whose writing was cut short."""
        client, entities = self.connection.client, import_mlflow().entities
        started, ended = (int(moment.timestamp() * 1000) for moment in (trial.started, trial.ended))
        if run_id is None:
            tags = run_tags() | {PARENT: self.run_id, TRIAL: str(trial.number), **trial.tags}
            name = f"{self.name}-{trial.number:03}"
            run = client.create_run(self.experiment_id, start_time=started, tags=tags, run_name=name)
            run_id = str(run.info.run_id)
        client.log_batch(
            run_id,
            metrics=[entities.Metric(legal_name(key), value, ended, 0) for key, value in trial.metrics.items()],
            params=[entities.Param(key, value) for key, value in parameters(trial.parameters).items()],
        )
        client.set_terminated(run_id, trial.status, end_time=ended)


def open_sweep_run(
    connection: Connection, settings: Settings, name: str, study: str, plan: Mapping[str, Any], kind: str = "sweep"
) -> SweepRun:
    """Go on with the study's parent run, or start one with the base parameters and the plan logged.

    `kind` is the command's name, with which the run's name and the plan's file begin.
    """
    with tracking_errors(connection.uri, "open the sweep's run"):
        experiment = experiment_id(connection, settings.registration.name)
        first = _first_run(connection, experiment, study)
        run_id = first or _start(connection, experiment, settings, f"{kind}-{name}", study, plan)
        if first:
            connection.client.update_run(run_id, status="RUNNING")
    return SweepRun(connection, experiment, run_id, name)


def _start(
    connection: Connection, experiment: str, settings: Settings, title: str, study: str, plan: Mapping[str, Any]
) -> str:
    client, entities = connection.client, import_mlflow().entities
    tags = run_tags() | {STUDY: study}
    own = str(client.create_run(experiment, tags=tags, run_name=title).info.run_id)
    run_id = _first_run(connection, experiment, study) or own
    if run_id != own:  # a second process was as quick
        client.delete_run(own)
        return run_id
    tree = settings.model_dump(mode="json")
    for batch in batches(parameters(tree).items(), PARAMETERS_AT_ONCE):
        client.log_batch(own, params=[entities.Param(key, value) for key, value in batch])
    client.log_dict(own, tree, "settings.json")
    client.log_dict(own, dict(plan), f"{title.partition('-')[0]}.json")
    return own


def _first_run(connection: Connection, experiment: str, study: str) -> str | None:
    """The study's oldest run that is not in the bin; None if it has none."""
    order = ["attributes.start_time ASC"]
    found = connection.client.search_runs([experiment], f"tags.`{STUDY}` = '{study}'", max_results=PAGE, order_by=order)
    runs = sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
    return str(runs[0].info.run_id) if runs else None
