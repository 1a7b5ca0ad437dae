"""Promotion past the gate, its record, and what the gate needs of a registry: on a file, a server and an old server."""

from datetime import UTC, datetime, timedelta

import pytest

from cnnClassifier.errors import ModelError
from cnnClassifier.files import write_json
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import connect
from cnnClassifier.tracking.run import PipelineRun, open_run
from cnnClassifier.tracking.standing import Standing, standing_if_told, standing_of
from mlflow_servers import free_port

NAME = "promoted"


@pytest.fixture
def run(place, settings, paths) -> PipelineRun:
    return open_run(place, settings, paths.cache)


@pytest.fixture
def model(run, tmp_path) -> str:
    """The name of a model with two versions, the first of them champion; its own, since tests share the servers."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    name = f"{NAME}_{run.run_id[:8]}"
    for _ in range(2):
        registry.register(run, folder, name, "x", {})
    registry.set_alias(run.connection, name, 1, "champion")
    return name


def test_a_promotion_moves_the_alias_and_is_recorded_with_both_versions(run, model):
    before = datetime.now(UTC) - timedelta(seconds=2)
    assert registry.promote(run.connection, model, 2, "checked by hand") == 1
    assert registry.find(run.connection, model, "champion").version == 2
    promoted, replaced = (run.connection.client.get_model_version(model, version).tags for version in "21")
    assert promoted["promoted.because"] == replaced["replaced.because"] == "checked by hand"
    assert (promoted["promoted.replaced"], replaced["replaced.by"]) == ("1", "2")
    assert promoted["promoted.at"] == replaced["replaced.at"]
    assert before <= datetime.fromisoformat(promoted["promoted.at"]) <= datetime.now(UTC)


def test_an_unknown_version_is_one_line_that_lists_those_there_are(run, model):
    with pytest.raises(ModelError, match=rf"{model} has no version 9; there are: 1, 2$"):
        registry.promote(run.connection, model, 9, "x")
    assert registry.find(run.connection, model, "champion").version == 1


def test_a_model_that_was_never_registered_is_told_with_what_to_do(run):
    with pytest.raises(ModelError, match="no model never_seen; run the pipeline"):
        registry.promote(run.connection, "never_seen", 1, "x")


def test_the_gates_decision_stands_with_the_version_and_in_the_run(run, model):
    tags = {"gate": "failed", "gate.reason": "not better; " * 1000}
    registry.record_decision(run, model, 2, tags, {"gain": -0.02, "probability_better": 0.25})
    recorded = run.connection.client.get_model_version(model, "2").tags
    assert recorded["gate"] == "failed"
    assert recorded["gate.reason"].startswith("not better; not better")
    logged = run.connection.client.get_run(run.run_id).data.metrics
    assert (logged["gate.gain"], logged["gate.probability_better"]) == (-0.02, 0.25)


def test_a_file_of_a_champions_run_is_fetched_as_it_was_logged(run, paths, tmp_path):
    run.log_stage("training", paths)
    fetched = registry.fetch_file(run.connection, run.run_id, "training/out_of_fold.csv", tmp_path / "fetched")
    assert fetched.read_bytes() == paths.out_of_fold.read_bytes()


@pytest.mark.parametrize("artifact", ["training/nothing.csv", "no_such_stage/out_of_fold.csv"])
def test_a_file_that_a_run_does_not_keep_is_none_and_no_error(run, paths, tmp_path, artifact):
    run.log_stage("training", paths)
    assert registry.fetch_file(run.connection, run.run_id, artifact, tmp_path / "fetched") is None


@pytest.mark.parametrize("run_id", ["0" * 32, ""])
def test_a_run_that_is_gone_keeps_no_file(run, tmp_path, run_id):
    assert registry.fetch_file(run.connection, run_id, "training/out_of_fold.csv", tmp_path / "fetched") is None


def test_a_finished_run_learns_from_the_registry_who_is_champion_now(run, model, tmp_path):
    registration = tmp_path / "registration.json"
    assert standing_of(run.connection, registration) == Standing()  # no run is finished
    write_json({"name": model, "version": 1, "run_id": run.run_id, "champion": True}, registration)
    assert not standing_of(run.connection, registration).is_another(1)
    registry.promote(run.connection, model, 2, "checked by hand")
    standing = standing_of(run.connection, registration)
    assert standing.is_another(1)
    assert standing.champion_now() == "version 2 is, promoted because: checked by hand"
    write_json({"name": model, "version": 2, "run_id": "of another registry"}, registration)
    assert standing_of(run.connection, registration) == Standing()


def test_a_local_registry_that_is_damaged_costs_the_results_a_warning(tmp_path, tracking, caplog, monkeypatch):
    damaged = tmp_path / "mlflow.db"
    damaged.write_bytes(b"no database" * 1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{damaged}")
    registration = tmp_path / "registration.json"
    write_json({"name": "phantom", "version": 1, "run_id": "1"}, registration)
    assert standing_if_told(connect(tracking), registration) == Standing()
    assert "as it was when the run ended" in caplog.text


def test_a_registry_that_is_down_costs_the_results_a_warning(tmp_path, tracking, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    registration = tmp_path / "registration.json"
    write_json({"name": NAME, "version": 1, "run_id": "r", "champion": True}, registration)
    assert standing_if_told(connect(tracking), registration) == Standing()
    assert "told as it was when the run ended" in caplog.text


def test_the_first_champion_replaces_none(local, settings, paths, tmp_path):
    run = open_run(local, settings, paths.cache)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    registry.register(run, tmp_path / "model", NAME, "x", {})
    assert registry.promote(local, NAME, 1, "the only one") is None
    assert local.client.get_model_version(NAME, "1").tags["promoted.replaced"] == "none"


def test_promoting_the_champion_changes_nothing(local, settings, paths, tmp_path):
    run = open_run(local, settings, paths.cache)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    registry.register(run, tmp_path / "model", NAME, "x", {})
    registry.promote(local, NAME, 1, "the only one")
    assert registry.promote(local, NAME, 1, "again") == 1
    assert local.client.get_model_version(NAME, "1").tags["promoted.because"] == "the only one"
