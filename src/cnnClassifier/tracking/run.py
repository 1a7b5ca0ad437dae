"""One MLflow run for a pipeline's several processes, told from the stages' files.

The run's id is kept in `<cache>/tracking/run.json`. A stage goes on with the recorded run if server,
experiment and parameters are the same and it is not finished; otherwise it starts a new one. Registration finishes
it, or else ending.py says how it ended.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cnnClassifier import DISCLAIMER
from cnnClassifier.batching import batches
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.errors import TrackingError
from cnnClassifier.files import file_sha256, read_json, write_json
from cnnClassifier.tracking import stages
from cnnClassifier.tracking.client import error_code, import_mlflow, tracking_errors
from cnnClassifier.tracking.connection import Connection, check_location
from cnnClassifier.tracking.identity import run_name, run_tags
from cnnClassifier.tracking.values import Step, digest_of, legal_name, parameters, same_value

log = logging.getLogger(__name__)

PARAMETERS_AT_ONCE = 100  # MLflow's own limits for one request
METRICS_AT_ONCE = 500
# Without a kind, MLflow 3's pages show an experiment as one of generative AI.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": DISCLAIMER}
MANIFEST_TAG = "data.manifest_sha256"


@dataclass(frozen=True)
class RunRecord:
    """What run.json says: which run, on which server, of which parameters."""

    uri: str
    experiment: str
    params_digest: str
    run_id: str = ""
    finished: bool = False


@dataclass
class PipelineRun:
    """An open run. `record_file` remembers it between processes."""

    connection: Connection
    record: RunRecord
    record_file: Path
    server_lost: bool = False
    history: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self.record.run_id

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch live; a lost server costs one warning: `log_stage` tells the rest from the file."""
        if self.server_lost:
            return
        try:
            with self._errors("log an epoch"):
                self._log_steps([Step(legal_name(name), epoch, value) for name, value in metrics.items()])
        except TrackingError as error:
            self.server_lost = True
            log.warning("%s. Training goes on; its history is kept in files and logged later", error)

    def log_stage(self, stage: str, paths: Paths) -> None:
        """Log what a stage's files say, once: TrackingError if a file is missing or the server is lost."""
        if missing := stages.missing_files(stage, paths):
            raise TrackingError(f"{stage}: {missing[0]} is not there; run the stage first")
        digest = stages.files_digest(stage, paths)
        with self._errors(f"log the results of {stage}"):
            logged = self.connection.client.get_run(self.run_id).data
            if logged.tags.get(f"logged.{stage}") != digest:
                self._log_files(stage, paths, logged.metrics)
                self.connection.client.set_tag(self.run_id, f"logged.{stage}", digest)

    def complete(self, paths: Paths) -> None:
        """Log every stage that has left its files, also one that DVC skipped or whose logging failed.

        For the pipeline's end: before that, files of a later stage may be those of an earlier run.
        """
        for stage in stages.STAGES:
            if not stages.missing_files(stage, paths):
                self.log_stage(stage, paths)

    def finish(self) -> None:
        """Close the run; the next stage that runs starts a new one."""
        with self._errors("finish the run"):
            self.connection.client.set_terminated(self.run_id, "FINISHED")
        self.record = replace(self.record, finished=True)
        write_json(asdict(self.record), self.record_file)

    def code(self) -> tuple[str | None, bool | None]:
        """The commit that the run was started or reopened at, whether files differed; None for what git did not say."""
        with self._errors("ask for the run's commit"):
            tags = self.connection.client.get_run(self.run_id).data.tags
        dirty = tags.get("git.dirty")
        return tags.get("mlflow.source.git.commit"), None if dirty is None else dirty == "true"

    def log_results(
        self, files: Iterable[stages.Artifact], final: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Upload files, and log final numbers (those that the run has not got) and tags."""
        with self._errors("log results"):
            for key, text in tags.items():
                self.connection.client.set_tag(self.run_id, key, text)
            self._log_final(files, final, self.connection.client.get_run(self.run_id).data.metrics)

    def _log_files(self, stage: str, paths: Paths, logged: Mapping[str, float]) -> None:
        self._log_steps(stages.steps(stage, paths))
        self._log_final(stages.artifacts(stage, paths), stages.metrics(stage, paths), logged)
        if manifest := stages.dataset(stage, paths):
            self._log_dataset(manifest)

    def _log_final(
        self, files: Iterable[stages.Artifact], final: Mapping[str, float], logged: Mapping[str, float]
    ) -> None:
        new = {name: value for name, value in final.items() if not same_value(logged.get(name), value)}
        self._log_metrics([Step(name, 0, value) for name, value in new.items()])
        for artifact in files:
            self.connection.client.log_artifact(self.run_id, str(artifact.file), artifact.folder)

    def _log_steps(self, steps: list[Step]) -> None:
        """Log the steps that the server has not got; one that was trained again differently is added."""
        new = [each for each in steps if not same_value(self._values(each.name).get(each.step), each.value)]
        self._log_metrics(new)
        for each in new:
            self._values(each.name)[each.step] = each.value

    def _values(self, name: str) -> dict[int, float]:
        if name not in self.history:
            logged = self.connection.client.get_metric_history(self.run_id, name)
            self.history[name] = {metric.step: metric.value for metric in logged}
        return self.history[name]

    def _log_metrics(self, steps: list[Step]) -> None:
        metric = import_mlflow().entities.Metric
        now = time.time_ns() // 1_000_000
        for batch in batches(steps, METRICS_AT_ONCE):
            metrics = [metric(each.name, each.value, now, each.step) for each in batch]
            self.connection.client.log_batch(self.run_id, metrics=metrics)

    def _log_dataset(self, manifest: Path) -> None:
        sha256 = file_sha256(manifest)
        self.connection.client.set_tag(self.run_id, MANIFEST_TAG, sha256)
        try:
            self.connection.client.log_inputs(self.run_id, [_dataset_input(self.record, manifest, sha256)])
        except import_mlflow().exceptions.MlflowException as error:
            if error_code(error) != "ENDPOINT_NOT_FOUND":
                raise
            log.info("%s keeps no dataset records (MLflow 2.4 does); see tag %s", self.record.uri, MANIFEST_TAG)

    def _errors(self, doing: str) -> AbstractContextManager[None]:
        return tracking_errors(self.connection.uri, doing)


def open_run(connection: Connection, settings: Settings, cache: Path) -> PipelineRun:
    """Go on with the pipeline's recorded run, or start one with its parameters and origin logged."""
    tree = settings.model_dump(mode="json")
    wanted = _wanted(connection, settings)
    record_file = _record_file(cache)
    unfinished = unfinished_run(connection, settings, cache)
    with tracking_errors(connection.uri, "open a run"):
        if unfinished and _resume(connection.client, unfinished.run_id):
            return PipelineRun(connection, unfinished, record_file)
        _close_abandoned(connection, read_record(cache))
        run_id = _start(connection, wanted, settings.prepare_base_model.backbone, tree)
    record = replace(wanted, run_id=run_id)
    write_json(asdict(record), record_file)
    return PipelineRun(connection, record, record_file)


def unfinished_run(connection: Connection, settings: Settings, cache: Path) -> RunRecord | None:
    """The recorded run, if it is of this server, experiment and parameters, and nobody has finished it."""
    recorded = read_record(cache)
    return recorded if recorded and replace(recorded, run_id="") == _wanted(connection, settings) else None


def record_stage(connection: Connection, settings: Settings, paths: Paths, stage: str) -> None:
    """Log a stage that has finished: a lost server costs a warning, never the stage's results.

    `complete`, at the pipeline's end, logs them once the server is back.
    """
    try:
        open_run(connection, settings, paths.cache).log_stage(stage, paths)
    except TrackingError as error:
        log.warning("%s. The results of %s are kept in files and logged at the end", error, stage)


def _wanted(connection: Connection, settings: Settings) -> RunRecord:
    return RunRecord(connection.title, settings.registration.name, params_digest(settings))


def _start(connection: Connection, wanted: RunRecord, backbone: str, tree: Mapping[str, Any]) -> str:
    client, entities = connection.client, import_mlflow().entities
    experiment = experiment_id(connection, wanted.experiment)
    run = client.create_run(experiment, tags=run_tags(), run_name=run_name(backbone, wanted.params_digest))
    logged = [entities.Param(name, value) for name, value in parameters(tree).items()]
    for batch in batches(logged, PARAMETERS_AT_ONCE):
        client.log_batch(run.info.run_id, params=batch)
    client.log_dict(run.info.run_id, tree, "settings.json")
    return str(run.info.run_id)


def _resume(client: Any, run_id: str) -> bool:
    """Reopen a run that a killed or failed pipeline left; False if it is no longer on the server.

    It says today's commit from then on: what that changes, DVC has run again, or will.
    """
    run = _find_run(client, run_id)
    if run is not None and run.info.status != "RUNNING":
        client.update_run(run_id, status="RUNNING")
        for key, text in run_tags().items():
            client.set_tag(run_id, key, text)
    return run is not None


def _close_abandoned(connection: Connection, recorded: RunRecord | None) -> None:
    """The pipeline goes on with other parameters: its unfinished run must not look alive for ever."""
    if recorded is None or recorded.finished or recorded.uri != connection.title:
        return
    run = _find_run(connection.client, recorded.run_id)
    if run is not None and run.info.status == "RUNNING":
        connection.client.set_terminated(recorded.run_id, "KILLED")


def _find_run(client: Any, run_id: str) -> Any | None:
    """A run that is on the server and not in its bin."""
    try:
        run = client.get_run(run_id)
    except import_mlflow().exceptions.MlflowException as error:
        if error_code(error) != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def experiment_id(connection: Connection, name: str) -> str:
    """The id of an experiment, made if it is not there; TrackingError for one that was deleted, or is of a project
    that was moved.
    """
    found = connection.client.get_experiment_by_name(name) or _create_experiment(connection, name)
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"{connection.title}: the experiment {name!r} was deleted there; bring it back with "
            f"`mlflow experiments restore -x {found.experiment_id}`, or change registration.name"
        )
    check_location(connection, name, found.artifact_location)
    return str(found.experiment_id)


