"""The shipped comparisons of sister systems: their networks are in them, and each is trained, small, on drawn tiles."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.config.loading import load_settings
from cnnClassifier.config.types import Settings
from cnnClassifier.datasets.tissue import write_histopathology, write_mhist
from cnnClassifier.selection.candidates import judge_all
from cnnClassifier.selection.handover import take_over
from cnnClassifier.selection.plan import load_candidates
from cnnClassifier.sweep.judging import open_bench
from cnnClassifier.sweep.space import settings_with
from imports import ROOT
from ingestion import paths_below
from random_weights import save_random_weights

NETWORKS = {
    "mhist": {"BasicCNN", "DenseNet201", "ResNet50"},
    "histopathology": {"ThreeBlockCNN", "MobileNetV2"},
}
WRITERS = {"mhist": write_mhist, "histopathology": write_histopathology}
TILES = 32
# Smaller pictures and fewer fits; the networks, heads and methods are as shipped.
SMALL = {
    "prepare_base_model.preprocessing.image_size": 32,
    "training.epochs": 1,
    "training.folds": 2,
    "training.augmentation.views": 0,
}


@pytest.mark.parametrize("system", NETWORKS)
def test_the_networks_of_a_system_are_compared(system):
    base = load_settings(ROOT / f"config/experiments/{system}.yaml")
    candidates = load_candidates(ROOT / f"config/compare/{system}.yaml", base)
    assert {each.settings.prepare_base_model.backbone for each in candidates} == NETWORKS[system]
    assert candidates[0].settings == base


@pytest.mark.parametrize("system", NETWORKS)
def test_whichever_wins_its_values_can_be_written_into_the_experiment_s_file(system, tmp_path):
    file, params = ROOT / f"config/experiments/{system}.yaml", tmp_path / "params.yaml"
    for each in load_candidates(ROOT / f"config/compare/{system}.yaml", load_settings(file)):
        shutil.copyfile(file, params)
        take_over(each, params)
        assert load_settings(params) == each.settings


def test_smote_is_tried_against_the_same_without_it():
    base = load_settings(ROOT / "config/experiments/mhist.yaml")
    candidates = load_candidates(ROOT / "config/compare/mhist.yaml", base)
    (balanced,) = [each for each in candidates if each.settings.training.balancing.method == "smote"]
    assert list(balanced.values) == ["training"]
    assert list(balanced.values["training"]) == ["balancing"]


@pytest.mark.slow
@pytest.mark.parametrize("system", NETWORKS)
def test_every_candidate_trains_on_the_same_folds(system, tmp_path, monkeypatch, caplog):
    for backbone in NETWORKS[system] - {"BasicCNN", "ThreeBlockCNN"}:
        save_random_weights(tmp_path / "weights", backbone)
    monkeypatch.setenv("CNNCLASSIFIER_WEIGHTS_DIR", str(tmp_path / "weights"))
    base = drawn(system, tmp_path)
    paths = paths_below(tmp_path / "run")
    DataIngestion(base.data_ingestion, paths).run()
    DataAudit(base.data_audit, paths).run()
    shipped = load_candidates(ROOT / f"config/compare/{system}.yaml", base)
    candidates = [type(each)(each.name, each.values, settings_with(each.settings, SMALL, tmp_path)) for each in shipped]
    with caplog.at_level(logging.INFO):
        judged = list(judge_all(candidates, open_bench(base, paths), tmp_path / "kept"))
    assert [each.candidate.name for each in judged] == [each.name for each in shipped]
    for each in judged:
        assert each.out_of_fold.ids == judged[0].out_of_fold.ids
        np.testing.assert_array_equal(each.out_of_fold.folds, judged[0].out_of_fold.folds)
        assert np.isfinite(each.out_of_fold.probabilities).all()
    said = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("smote: ") for line in said) == (system == "mhist")


def drawn(system: str, folder: Path) -> Settings:
    """The shipped settings of a system, with drawn tiles for its data."""
    WRITERS[system](folder / "data", TILES)
    source = {
        "mhist": {"table": folder / "data/annotations.csv", "root": folder / "data/images"},
        "histopathology": {"path": folder / "data"},
    }[system]
    base = load_settings(ROOT / f"config/experiments/{system}.yaml")
    changes = {f"data_ingestion.source.{key}": str(place) for key, place in source.items()}
    return settings_with(base, changes, folder)
