"""What a sweep goes on with after an end, on a judge that answers at once: scratch folders, queued trials, MLflow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.sweep.judging import Deal
from cnnClassifier.sweep.space import Space

LOW, HIGH = {"training.learning_rate": 0.01}, {"training.learning_rate": 0.02}


class Judge:
    """Judges in no time: the first as 0.5, each after it as better. `meanwhile` is called first, with its number."""

    def __init__(self) -> None:
        self.scratches: list[Path] = []
        self.meanwhile: Callable[[int], None] = lambda number: None

    def __call__(self, settings, bench, repeats, scratch):
        number = len(self.scratches)
        self.scratches.append(scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        self.meanwhile(number)
        metrics = {f"grouped_cv.{name}": 0.5 + number / 100 for name in OVERALL}
        yield Deal(metrics, 1, np.zeros((0, 2)), np.zeros(0))


@pytest.fixture
def judge(monkeypatch) -> Judge:
    judge = Judge()
    monkeypatch.setattr("cnnClassifier.sweep.search.judge", judge)
    return judge


def test_a_trial_of_other_values_in_another_storage_does_not_resume_a_trial_of_its_number(project, judge, monkeypatch):
    for storage, values in (("sqlite:///one.db", LOW), ("sqlite:///other.db", HIGH)):
        monkeypatch.setattr(Space, "draw", lambda self, trial, values=values: values)
        project.search(storage=storage).go_on(2)
    base, low, base_again, high = judge.scratches
    assert base == base_again
    assert low != high
    assert low.parent == high.parent
