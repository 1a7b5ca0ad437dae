"""How a comparison ends, and goes on, in MLflow; on a judge that answers at once."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cnnClassifier.config.loading import load_project
from cnnClassifier.datasets.manifest import read_manifest, write_manifest
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.sweep.judging import Deal

POOLED = {"prepare_base_model": {"head": {"pooling": "max"}}}
PARENT = "mlflow.parentRunId"


class Judge:
    """Finds the first candidate best, at once. `meanwhile` is called before it answers, with how many it has judged."""

    def __init__(self) -> None:
        self.judged = 0
        self.meanwhile: Callable[[int], None] = lambda _: None

    def __call__(self, _settings, bench, _repeats, scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        self.meanwhile(self.judged)
        self.judged += 1
        count, classes = len(bench.records), len(bench.classes.names)
        metrics = {f"grouped_cv.{name}": 0.9 - self.judged / 100 for name in OVERALL}
        yield Deal(metrics, 1, np.full((count, classes), 1 / classes), np.zeros(count, int))


@pytest.fixture
def judge(monkeypatch) -> Judge:
    judge = Judge()
    monkeypatch.setattr("cnnClassifier.selection.candidates.judge", judge)
    return judge


def runs_of(project):
    """Each comparison's status, and the names of its candidates as MLflow has them, the oldest first."""
    client = project.connection.client
    experiment = client.get_experiment_by_name("tiny").experiment_id
    runs = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    names = {run.info.run_id: [] for run in runs if PARENT not in run.data.tags}
    for run in runs:
        if PARENT in run.data.tags:
            names[run.data.tags[PARENT]].append(run.data.tags["compare.candidate"])
    return [(run.info.status, sorted(names[run.info.run_id])) for run in runs if run.info.run_id in names]


def test_other_votes_are_another_comparison(project, judge):
    manifest = load_project().paths.audited_manifest
    for votes in ((3, 2), (2, 3)):
        write_manifest([replace(each, votes=votes) for each in read_manifest(manifest)], manifest)
        project.compare()
    assert judge.judged == 4
    assert runs_of(project) == [("FINISHED", ["as_it_is", "pooled"])] * 2


@pytest.mark.parametrize("failing", ["rank", "write_table", "terminal_report"])
def test_a_comparison_whose_report_fails_is_not_left_open(project, judge, monkeypatch, failing):
    def fail(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(f"cnnClassifier.selection.command.{failing}", fail)
        with pytest.raises(OSError, match="no space left"):
            project.compare()
    assert runs_of(project) == [("KILLED", ["as_it_is", "pooled"])]
    project.compare()
    assert runs_of(project) == [("FINISHED", ["as_it_is", "pooled"])]
    assert judge.judged == 2


def test_candidates_in_another_order_are_another_run_that_has_each_once(project, judge):
    def interrupt(number: int) -> None:
        if number == 1:
            raise KeyboardInterrupt

    judge.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        project.compare()
    judge.meanwhile = lambda _: None
    project.write_candidates({"pooled": POOLED, "as_it_is": {}})
    project.compare()
    assert runs_of(project) == [("KILLED", ["as_it_is"]), ("FINISHED", ["as_it_is", "pooled"])]
