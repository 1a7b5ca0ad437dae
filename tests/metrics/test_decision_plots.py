"""Each plot of the decision is a picture for people and a table for DVC that says what the report says."""

import csv

import numpy as np
import pytest
from PIL import Image
from synthetic import CLASSES, predictions

from cnnClassifier.metrics.calibration import calibration_report
from cnnClassifier.metrics.conformal import conformal_report
from cnnClassifier.metrics.decision_plots import plot_decisions, plot_outliers
from cnnClassifier.metrics.operating import operating_report
from cnnClassifier.metrics.outliers import outlier_report

SETTINGS = {"resamples": 100, "confidence": 0.95, "seed": 0}


def draw(folder, with_positives=True, **changes):
    truth, probabilities, groups, folds = predictions(**{"images": 300, "sharpness": 2.0, **changes})
    classes = CLASSES[: probabilities.shape[1]]
    shared = (truth, probabilities, folds, groups, classes)
    metrics = {
        "calibration": calibration_report(truth, probabilities, folds, groups, seed=0),
        "conformal": conformal_report(*shared, 0.9, **SETTINGS),
    }
    if with_positives:
        metrics["operating"] = operating_report(*shared, [1], 0.95, **SETTINGS)
    plot_decisions(truth, probabilities, folds, classes, metrics, "out of fold", folder)
    return metrics


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plots")


@pytest.fixture(scope="module")
def metrics(folder):
    return draw(folder)


@pytest.mark.parametrize("name", ["reliability", "operating", "conformal"])
def test_each_plot_is_a_picture_and_a_table(folder, metrics, name):
    with Image.open(folder / f"{name}.png") as picture:
        assert min(picture.size) > 400
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    assert read_csv(folder / f"{name}.csv")


def test_the_reliability_table_has_the_reported_error(folder, metrics):
    rows = read_csv(folder / "reliability.csv")
    for name in ("before", "after"):
        table = [row for row in rows if row["calibration"] == name]
        gaps = [abs(float(row["confidence"]) - float(row["accuracy"])) for row in table]
        error = np.average(gaps, weights=[float(row["count"]) for row in table])
        assert error == pytest.approx(metrics["calibration"]["ece"][name], abs=1e-5)


def test_the_operating_table_runs_from_calling_none_to_calling_all(folder, metrics):
    rows = read_csv(folder / "operating.csv")
    assert float(rows[-1]["sensitivity"]) == 1
    assert float(rows[-1]["specificity"]) == 0
    assert float(rows[0]["specificity"]) == 1
    assert len(rows) <= 1001


def test_the_conformal_table_is_the_curve(folder, metrics):
    rows = read_csv(folder / "conformal.csv")
    assert [float(row["coverage"]) for row in rows] == [
        row["coverage"]["value"] for row in metrics["conformal"]["curve"]
    ]


def test_without_positive_classes_there_is_no_operating_plot(tmp_path):
    draw(tmp_path, with_positives=False)
    assert {path.stem for path in tmp_path.iterdir()} == {"reliability", "conformal"}


def test_two_classes_and_certain_predictions_can_be_drawn(tmp_path):
    draw(tmp_path, classes=2, sharpness=200.0)
    assert len(list(tmp_path.iterdir())) == 6


def test_the_gate_is_drawn_as_what_its_own_images_pay_for_the_others(tmp_path):
    own, others = np.linspace(0, 1, 100), {"plots": np.full(5, 2.0), "photographs": np.linspace(0.5, 1.5, 5)}
    found = outlier_report(own, others, threshold=0.99)
    plot_outliers(found, tmp_path)
    rows = read_csv(tmp_path / "gate.csv")
    assert (tmp_path / "gate.png").stat().st_size > 5000
    assert [float(row["own_refused"]) for row in rows] == [
        pytest.approx(point["own_refused"], abs=1e-6) for point in found["curve"]
    ]
    assert all(float(row["plots_refused"]) == 1 for row in rows)
