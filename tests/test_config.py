"""YAML to frozen types: what is wrong is one line that names the file and the key."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cnnClassifier.config.data import DataIngestionConfig
from cnnClassifier.config.judging import METRICS
from cnnClassifier.config.judging import PROTOCOLS as COMPARED
from cnnClassifier.config.loading import experiment_file, load_project, load_settings, parse_yaml
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.model_card.card import PROTOCOLS
from imports import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
TABLE = {"kind": "csv", "table": "labels.csv", "root": "images"}
SPLITS = {"train": "train", "test": "test"}


def params(**changes: Any) -> dict[str, Any]:
    """The default parameters with some values changed, as section__key=value; a value of ... removes the key."""
    content = copy.deepcopy(PARAMS)
    for dotted, value in changes.items():
        *sections, key = dotted.split("__")
        block = content
        for section in sections:
            block = block[section]
        if value is ...:
            del block[key]
        else:
            block[key] = value
    return content


def write(content: object, folder: Path) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_shipped_values_arrive_in_the_types(tmp_path):
    settings = load_settings(write(PARAMS, tmp_path))
    assert settings.training.epochs == PARAMS["training"]["epochs"]
    assert settings.prepare_base_model.preprocessing.contrast == (1.0, 99.0)
    assert load_project(ROOT / "config/config.yaml").serving.port == 8080


@pytest.mark.parametrize(("changes", "words"), [
    ({"training__epoch": 3}, "training.epoch: unknown key, is it misspelt?"),
    ({"trainig": {}}, "trainig: unknown key"),
    ({"training__epochs": ...}, "training.epochs: missing"),
    ({"evaluation": ...}, "evaluation: missing"),
    ({"training__epochs": "many"}, "training.epochs: Input should be a valid integer"),
    ({"training__epochs": 2.5}, "Received: 2.5"),
    ({"training__epochs": 0}, "training.epochs: Input should be greater than 0. Received: 0"),
    ({"training__learning_rate": float("nan")}, "training.learning_rate"),
    ({"training__augmentation__zoom": 1.0}, "training.augmentation.zoom: Input should be less than 1"),
    ({"training__class_weights": "equal"}, "'balanced' or 'none'"),
    ({"evaluation__confidence": 95}, "evaluation.confidence"),
    ({"registration__name": "a b"}, "registration.name"),
    ({"registration__metric": "grouped_cv.acc"}, "protocols are grouped_cv, published, "),
    ({"registration__metric": "grouped_cv.acc"}, "registration.metric: "),
    ({"registration__metric": "accuracy"}, "loss. Received: 'accuracy'"),
    ({"evaluation__operating__positive": ["adenocarcinom"]},
     "params.yaml: evaluation.operating.positive: expected classes of data_ingestion.classes (adenocarcinoma, "),
    ({"evaluation__operating__positive": ["normal", "adenocarcinom"]}, "). Received: adenocarcinom"),
    ({"data_audit__copies": "delete"}, "data_audit.copies: Input should be 'drop', 'keep' or 'fail'"),
    ({"prepare_base_model__preprocessing__contrast": [99, 1]}, "two rising percentiles"),
    ({"prepare_base_model__preprocessing__resample": "cubic"}, "preprocessing.resample"),
    ({"data_ingestion__source": {"kind": "ftp"}}, "data_ingestion.source"),
    ({"data_ingestion__source": {"kind": "kaggle", "dataset": "a/b"}}, "source.kaggle.dataset"),
    ({"data_ingestion__source": {"kind": "folder", "path": "x", "root": "y"}}, "root: unknown key"),
    ({"data_ingestion__splits": None}, "either `splits` (the source's own) or `random_split`"),
    ({"data_ingestion__random_split": {}}, "either `splits` (the source's own) or `random_split`"),
    ({"data_ingestion__splits": {"train": "a", "valid": "b"}}, "must name train and test"),
    ({"data_ingestion__splits": {"train": "a", "test": "b", "dev": "c"}}, "splits.dev"),
    ({"data_ingestion__splits": {"train": "a", "test": "a"}}, "must lie apart"),
    ({"data_ingestion__splits": {"train": "a", "test": "a/test"}}, "must lie apart: 'a/test/' is in 'a/'"),
    ({"data_ingestion__splits": None, "data_ingestion__random_split": {"valid": 0.5, "test": 0.5}}, "for training"),
    ({"data_ingestion__splits": None, "data_ingestion__random_split": {"test": 0}}, "evaluation needs a test split"),
    ({"data_ingestion__classes": {"one": ["one"]}}, "data_ingestion.classes"),
    ({"data_ingestion__group_pattern": "p("}, "no regular expression"),
    ({"data_ingestion__group_pattern": "p\\d+"}, "needs a capture"),
    ({"data_ingestion__source": TABLE}, "needs both `source.split_column` and `splits`"),
    ({"data_ingestion__source": {**TABLE, "split_column": "set", "votes": {"columns": {"ssa": "n"}, "of": 7}}},
     "names 'ssa', which is no class of `classes`"),
    ({"data_ingestion__source": {**TABLE, "split_column": "set", "votes": {"columns": {"normal": "n"}, "of": 7}}},
     "only one class may lack a column"),
    ({"prepare_base_model__preprocessing__stain": "macenko"}, "`stain: macenko` needs `channels: rgb`"),
    ({"data_ingestion__source": {**TABLE, "split_column": "set"}, "data_ingestion__splits": None,
      "data_ingestion__random_split": {}}, "or neither"),
])  # fmt: skip
def test_a_wrong_value_is_one_line_that_names_file_and_key(changes, words, tmp_path):
    assert words in complaint(write(params(**changes), tmp_path))


def test_what_may_be_compared_is_what_evaluation_measures():
    """Their own modules import numpy and scikit-learn, which reading params.yaml must not."""
    assert METRICS == OVERALL
    assert set(COMPARED) == set(PROTOCOLS)


@pytest.mark.parametrize("key", ["size", "nfiles"])
def test_a_key_that_dvc_overlooks_in_its_cache_of_runs_is_refused(key, tmp_path):
    text = complaint(write(params(**{f"prepare_base_model__preprocessing__{key}": 64}), tmp_path))
    assert f"prepare_base_model.preprocessing.{key}: DVC does not look at keys of this name" in text


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_not_every_library_takes_is_refused(seed, tmp_path):
    assert "evaluation.seed: " in complaint(write(params(evaluation__seed=seed), tmp_path))


def test_all_wrong_keys_are_told_at_once(tmp_path):
    text = complaint(write(params(training__epochs=0, evaluation__seed=...), tmp_path))
    assert "training.epochs" in text
    assert "evaluation.seed: missing" in text


@pytest.mark.parametrize(("content", "words"), [
    (b"a: [1, 2", "not valid YAML"),
    (b"- a\n- b\n", "expected a mapping of sections. Received: list"),
    (b"", "Received: NoneType"),
    (b"a: \xe9\n", "cannot be read as UTF-8 text"),
    (b"a: 1\nb:\n  c: 1\n  c: 2\n", "not valid YAML: c stands twice"),
    (b"a: !!python/object:os.system {}\n", "not valid YAML"),
])  # fmt: skip
def test_a_file_that_is_no_mapping_is_one_line(content, words, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert words in complaint(path)


def test_a_mapping_may_change_what_it_merges():
    merged = "top:\n  base: &base {x: 1}\n  nested:\n    a: &a {<<: *base, x: 2}\n"
    text = f"{merged}    b: {{<<: *a, y: 1}}\n"
    assert parse_yaml(text, Path("params.yaml")).top.nested.b == {"x": 2, "y": 1}


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    assert "no such file" in complaint(tmp_path / "params.yaml")
    assert "cannot be read" in complaint(tmp_path)


def test_class_names_and_patterns_may_have_dots_and_brackets(tmp_path):
    classes = {"T1.5": ["t1.5*"], "T2[a]": ["t2[[]a]"]}
    changed = params(data_ingestion__classes=classes, evaluation__operating__positive=["T2[a]"])
    assert load_settings(write(changed, tmp_path)).data_ingestion.classes == classes


def test_settings_cannot_be_changed(tmp_path):
    with pytest.raises(ValidationError, match="frozen"):
        load_settings(write(PARAMS, tmp_path)).training.epochs = 3


def test_a_spec_survives_being_saved():
    spec = PreprocessingSpec(image_size=99, channels="rgb", contrast=None, crop_margin=0.1)
    assert PreprocessingSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_number_in_scientific_notation_is_a_number(tmp_path):
    path = write(PARAMS, tmp_path)
    path.write_text(re.sub(r"learning_rate: \S+", "learning_rate: 3e-3", path.read_text()))
    assert load_settings(path).training.learning_rate == 0.003


@pytest.mark.parametrize(("changes", "filled"), [
    ({"splits": {"test": "t", "train": "r"}}, ("train", "test")),
    ({"splits": {"test": "t", "valid": "v", "train": "r"}}, ("train", "valid", "test")),
    ({"random_split": {"valid": 0.1, "test": 0.1}}, ("train", "valid", "test")),
    ({"random_split": {"valid": 0.0, "test": 0.1}}, ("train", "test")),
])  # fmt: skip
def test_which_splits_need_images_follows_from_what_is_named_or_drawn(changes, filled):
    source = {"kind": "folder", "path": "x"}
    config = DataIngestionConfig(seed=1, source=source, classes={"a": ["a"], "b": ["b"]}, **changes)
    assert config.filled_splits == filled


def test_an_unknown_experiment_lists_those_there_are(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert experiment_file("phantom") == Path("config/experiments/phantom.yaml")
    with pytest.raises(ConfigError, match=r"no experiment 'fantom' .* there are: .*phantom"):
        experiment_file("fantom")


def test_validation_bounds_are_the_types_own():
    with pytest.raises(ValidationError):
        TrainingConfig(seed=1, epochs=1, batch_size=1, learning_rate=0.1, validation=0.5)


def test_votes_and_balanced_examples_do_not_go_together(tmp_path):
    content = params(training__soft_labels=True, training__balancing={"method": "smote"})
    assert "use `class_weights`" in complaint(write(content, tmp_path))