def _create_experiment(connection: Connection, name: str) -> Any:
    location = str(connection.artifact_root / name) if connection.artifact_root else None
    try:
        connection.client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
    except import_mlflow().exceptions.MlflowException as error:
        if error_code(error) != "RESOURCE_ALREADY_EXISTS":  # a parallel pipeline was first
            raise
    return connection.client.get_experiment_by_name(name)


def _dataset_input(record: RunRecord, manifest: Path, sha256: str) -> Any:
    """The manifest as MLflow's dataset; its digest field takes 36 characters."""
    entities = import_mlflow().entities
    source = json.dumps({"manifest": manifest.as_posix(), "sha256": sha256})
    dataset = entities.Dataset(
        record.experiment, sha256[:36], "local", source, profile=json.dumps(stages.row_counts(manifest))
    )
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])


def params_digest(settings: Settings) -> str:
    """16 hex digits that change with any parameter."""
    return digest_of(settings.model_dump(mode="json"))


def read_record(cache: Path) -> RunRecord | None:
    """The last run as an earlier process wrote it down; an unreadable file is as good as none."""
    try:
        return RunRecord(**read_json(_record_file(cache)))
    except (OSError, ValueError, TypeError):
        return None


def _record_file(cache: Path) -> Path:
    return cache / "tracking" / "run.json"
