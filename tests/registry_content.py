"""A registry with a little of everything, and all that it holds as plain values, to be compared."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, ViewType

from cnnClassifier.inference import Classifier
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.registry import PACKAGE_FOLDER, set_alias
from cnnClassifier.web.registry_source import RegistrySource
from tiny_release import write_tiny_package

NAME = "tiny"
METRICS = {"loss": [1.5, 0.5, 0.25], "odd": [float("nan"), float("inf"), -0.0]}


def fill_registry(connection: Connection, packages: list[Path]) -> None:
    """A run and a version for each package, the last but one champion; a deleted run; parameters, metrics, tags."""
    client = connection.client
    location = str(connection.artifact_root / NAME) if connection.artifact_root else None
    experiment = client.create_experiment(NAME, artifact_location=location, tags={"note": "of a laptop"})
    client.create_registered_model(NAME, tags={"of": "tests"}, description="Tells pictures apart.")
    for number, package in enumerate(packages, start=1):
        run = client.create_run(experiment, run_name=f"run {number}", tags={"git": "abc"}).info
        client.log_param(run.run_id, "training.epochs", str(number))
        for name, values in METRICS.items():
            metrics = [Metric(name, value, 1_700_000_000_000 + step, step) for step, value in enumerate(values)]
            client.log_batch(run.run_id, metrics=metrics)
        client.log_text(run.run_id, "epoch,loss\n0,1.5\n", "training/a history.csv")
        client.log_artifacts(run.run_id, str(package), f"model/{PACKAGE_FOLDER}")
        client.set_terminated(run.run_id, "FINISHED")
        version = client.create_model_version(
            NAME, f"{run.artifact_uri}/model", run.run_id, {"gate": "passed"}, description=f"number {number}"
        ).version
        set_alias(connection, NAME, int(version), "challenger")
    set_alias(connection, NAME, max(1, len(packages) - 1), "champion")
    client.delete_run(client.create_run(experiment, run_name="a mistake").info.run_id)


def fill_with_two(connection: Connection, folder: Path) -> None:
    """The same with two tiny packages, which are written below `folder`: the first is champion."""
    fill_registry(connection, [write_tiny_package(folder / f"package{each}", each / 100) for each in (1, 2)])


def content(client: MlflowClient) -> dict[str, Any]:
    """Runs with everything logged and the bytes of their artifacts, models with versions, tags and aliases."""
    experiments = [each for each in client.search_experiments(ViewType.ALL) if each.name != "Default"]
    runs = client.search_runs([each.experiment_id for each in experiments], run_view_type=ViewType.ALL)
    return {
        "experiments": {each.name: (each.experiment_id, each.tags, each.creation_time) for each in experiments},
        "runs": {run.info.run_id: _run(client, run) for run in runs},
        "models": {model.name: _model(client, model) for model in client.search_registered_models()},
    }


def answers(project: Any, name: str, pictures: list[bytes]) -> tuple[str, list[dict[str, float]]]:
    """What the app's own source gives for a model's champion: its version, and probabilities of pictures."""
    classifier: Classifier = RegistrySource(project, name).load()
    return classifier.version, [dict(classifier.classify(picture).probabilities) for picture in pictures]


def _run(client: MlflowClient, run: Any) -> dict[str, Any]:
    info, data = run.info, run.data
    history = {
        name: [(repr(each.value), each.step, each.timestamp) for each in client.get_metric_history(info.run_id, name)]
        for name in data.metrics
    }
    facts = (info.run_name, info.status, info.start_time, info.end_time, info.lifecycle_stage, info.experiment_id)
    return {"facts": facts, "params": data.params, "tags": data.tags, "metrics": history, "files": _files(client, run)}


def _files(client: MlflowClient, run: Any) -> dict[str, bytes]:
    if run.info.lifecycle_stage != "active":
        return {}
    folder = Path(download_artifacts(artifact_uri=run.info.artifact_uri, tracking_uri=client.tracking_uri))
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _model(client: MlflowClient, model: Any) -> dict[str, Any]:
    versions = {
        str(each.version): (each.run_id, each.tags, each.description, each.creation_timestamp, each.status)
        for each in client.search_model_versions(f"name='{model.name}'")
    }
    aliases = {alias: str(version) for alias, version in model.aliases.items()}  # SQLite's store says 1, a server "1"
    return {"tags": model.tags, "aliases": aliases, "about": model.description, "versions": versions}
