"""A sweep over a tiny project: honest numbers, the same again from a seed, and on where it was after any end."""

import csv
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.components.prepare_base_model import PrepareBaseModel
from cnnClassifier.components.training import Training
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.datasets.manifest import read_manifest, write_manifest
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.metrics.classification import score
from cnnClassifier.metrics.predictions import read_predictions
from cnnClassifier.sweep import study
from cnnClassifier.sweep.command import sweep
from cnnClassifier.sweep.results import Result

METRIC = "grouped_cv.balanced_accuracy"


def told(results: list[Result]) -> list[tuple[object, ...]]:
    return [(result.state, result.values, result.deals) for result in results]


def child_runs(project) -> dict[str, list[str]]:
    """Trials by their parent run, as MLflow has them."""
    client = project.connection.client
    experiment = client.get_experiment_by_name("tiny").experiment_id
    found: dict[str, list[str]] = {}
    for run in client.search_runs([experiment]):
        if parent := run.data.tags.get("mlflow.parentRunId"):
            found.setdefault(parent, []).append(run.data.tags["sweep.trial"])
    return {parent: sorted(trials) for parent, trials in found.items()}


def wait_for_trial(project, first: int, running: subprocess.Popen[str]) -> None:
    """Until that trial or a later one is at work and has given a sign of life."""
    query = "SELECT 1 FROM trials JOIN trial_heartbeats USING (trial_id) WHERE number >= ? AND state = 'RUNNING'"
    end = time.monotonic() + 120
    while time.monotonic() < end and running.poll() is None:
        for file in Path(project.root).glob(".cache/cnnClassifier/sweeps/*/study.db"):
            try:
                if sqlite3.connect(file, timeout=5).execute(query, [first]).fetchone():
                    return
            except sqlite3.OperationalError:
                pass  # its tables are not there yet
        time.sleep(0.02)
    raise AssertionError(running.communicate()[1])


def test_the_base_trial_is_what_the_pipeline_finds_and_the_test_split_is_never_opened(project):
    settings, paths = load_settings(), load_project().paths
    assert not (paths.images / "test").exists()
    project.write_sweep(repeats=2)
    search = project.search()
    search.go_on(1)
    base = search.results()[0]
    assert base.is_base
    PrepareBaseModel(settings.prepare_base_model, paths).run()
    Training(settings.training, paths).run()
    found = read_predictions(paths.out_of_fold, "training")
    scores = score(found.truth, found.probabilities, np.ones((1, len(found.truth))))
    assert base.of(METRIC)[0] == pytest.approx(scores.balanced_accuracy[0])
    assert base.of("grouped_cv.loss")[0] == pytest.approx(scores.loss[0], rel=1e-4)
    assert len(base.deals) == 2
    assert base.deviation("grouped_cv.loss") > 0


def test_one_seed_draws_the_same_trials_also_when_it_goes_on_later(project):
    whole = project.search(storage="sqlite:///whole.db")
    whole.go_on(3)
    project.search(storage="sqlite:///parts.db").go_on(1)
    parts = project.search(storage="sqlite:///parts.db")
    parts.go_on(3)
    assert told(parts.results()) == told(whole.results())
    assert len({str(result.values) for result in whole.results()}) == 3


