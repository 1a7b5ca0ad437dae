"""Values changed from the command line: written where they belong, checked before, comments and all else kept."""

import difflib
from pathlib import Path

import pytest

from cnnClassifier.config.loading import load_settings
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.overrides import Change, for_model_name, for_network, plan_edit, value_of
from imports import ROOT

EXPERIMENTS = sorted((ROOT / "config/experiments").glob("*.yaml"))
PARAMS = ROOT / "config/experiments/chest_ct.yaml"


def network(**changes: object) -> PrepareBaseModelConfig:
    settings = {"seed": 1, "backbone": "VGG16", "weights": "imagenet", "freeze": "all", **changes}
    return PrepareBaseModelConfig.model_validate(settings)


def changed_lines(before: str, after: str) -> list[str]:
    compared = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in compared if line.startswith(("+ ", "- "))]


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_only_the_lines_of_changed_values_differ(file):
    edit = plan_edit({"training.epochs": 7, "registration.name": "mine"}, file)
    name, epochs = load_settings(file).registration.name, load_settings(file).training.epochs
    assert edit.changes == (Change("training.epochs", epochs, 7), Change("registration.name", name, "mine"))
    lines = changed_lines(file.read_text(encoding="utf-8"), edit.text)
    assert [line.split("#")[0].strip() for line in lines if line.startswith("+")] == [
        "+   epochs: 7",
        "+   name: mine",
    ]
    assert len(lines) == 4


def test_what_is_written_is_what_was_asked_for(tmp_path):
    wanted = {"training.learning_rate": 1e-4, "training.schedule": "cosine", "prepare_base_model.head.also": []}
    file = tmp_path / "params.yaml"
    edit = plan_edit(wanted, PARAMS)
    edit.write_to(file)
    assert {key: value_of(load_settings(file), key) for key in wanted} == wanted
    assert [str(change) for change in edit.changes[:2]] == [
        "training.learning_rate: 0.001 -> 0.0001",
        "training.schedule: constant -> cosine",
    ]


def test_a_comment_beside_a_changed_value_stays(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.read_text().replace("  epochs: 200\n", "  epochs: 200   # long enough\n"))
    text = plan_edit({"training.epochs": 9}, file).text
    assert [line.split() for line in text.splitlines() if "epochs:" in line] == [
        ["epochs:", "9", "#", "long", "enough"]
    ]


def test_the_same_value_is_no_change_and_nothing_is_written(tmp_path):
    edit = plan_edit({"training.epochs": load_settings(PARAMS).training.epochs}, PARAMS)
    assert edit.changes == ()
    edit.write_to(tmp_path / "params.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "value"), [("training.epochs", 0), ("training.learning_rate", -1.0), ("registration.name", "a model")]
)
def test_a_value_that_is_not_allowed_names_its_key(key, value):
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        plan_edit({key: value}, PARAMS)


@pytest.mark.parametrize(("given", "name"), [("mine", "mine"), ("cnn_model.h5", "cnn_model"), ("a.keras", "a")])
def test_a_model_may_be_called_as_its_file_was(given, name):
    assert for_model_name(given) == {"registration.name": name}


def test_without_transfer_learning_the_whole_network_learns():
    assert for_network(network(), None, False) == {
        "prepare_base_model.weights": "none",
        "prepare_base_model.freeze": "none",
    }


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda file: file.stem)
@pytest.mark.parametrize(("backbone", "transfer"), [(None, False), ("SmallCNN", None), ("BasicCNN", False)])
def test_every_experiment_may_be_trained_as_a_whole(experiment, backbone, transfer):
    wanted = for_network(load_settings(experiment).prepare_base_model, backbone, transfer)
    told = {change.key: change.new for change in plan_edit(wanted, experiment).changes}
    assert told["prepare_base_model.freeze"] == "none"
    assert ("prepare_base_model.precision" in told) == (experiment.stem in ("chest_ct", "phantom"))


def test_transfer_learning_keeps_what_is_transferred_already(tmp_path):
    present = load_settings(PARAMS).prepare_base_model
    wanted = for_network(present, None, True)
    assert plan_edit(wanted, PARAMS).changes == ()


def test_transfer_learning_of_a_network_without_weights_takes_one_that_has_some():
    assert for_network(network(backbone="SmallCNN", weights="none", freeze="none"), None, True) == {
        "prepare_base_model.backbone": "MobileNetV2",
        "prepare_base_model.head.also": [],
        "prepare_base_model.freeze": "all",
        "prepare_base_model.weights": "imagenet",
    }


@pytest.mark.parametrize("present", [network(), network(backbone="SmallCNN", weights="none", freeze="none")])
def test_transfer_learning_by_a_network_that_has_no_weights_is_refused(present):
    with pytest.raises(ConfigError, match=r"SmallCNN has no pretrained weights.*--backbone MobileNetV2"):
        for_network(present, "SmallCNN", True)


def test_a_network_without_published_weights_transfers_those_of_a_file():
    present = network(backbone="SmallCNN", weights="mine.weights.h5", freeze="none")
    assert for_network(present, "SmallCNN", True) == {
        "prepare_base_model.weights": "mine.weights.h5",
        "prepare_base_model.freeze": "all",
    }


def test_another_backbone_leaves_behind_what_belongs_to_the_present_one():
    present = network(weights="bundled", freeze="block4_pool", head={"also": [{"layer": "block4_pool"}]})
    assert for_network(present, "DenseNet201", None) == {
        "prepare_base_model.backbone": "DenseNet201",
        "prepare_base_model.head.also": [],
        "prepare_base_model.freeze": "all",
        "prepare_base_model.weights": "imagenet",
    }


def test_an_unknown_backbone_lists_those_there_are():
    for present in (network(), network(backbone="SmallCNN", weights="none", freeze="none")):
        with pytest.raises(ConfigError, match="VGG16"):
            for_network(present, "VGG17", None)


def test_nothing_is_written_by_planning(tmp_path):
    file: Path = tmp_path / "params.yaml"
    file.write_bytes(PARAMS.read_bytes())
    plan_edit({"training.epochs": 3}, file)
    assert file.read_bytes() == PARAMS.read_bytes()
