"""Optuna's side alone: where trials are kept, and which are stopped early."""

from pathlib import Path

import pytest
from optuna.study import Study
from optuna.trial import Trial

from cnnClassifier.errors import ConfigError
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.sweep.study import PRUNE_FROM, open_study, sqlite_url

SIGN = {"grouped_cv.balanced_accuracy": 1, "grouped_cv.loss": -1}


def plan_of(metric: str = "grouped_cv.balanced_accuracy") -> SweepPlan:
    parameters = {"training.learning_rate": [0.1]}
    plan = {"trials": 20, "seed": 1, "repeats": 3, "prune": True, "metric": metric, "parameters": parameters}
    return SweepPlan.model_validate(plan)


def study_of(folder: Path, metric: str = "grouped_cv.balanced_accuracy") -> Study:
    return open_study("x", plan_of(metric), sqlite_url(folder))


def report(study: Study, *means: float) -> Trial:
    trial = study.ask()
    for step, mean in enumerate(means, start=1):
        trial.report(mean, step)
    return trial


@pytest.mark.parametrize("metric", SIGN)
def test_a_trial_is_stopped_by_its_mean_of_now_not_by_its_luckiest_one(tmp_path, metric):
    sign, study = SIGN[metric], study_of(tmp_path, metric)
    for number in range(PRUNE_FROM):
        assert not report(study, sign * -1.0).should_prune()  # too few are complete
        means = (sign * 0.7, sign * (0.75 + number / 100))
        study.tell(report(study, *means), means[-1])
    assert report(study, sign * 0.69).should_prune()
    assert not report(study, sign * 0.7).should_prune()
    assert report(study, sign * 0.9, sign * 0.79).should_prune()
    assert not report(study, sign * 0.1, sign * 0.8).should_prune()
    assert not report(study, sign * 0.1, sign * 0.1, sign * 0.1).should_prune()  # no other came so far
    assert not report(study).should_prune()


@pytest.mark.parametrize("name", ["a b", "ä", "100%", "a#b", "what?", "{proj}", "a@b:c", "%7B", "{}", "a?b=c&d"])
def test_trials_are_kept_in_a_folder_of_any_name(tmp_path, name):
    study = study_of(tmp_path / name)
    study.tell(report(study, 0.5), 0.5)
    assert (tmp_path / name / "study.db").is_file()
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert len(study_of(tmp_path / name).trials) == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p@s3cret@host/trials",
        "postgresql://user:p@s3cret:s3cret@host/trials",
        "postgresql://user:p{s3cret}@host/trials",
        "postgresql://user:s3cret@host:port/trials",
        "postgresql:/user:s3cret@host/trials",
    ],
)
def test_an_address_that_cannot_be_read_is_one_line_that_quotes_none_of_it(url):
    with pytest.raises(ConfigError, match="percent-encoded") as said:
        open_study("x", plan_of(), url)
    assert not any(part in str(said.value) for part in ("s3cret", "\n"))