def test_trials_are_children_of_one_run_however_often_the_sweep_goes_on(project, capsys):
    for trials in (2, 3):
        sweep("tiny", load_settings(), load_project().paths, project.connection, trials=trials)
    ((parent, children),) = child_runs(project).items()
    assert children == ["0", "1", "2"]
    run = project.connection.client.get_run(parent)
    assert run.info.status == "FINISHED"
    shown = capsys.readouterr().out
    assert "dvc exp run" in shown or "not beaten" in shown
    ((table),) = project.root.glob(".cache/cnnClassifier/sweeps/*/trials.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    best = max(float(row[METRIC]) for row in rows)
    assert run.data.metrics[f"best.{METRIC}"] == pytest.approx(best, abs=1e-6)


def test_a_killed_trial_is_tried_again_with_its_values(project):
    with project.process("--trials", "3") as running:
        wait_for_trial(project, 1, running)
        running.send_signal(signal.SIGKILL)
        running.wait()
    search = project.search(grace=1)
    assert [result.state for result in search.results()] == ["complete", "running"]
    search.go_on(3)
    base, killed, *others = search.results()
    assert (base.state, killed.state) == ("complete", "killed")
    assert [result.state for result in others] == ["complete", "complete"]
    # A trial killed before it had drawn all its values draws the others anew.
    drawn = search.study.trials[killed.number].params
    assert any(drawn.items() <= search.study.trials[result.number].params.items() for result in others)


def test_two_processes_share_the_trials_and_ctrl_c_on_one_loses_nothing(project):
    with project.process("--trials", "99") as running:
        wait_for_trial(project, 0, running)
        search = project.search()
        search.go_on(3)
        wait_for_trial(project, 3, running)
        running.send_signal(signal.SIGINT)
        shown, errors = running.communicate(timeout=120)
    assert running.returncode == 130, errors
    assert "complete" in shown
    assert "Traceback" not in errors
    results = search.results()
    assert "running" not in {result.state for result in results}
    interrupted = [result for result in results if result.state == "killed"]
    assert len(interrupted) <= 1  # none, where the signal met TensorFlow in its tracing: then the trial is finished
    search.go_on(sum(result.state == "complete" for result in results) + 1)
    search.close(project.root / "params.yaml", "FINISHED")
    complete = [result for result in search.results() if result.state == "complete"]
    assert len({str(result.values) for result in complete}) == len(complete)
    ((_, children),) = child_runs(project).items()
    assert sorted(children) == sorted(str(result.number) for result in complete)


def test_a_trial_that_cannot_be_built_counts_and_says_why(project):
    project.write_sweep({"prepare_base_model.freeze": ["no_such_layer"]})
    search = project.search()
    search.go_on(2)
    base, failed = search.results()
    assert (base.state, failed.state) == ("complete", "failed")
    assert "no_such_layer" in failed.reason


@pytest.mark.parametrize(
    ("values", "why"),
    [({"training.balancing.method": ["smote"]}, "has a single one"), ({"training.soft_labels": [True]}, "no votes")],
)
def test_a_trial_that_these_images_do_not_allow_counts_and_says_why(project, values, why):
    manifest = load_project().paths.audited_manifest
    records = [each for each in read_manifest(manifest) if each.split != "test"]
    discs = {each.group: each for each in records if each.label == "disc"}  # one image a patient
    two = list(discs.values())[:2]  # so that what is fitted on without a fold has a single one
    write_manifest([*two, *(each for each in records if each.label != "disc")], manifest)
    project.write_sweep(values)
    search = project.search()
    search.go_on(2)
    base, failed = search.results()
    assert (base.state, failed.state) == ("complete", "failed")
    assert why in failed.reason


def test_a_hopeless_trial_is_stopped_after_a_shuffling(project, monkeypatch):
    monkeypatch.setattr(study, "PRUNE_FROM", 1)
    rates = {"training.learning_rate": [1e-9]}
    project.write_sweep(rates, metric="grouped_cv.loss", repeats=2, prune=True)
    search = project.search()
    search.go_on(2)
    assert [(result.state, len(result.deals)) for result in search.results()] == [("complete", 2), ("pruned", 1)]


def test_values_that_were_tried_are_not_tried_again(project, monkeypatch):
    project.write_sweep({"training.learning_rate": [0.003]}, repeats=2)
    search = project.search()
    search.go_on(2)
    monkeypatch.setattr("cnnClassifier.sweep.search.judge", lambda *_: pytest.fail("it was judged again"))
    search.go_on(4)
    _, first, *again = told(search.results())
    assert again == [first, first]


def test_no_trial_is_begun_after_the_timeout(project):
    search = project.search()
    search.go_on(3, seconds=0)
    assert search.results() == []


def test_what_is_missing_is_told_with_the_stage_that_makes_it(project):
    paths = load_project().paths
    paths.audited_manifest.unlink()
    with pytest.raises(DataError, match=r"python main\.py data_audit"):
        project.search()
    paths.classes.unlink()
    with pytest.raises(DataError, match=r"python main\.py data_ingestion"):
        project.search()


def test_a_storage_that_cannot_be_used_is_one_line_without_its_password(project):
    with pytest.raises(ConfigError, match="storage") as said:
        project.search(storage="sqlite://user:secret@host/no/such/folder/study.db")
    assert "secret" not in str(said.value)
    assert "\n" not in str(said.value)
