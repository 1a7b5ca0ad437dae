"""A sweep's runs on a local file, today's server with a password, and an old server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.sweeps import TrialRun, open_sweep_run

PLAN = {"trials": 2, "parameters": {"training.learning_rate": [0.1, 0.2]}}
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
VALUES = {"training.learning_rate": 0.1, "prepare_base_model.head": {"pooling": "max"}}


def trial(number: int) -> TrialRun:
    metrics = {"grouped_cv.balanced_accuracy": 0.5, "seconds": 3.0}
    ended = BEGAN + timedelta(seconds=3)
    return TrialRun(number, VALUES, metrics, {"sweep.state": "complete"}, "FINISHED", BEGAN, ended)


def children(place: Connection, experiment: str, parent: str) -> list[object]:
    return place.client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


def test_trials_are_children_of_the_run_that_a_later_call_finds_again(place, settings, tmp_path):
    opened = open_sweep_run(place, settings, "head", f"head-{tmp_path.name}", PLAN)
    opened.log_trial(trial(0))
    table = Path(tmp_path / "trials.csv")
    table.write_text("trial\n0\n")
    opened.finish({"grouped_cv.balanced_accuracy": 0.5}, table, "KILLED")

    again = open_sweep_run(place, settings, "head", f"head-{tmp_path.name}", PLAN)
    assert again.run_id == opened.run_id
    assert place.client.get_run(again.run_id).info.status == "RUNNING"
    again.log_missing([trial(0), trial(1)])
    found = children(place, again.experiment_id, again.run_id)
    assert sorted(run.data.tags["sweep.trial"] for run in found) == ["0", "1"]
    assert found[0].data.params == {"training.learning_rate": "0.1", "prepare_base_model.head.pooling": "max"}
    assert found[0].data.metrics["grouped_cv.balanced_accuracy"] == 0.5
    assert found[0].info.end_time - found[0].info.start_time == 3000
    parent = place.client.get_run(again.run_id)
    assert parent.data.metrics == {"best.grouped_cv.balanced_accuracy": 0.5}
    assert parent.data.params["training.learning_rate"] == "0.001"
    artifacts = {artifact.path for artifact in place.client.list_artifacts(again.run_id)}
    assert artifacts >= {"settings.json", "sweep.json", "trials.csv"}


def test_another_study_has_a_run_of_its_own(local, settings):
    first = open_sweep_run(local, settings, "head", "head-1", PLAN)
    assert open_sweep_run(local, settings, "head", "head-2", PLAN).run_id != first.run_id


def test_a_trial_whose_writing_was_cut_short_is_written_to_its_end(local, settings):
    opened = open_sweep_run(local, settings, "head", "head-3", PLAN)
    tags = {"mlflow.parentRunId": opened.run_id, "sweep.trial": "0"}
    begun = local.client.create_run(opened.experiment_id, tags=tags).info.run_id
    opened.log_missing([trial(0)])
    (found,) = children(local, opened.experiment_id, opened.run_id)
    assert (found.info.run_id, found.info.status) == (begun, "FINISHED")
    assert found.data.metrics["grouped_cv.balanced_accuracy"] == 0.5
