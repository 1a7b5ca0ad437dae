"""evaluation: a trained model and a manifest in; predictions, metrics by both protocols and plots out."""

import csv
import json

import numpy as np
import pytest

from cnnClassifier.datasets.manifest import read_manifest, write_manifest
from cnnClassifier.metrics.classification import OVERALL
from tiny_pipeline import CLASSES, LEAKED, PATIENTS, SLICES, contents, evaluate

PUBLISHED = len(CLASSES) * PATIENTS["test"] * SLICES + 1


@pytest.fixture(scope="module")
def metrics(evaluated):
    return json.loads(evaluated.metrics.read_text())


@pytest.fixture(scope="module")
def predictions(evaluated):
    with evaluated.predictions.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_model_trained_on_what_can_be_told_apart_tells_it_apart(metrics):
    assert metrics["published"]["balanced_accuracy"]["value"] > 0.8


def test_metrics_are_reported_by_both_protocols_with_intervals(metrics):
    for protocol, images in (("published", PUBLISHED), ("without_exact_copies", PUBLISHED - 1)):
        assert metrics[protocol]["images"] == images
        for name in OVERALL:
            values = metrics[protocol][name]
            assert values["low"] <= values["value"] <= values["high"]
        assert set(metrics[protocol]["per_class"]) == set(CLASSES)


def test_exact_copies_of_training_images_count_only_in_the_published_protocol(metrics):
    support = {
        protocol: metrics[protocol]["per_class"]["disc"]["support"] for protocol in metrics if protocol != "data"
    }
    assert support == {"published": 10, "without_exact_copies": 9}
    assert metrics["published"]["groups"] == metrics["without_exact_copies"]["groups"] + 1


def test_every_test_image_has_one_row_of_probabilities(evaluated, predictions):
    test = [record for record in read_manifest(evaluated.manifest) if record.split == "test"]
    assert [row["path"] for row in predictions] == [record.path for record in test]
    assert LEAKED in [row["path"] for row in predictions]
    for row in predictions:
        probabilities = [float(row[name]) for name in CLASSES]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == CLASSES[int(np.argmax(probabilities))]


def test_the_metrics_are_those_of_the_predictions(metrics, predictions):
    right = np.mean([row["predicted"] == row["label"] for row in predictions])
    assert metrics["published"]["accuracy"]["value"] == pytest.approx(right, abs=1e-6)


def test_plots_are_written_for_people_and_for_dvc(evaluated):
    names = {"confusion_matrix", "roc", "precision_recall", "calibration"}
    files = contents(evaluated.evaluation_plots)
    assert set(files) == {f"{name}.{kind}" for name in names for kind in ("png", "csv")}
    assert all(data.startswith(b"\x89PNG") for name, data in files.items() if name.endswith("png"))


def test_the_test_data_is_named_so_that_results_on_other_data_are_never_compared(evaluated, metrics):
    assert len(metrics["data"]["test_sha256"]) == 64


def test_evaluating_again_gives_the_same_bytes(evaluated, tmp_path):
    again = evaluated.model_copy(update={"metrics": tmp_path / "m.json", "predictions": tmp_path / "p.csv"})
    evaluate(again.model_copy(update={"evaluation_plots": tmp_path / "plots"}))
    assert again.metrics.read_bytes() == evaluated.metrics.read_bytes()
    assert again.predictions.read_bytes() == evaluated.predictions.read_bytes()


def test_a_test_split_of_nothing_but_copies_has_only_the_published_protocol(evaluated, tmp_path):
    records = read_manifest(evaluated.manifest)
    seen = {record.pixel_hash for record in records if record.split == "train"}
    leaked = [record for record in records if record.split != "test" or record.pixel_hash in seen]
    own = {name: tmp_path / name for name in ("manifest", "metrics", "predictions", "evaluation_plots")}
    paths = evaluated.model_copy(update=own)
    write_manifest(leaked, paths.manifest)
    evaluate(paths)
    assert set(json.loads(paths.metrics.read_text())) == {"published", "data"}
