"""Drawn values become settings, a name that says what is comparable, and a command."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from cnnClassifier.config.loading import load_settings, read_yaml
from cnnClassifier.config.types import Settings
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.sweep.naming import study_name
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.sweep.space import Space, command
from imports import ROOT

CHEST = ROOT / "config/experiments/chest_ct.yaml"
RECORD = ImageRecord("a", "a.png", "normal", "train", "p1", "00", "11", 8, 8, "L", "PNG", 99)


def plan(parameters: dict[str, Any], **more: Any) -> SweepPlan:
    return SweepPlan.model_validate({"trials": 3, "seed": 1, "parameters": parameters, **more})


@pytest.fixture
def settings() -> Settings:
    return load_settings(CHEST)


def test_a_choice_that_is_a_mapping_changes_only_its_own_keys(settings):
    space = Space(settings, plan({"prepare_base_model.head": [{"pooling": "max"}]}), Path("x.yaml"))
    drawn = space.settings({"prepare_base_model.head": {"pooling": "max"}, "prepare_base_model.head.dropout": 0.5})
    assert drawn.prepare_base_model.head == settings.prepare_base_model.head.model_copy(
        update={"pooling": "max", "dropout": 0.5}
    )
    assert drawn.training == settings.training


def test_lists_and_null_come_back_from_a_draw_as_they_were(settings):
    name = "prepare_base_model.preprocessing.contrast"
    space = Space(settings, plan({name: [None, [5, 95]]}), Path("x.yaml"))

    class Last:
        def suggest_categorical(self, _name, choices):
            return choices[-1]

    drawn = space.draw(Last())
    assert drawn == {name: [5, 95]}
    assert space.settings(drawn).prepare_base_model.preprocessing.contrast == (5, 95)
    assert space.settings({name: None}).prepare_base_model.preprocessing.contrast is None


def test_a_study_is_named_by_what_makes_trials_comparable(settings):
    rate = {"training.learning_rate": [0.1, 0.2]}
    mine = study_name("mine", plan(rate), settings, [RECORD])
    assert mine == study_name("mine", plan(rate, trials=99), settings, [RECORD])
    other_base = settings.model_copy(update={"training": settings.training.model_copy(update={"patience": 3})})
    others = [
        study_name("mine", plan(rate, repeats=2), settings, [RECORD]),
        study_name("mine", plan({"training.learning_rate": [0.1, 0.3]}), settings, [RECORD]),
        study_name("mine", plan(rate), other_base, [RECORD]),
        study_name("mine", plan(rate), settings, [replace(RECORD, group="p2")]),
        study_name("mine", plan(rate), settings, [replace(RECORD, votes=(3, 2))]),
        study_name("mine", plan(rate), settings, [replace(RECORD, votes=(2, 3))]),
    ]
    assert len({mine, *others}) == 7


def test_a_file_of_weights_that_is_overwritten_gives_a_study_another_name(settings, tmp_path):
    file = tmp_path / "own.weights.h5"
    network = settings.prepare_base_model.model_copy(update={"weights": str(file)})
    own = settings.model_copy(update={"prepare_base_model": network})
    named = set()
    for content in ("first", "second", "first"):
        file.write_text(content)
        named.add(study_name("mine", plan({"training.learning_rate": [0.1, 0.2]}), own, [RECORD]))
        chosen = plan({"prepare_base_model": [{"weights": str(file)}, {"weights": "imagenet"}]})
        named.add(study_name("mine", chosen, settings, [RECORD]))
    assert len(named) == 4


def test_the_command_sets_each_key_and_adds_those_that_the_file_does_not_have():
    values = {"prepare_base_model.head": {"pooling": "grid", "grid": 3}, "training.learning_rate": 0.002}
    values |= {"prepare_base_model.preprocessing.contrast": [1, 95], "training.warmup": 3}
    assert shlex.split(command(values, read_yaml(CHEST)))[3:] == [
        "-S", "prepare_base_model.head.pooling=grid",
        "-S", "+prepare_base_model.head.grid=3",
        "-S", "training.learning_rate=0.002",
        "-S", "prepare_base_model.preprocessing.contrast=[1, 95]",
        "-S", "+training.warmup=3",
    ]  # fmt: skip


PATHS = ("/my weights/vgg (1).h5", "/w=1/a,b.h5", "/a[0]/{b}.h5", "/ä/ö:2.h5", """it's "so" \\""", r"C:\${a}\b")
LIKE_OTHERS = ("1e-05", "12", "0.1", "true", "null", "Inf", "choice(1,2)", "1,2", "~", "${HOME}", "")
LAYERS = [{"layer": "block4_pool", "pooling": "mean"}, {"layer": "block3_pool", "pooling": "a b"}]


@pytest.mark.parametrize(
    "value", [3, 0.000123, 1e-05, -2, None, True, [1, 95], [], ["a b", None], LAYERS, "imagenet", *PATHS, *LIKE_OTHERS]
)
def test_what_the_command_sets_comes_back_as_dvc_reads_it(value, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("training: {rate: 1, other: 2}\n", encoding="utf-8")
    said = command({"training.rate": value, "training.new.one": value}, load_yaml(params))
    apply_overrides(params, [word for word in shlex.split(said)[3:] if word != "-S"])
    found = load_yaml(params)
    assert found == {"training": {"rate": value, "other": 2, "new": {"one": value}}}
    assert type(found["training"]["rate"]) is type(value)
