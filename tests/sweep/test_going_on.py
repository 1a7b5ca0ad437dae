"""What a sweep goes on with after an end, on a judge that answers at once: scratch folders, queued trials, MLflow."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.sweep.command import sweep
from cnnClassifier.sweep.judging import Deal
from cnnClassifier.sweep.search import Search
from cnnClassifier.sweep.space import Space

LOW, HIGH = {"training.learning_rate": 0.01}, {"training.learning_rate": 0.02}


class Judge:
    """Judges in no time: the first as 0.5, each after it as better. `meanwhile` is called first, with its number."""

    def __init__(self) -> None:
        self.scratches: list[Path] = []
        self.meanwhile: Callable[[int], None] = lambda _: None

    def __call__(self, _settings, _bench, _repeats, scratch):
        number = len(self.scratches)
        self.scratches.append(scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        self.meanwhile(number)
        metrics = {f"grouped_cv.{name}": 0.5 + number / 100 for name in OVERALL}
        yield Deal(metrics, 1, np.zeros((0, 2)), np.zeros(0))


def interrupt(_: int) -> None:
    raise KeyboardInterrupt


def kill(_: int) -> None:
    """Nothing is told of its end to Optuna."""
    raise SystemExit


def let_it_be_long_ago(search: Search) -> None:
    """When a trial has last been heard of."""
    with closing(sqlite3.connect(search.folder / "study.db")) as database, database:
        assert database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-02-02 00:00:00.000000'").rowcount


@pytest.fixture
def judge(monkeypatch) -> Judge:
    judge = Judge()
    monkeypatch.setattr("cnnClassifier.sweep.search.judge", judge)
    return judge


def test_a_trial_of_other_values_in_another_storage_does_not_resume_a_trial_of_its_number(project, judge, monkeypatch):
    for storage, values in (("sqlite:///one.db", LOW), ("sqlite:///other.db", HIGH)):
        monkeypatch.setattr(Space, "draw", lambda *_, values=values: values)
        project.search(storage=storage).go_on(2)
    base, low, base_again, high = judge.scratches
    assert base == base_again
    assert low != high
    assert low.parent == high.parent


def test_a_trial_goes_on_with_its_values_however_often_it_is_interrupted_and_killed_between(project, judge):
    ends: list[Callable[[int], None]] = [*[interrupt] * 4, kill, interrupt, lambda _: None]
    judge.meanwhile = lambda number: ends[number - 1](number) if number else None
    for end in ends[:-1]:
        search = project.search()
        with pytest.raises(KeyboardInterrupt if end is interrupt else SystemExit):
            search.go_on(2)
        if end is kill:
            let_it_be_long_ago(search)
    search.go_on(2)
    assert [each.state for each in search.results()] == ["complete", *["killed"] * 6, "complete"]
    assert len(set(judge.scratches)) == 2


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_run_of_a_sweep_is_closed_though_a_trial_was_killed(project, judge, goes_on):
    judge.meanwhile = lambda number: kill(number) if number == 1 else None
    search = project.search()
    with pytest.raises(SystemExit):
        search.go_on(2)
    let_it_be_long_ago(search)
    again = project.search()
    if goes_on:  # enough are finished: none is begun, which would look for dead ones
        again.go_on(1)
        assert [each.state for each in again.results()] == ["complete", "killed", "waiting"]
    again.close(project.root / "params.yaml", "KILLED")
    assert project.connection.client.get_run(again.run.run_id).info.status == "KILLED"


def test_a_sweep_ends_as_ever_though_params_yaml_was_broken_meanwhile(project, judge, capsys):
    settings, paths, params = load_settings(), load_project().paths, project.root / "params.yaml"
    judge.meanwhile = lambda _: params.write_text("training: [")
    sweep("tiny", settings, paths, project.connection, trials=2)
    assert "To run the best:\ndvc exp run -S " in capsys.readouterr().out
    client = project.connection.client
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
