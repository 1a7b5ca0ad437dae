"""models/chest_ct, as it is committed: complete, small, honest, and its backbone at hand for training."""

import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest

from cnnClassifier import DISCLAIMER
from cnnClassifier.backbones import BUNDLED, build_backbone
from cnnClassifier.config.data import PhantomSource
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.datasets.phantom.dataset import write_phantom
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import folds_of, read_predictions
from cnnClassifier.model_spec import ONNX_FILE
from cnnClassifier.onnx_weights import convolutions, kernel_types
from cnnClassifier.release.folder import read_release
from cnnClassifier.release.packing import LARGEST, size_of
from imports import ROOT

FOLDER = ROOT / BUNDLED


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(FOLDER, FOLDER.name, "1")


def test_it_is_what_is_served_and_what_weights_are_taken_from():
    assert load_project(ROOT / "config/config.yaml").serving.released == BUNDLED


def test_it_is_small_enough_for_git_and_stored_in_half_precision():
    assert size_of(FOLDER) < LARGEST
    assert kernel_types(FOLDER / ONNX_FILE) == {"FLOAT16"}


def test_no_file_of_it_was_changed_after_it_was_released():
    release = read_release(FOLDER)
    files = {file.name for file in FOLDER.iterdir()} - {"release.json"}
    assert {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in files} == release.files


def test_its_answers_are_those_that_its_metrics_were_measured_on():
    rounding = read_release(FOLDER).rounding
    assert rounding.images == len(read_predictions(FOLDER / "predictions.csv").ids) > 300
    assert (rounding.changed_answers, rounding.other_than_predicted) == (0, 0)


def test_later_models_can_be_compared_with_it(classifier):
    out_of_fold = read_predictions(FOLDER / "out_of_fold.csv")
    assert out_of_fold.classes == classifier.spec.classes
    assert len(set(folds_of(out_of_fold))) == load_settings(FOLDER / "params.yaml").training.folds


def test_its_parameters_and_its_description_agree(classifier):
    settings = load_settings(FOLDER / "params.yaml")
    assert settings.registration.name == FOLDER.name
    assert settings.prepare_base_model.preprocessing == classifier.spec.preprocessing
    assert settings.prepare_base_model.backbone == classifier.spec.backbone


def test_it_knows_how_to_answer_to_abstain_from_and_to_refuse(classifier):
    assert len(classifier.spec.classes) == 4
    assert not classifier.spec.synthetic
    decision = classifier.spec.decision
    assert None not in (decision.outliers, decision.operating, decision.conformal)
    assert classifier.reference is not None


def test_its_card_says_that_it_is_for_research_only(classifier):
    assert DISCLAIMER in classifier.card.read_text(encoding="utf-8")
    assert DISCLAIMER in (FOLDER / "model_card.md").read_text(encoding="utf-8")


def test_it_answers_pictures(classifier, tmp_path):
    source = PhantomSource(kind="phantom", seed=1, patients_per_class=3, slices_per_patient=1, image_size=96)
    write_phantom(tmp_path, source, workers=1)
    pictures = [file for file in sorted(tmp_path.rglob("*.png")) if "mask" not in str(file)][:4]
    answers = [classifier.classify(file.read_bytes()) for file in pictures]
    assert len(answers) == 4
    assert all(abs(sum(answer.probabilities.values()) - 1) < 1e-5 for answer in answers)


def test_its_backbone_is_that_of_vgg16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    network = keras.Model(*build_backbone("VGG16", 32, "bundled"))
    pairs = convolutions(Path(BUNDLED) / ONNX_FILE)
    assert len(pairs) == 13
    for weight, array in zip(network.get_weights(), (array for pair in pairs for array in pair), strict=True):
        assert np.array_equal(weight, array)
