"""A sweep's file: what is wrong in it is told in one line, before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import FloatDistribution, IntDistribution

from cnnClassifier.config.loading import load_settings
from cnnClassifier.errors import ConfigError
from cnnClassifier.sweep.plan import load_plan, plan_file
from cnnClassifier.sweep.space import Space
from imports import ROOT

EXPERIMENTS = sorted((ROOT / "config/experiments").glob("*.yaml"))
SHIPPED = sorted((ROOT / "config/sweeps").glob("*.yaml"))
CHEST = ROOT / "config/experiments/chest_ct.yaml"
RATE = {"kind": "float", "low": 0.001, "high": 0.1, "log": True}


def write(folder: Path, parameters: dict[str, Any], **more: Any) -> Path:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"trials": 3, "seed": 1, "parameters": parameters, **more}))
    return file


def check(file: Path) -> None:
    Space(load_settings(CHEST), load_plan(file), file).check()


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda file: file.stem)
@pytest.mark.parametrize("sweep", SHIPPED, ids=lambda file: file.stem)
def test_shipped_sweeps_fit_every_shipped_experiment(sweep, experiment):
    Space(load_settings(experiment), load_plan(sweep), sweep).check()


def test_a_seed_that_not_every_library_takes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="seed: "):
        check(write(tmp_path, {"training.learning_rate": [0.1]}, seed=-1))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"training.lerning_rate": [0.1]}, "parameters.training.lerning_rate"),
        ({"training.epochs.more": [1]}, "parameters.training.epochs.more"),
        ({"evaluation.coverage": [0.9]}, "prepare_base_model and training"),
        ({"training.learning_rate": [0.1, -1]}, "training.learning_rate: Input should be greater than 0"),
        ({"training.label_smoothing": {"kind": "float", "low": 0.5, "high": 1.5}}, "training.label_smoothing"),
        ({"prepare_base_model.head": [{"poling": "max"}]}, "prepare_base_model.head.poling: unknown key"),
        ({"prepare_base_model.preprocessing.contrast": [[99, 1]]}, "rising percentiles"),
        ({"training.seed": [1, 2]}, "training.seed"),
        ({"training.folds": [3, 5]}, "training.folds"),
        ({"training": [{"folds": 3}]}, "training.folds"),
        (
            {"prepare_base_model.head": [{"dropout": 0.1}], "prepare_base_model.head.dropout": [0.2]},
            "prepare_base_model.head.dropout: set by two",
        ),
    ],
)
def test_a_name_or_value_that_settings_refuse_is_one_line_with_file_and_key(tmp_path, parameters, said):
    file = write(tmp_path, parameters)
    with pytest.raises(ConfigError) as told:
        check(file)
    assert str(told.value).startswith(str(file))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ({"low": 1, "high": 2}, "expected a list of choices"),
        (3, "expected a list of choices"),
        ([], "at least 1 item"),
        ({**RATE, "low": 0.5}, "low must be below high"),
        ({**RATE, "low": 0}, "above 0"),
        ({**RATE, "step": 0.01}, "no step"),
        ({**RATE, "low": 1, "high": 9, "step": 1}, "no step"),
        ({**RATE, "hihg": 1}, "unknown key"),
        ({"kind": "int", "low": 1, "high": 10, "step": 2}, "nearest that is: 9"),
        ({"kind": "int", "low": 1, "high": 3, "step": 5}, "nearest that is: 6"),
        ({"kind": "float", "low": 0.1, "high": 0.65, "step": 0.2}, r"from 0.1 in steps of 0.2; .* is: 0.7"),
        ({"kind": "int", "low": 1.5, "high": 3}, "low"),
    ],
)
def test_a_range_that_is_none_is_refused(tmp_path, parameter, said):
    with pytest.raises(ConfigError, match=said) as told:
        load_plan(write(tmp_path, {"training.learning_rate": parameter}))
    assert "parameters.training.learning_rate" in str(told.value)


@pytest.mark.parametrize(
    "parameter",
    [
        {"kind": "int", "low": 1, "high": 9, "step": 2},
        {"kind": "float", "low": 0.1, "high": 0.7, "step": 0.1},  # as floats 5.999999999999999 steps
        {"kind": "float", "low": 0, "high": 1.5, "step": 1e-5},
    ],
)
def test_a_range_is_drawn_from_to_its_high_where_steps_reach_it(tmp_path, parameter):
    read = load_plan(write(tmp_path, {"training.learning_rate": parameter})).parameters["training.learning_rate"]
    kind = FloatDistribution if parameter["kind"] == "float" else IntDistribution
    assert kind(read.low, read.high, step=read.step).high == parameter["high"]


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="metric"):
        load_plan(write(tmp_path, {"training.learning_rate": RATE}, metric="published.accuracy"))


def test_the_loss_is_better_when_lower(tmp_path):
    assert load_plan(write(tmp_path, {"training.learning_rate": RATE})).direction == "maximize"
    assert (
        load_plan(write(tmp_path, {"training.learning_rate": RATE}, metric="grouped_cv.loss")).direction == "minimize"
    )


def test_an_unknown_sweep_is_one_line_that_lists_those_there_are(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match="head, input"):
        plan_file("haed")
