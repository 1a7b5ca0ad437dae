"""Metrics equal scikit-learn's, draw by draw; intervals; plots a person and DVC can read."""

import csv
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics as sk

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.classification import OVERALL, PER_CLASS, bootstrap_weights, confusion, score
from cnnClassifier.metrics.evaluation_plots import plot_evaluation
from cnnClassifier.metrics.plots import plot_history
from cnnClassifier.metrics.report import report

CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma", "normal")
LABELS = list(range(4))


def predictions(seed: int, images: int = 80, coarse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities that know something of it; coarse: with many ties."""
    draw = np.random.default_rng(seed)
    truth = np.concatenate([LABELS, draw.integers(0, 4, images - 4)])
    logits = draw.normal(size=(images, 4)) + 1.2 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if coarse:
        probabilities = np.round(probabilities * 8) + 0.5
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return truth, probabilities


def scikit_learn(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, object]:
    """The same metrics of one draw, by the reference."""
    called, weighted = probabilities.argmax(axis=1), {"sample_weight": weights}
    each = sk.precision_recall_fscore_support(truth, called, labels=LABELS, zero_division=0, **weighted)
    one_hot = np.eye(4)[truth]
    return {
        "accuracy": sk.accuracy_score(truth, called, **weighted),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, called, **weighted),
        "macro_f1": sk.f1_score(truth, called, average="macro", labels=LABELS, zero_division=0, **weighted),
        "macro_roc_auc": sk.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro", **weighted),
        "macro_pr_auc": sk.average_precision_score(one_hot, probabilities, average="macro", **weighted),
        "loss": sk.log_loss(truth, probabilities, labels=LABELS, **weighted),
        "precision": each[0],
        "recall": each[1],
        "f1": each[2],
    }


@pytest.mark.parametrize("coarse", [False, True], ids=["no ties", "ties"])
@pytest.mark.parametrize("seed", range(5))
def test_every_metric_is_scikit_learns_with_and_without_weights(seed, coarse):
    truth, probabilities = predictions(seed, coarse=coarse)
    weights = np.vstack([np.ones(80), np.random.default_rng(seed).integers(0, 4, (3, 80)), np.linspace(0.1, 2, 80)])
    weights[:, :4] = np.maximum(weights[:, :4], 1)  # every class in every draw
    ours = score(truth, probabilities, weights)
    for draw, row in enumerate(weights):
        for name, expected in scikit_learn(truth, probabilities, row).items():
            np.testing.assert_allclose(getattr(ours, name)[draw], expected, rtol=1e-9, err_msg=name)


def test_confusion_counts_true_classes_in_rows():
    truth, probabilities = predictions(0)
    counts = confusion(truth, probabilities, np.ones((1, 80)))[0]
    np.testing.assert_array_equal(counts, sk.confusion_matrix(truth, probabilities.argmax(axis=1)))


def test_of_a_draw_without_a_class_no_mean_over_classes_can_be_said():
    truth, probabilities = predictions(1)
    kept = truth != 3
    found = score(truth, probabilities, kept.astype(float)[None])
    assert found.accuracy[0] == pytest.approx((probabilities.argmax(axis=1) == truth)[kept].mean())
    assert np.isnan([found.balanced_accuracy, found.macro_f1, found.macro_roc_auc, found.macro_pr_auc]).all()
    assert np.isnan([found.precision[0, 3], found.recall[0, 3], found.f1[0, 3]]).all()
    assert not np.isnan(found.recall[0, :3]).any()


def test_images_without_a_class_are_scored_on_the_others():
    truth, probabilities = predictions(1)
    truth, probabilities = truth[truth != 3], probabilities[truth != 3]
    found = score(truth, probabilities, np.ones((1, len(truth))))
    assert found.balanced_accuracy[0] == pytest.approx(found.recall[0, :3].mean())
    areas = [sk.roc_auc_score(truth == label, probabilities[:, label]) for label in range(3)]
    assert found.macro_roc_auc[0] == pytest.approx(np.mean(areas))


def test_draws_that_lost_a_small_class_do_not_widen_the_interval():
    """Of 12 images a third is right, of 2 both: without the 2 a draw would say a third."""
    truth = np.array([0] * 12 + [1] * 2)
    right = np.array([True] * 4 + [False] * 8 + [True] * 2)
    called = np.where(right, truth, 1 - truth)
    found = report(
        truth, np.eye(2)[called], np.arange(14).astype(str), ("a", "b"), resamples=2000, confidence=0.95, seed=0
    )["balanced_accuracy"]
    assert found["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["low"] >= 0.5


def test_where_most_draws_lose_a_class_there_is_no_interval_of_a_mean_over_classes():
    """Of three groups, each of one class, a draw keeps all only as they are: its spread would be nothing."""
    truth = np.repeat([0, 1, 2], 4)
    called = np.where(np.arange(12) % 4 == 0, (truth + 1) % 3, truth)
    how = {"resamples": 500, "confidence": 0.95, "seed": 0}
    found = report(truth, np.eye(3)[called], np.repeat(["p", "q", "r"], 4), ("a", "b", "c"), **how)
    assert found["balanced_accuracy"] == {"value": 0.75, "low": None, "high": None}
    assert found["accuracy"]["low"] is not None


def test_a_certain_mistake_has_a_finite_loss():
    found = score(np.array([0]), np.array([[0.0, 1.0]]), np.ones((1, 1)))
    assert 20 < found.loss[0] < 30


# --- the bootstrap ------------------------------------------------------------------------


def test_groups_are_drawn_whole_and_as_many_as_there_are():
    groups = np.array(["a", "b", "a", "c", "c", "c"])
    weights = bootstrap_weights(groups, 200, seed=1)
    assert weights.shape == (200, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.2)


def test_the_seed_decides_the_draws():
    groups = np.arange(30).astype(str)
    np.testing.assert_array_equal(bootstrap_weights(groups, 50, 3), bootstrap_weights(groups, 50, 3))
    assert not np.array_equal(bootstrap_weights(groups, 50, 3), bootstrap_weights(groups, 50, 4))


def summary(truth, probabilities, groups=None, **changes):
    groups = np.arange(len(truth)).astype(str) if groups is None else groups
    return report(truth, probabilities, groups, CLASSES, **{"resamples": 400, "confidence": 0.95, "seed": 1} | changes)


def width(interval):
    return interval["high"] - interval["low"]


def all_intervals(content):
    return [content[name] for name in OVERALL] + [
        values[name] for values in content["per_class"].values() for name in PER_CLASS
    ]


@pytest.mark.parametrize("seed", range(4))
def test_every_interval_covers_its_value(seed):
    for interval in all_intervals(summary(*predictions(seed))):
        assert interval["low"] <= interval["value"] <= interval["high"]
        assert width(interval) > 0


def test_more_confidence_is_a_wider_interval_and_more_images_a_narrower_one():
    few, many = predictions(0), predictions(0, images=800)
    assert width(summary(*few, confidence=0.99)["accuracy"]) > width(summary(*few, confidence=0.8)["accuracy"])
    assert width(summary(*many)["accuracy"]) < 0.6 * width(summary(*few)["accuracy"])


def test_images_of_one_patient_widen_the_interval_as_far_as_they_are_alike():
    truth, probabilities = predictions(2, images=60)
    alike = np.repeat(truth, 6), np.repeat(probabilities, 6, axis=0)
    patients = np.repeat(np.arange(60), 6).astype(str)
    single, grouped = summary(*alike)["accuracy"], summary(*alike, groups=patients)["accuracy"]
    assert single["value"] == grouped["value"]
    assert width(grouped) == pytest.approx(np.sqrt(6) * width(single), rel=0.25)


def test_the_interval_is_near_the_textbook_one_for_accuracy():
    truth, probabilities = predictions(3, images=500)
    found = summary(truth, probabilities, resamples=2000)["accuracy"]
    expected = 2 * 1.96 * np.sqrt(found["value"] * (1 - found["value"]) / 500)
    assert width(found) == pytest.approx(expected, rel=0.1)


def test_the_report_counts_images_groups_and_support():
    truth, probabilities = predictions(4)
    content = summary(truth, probabilities, groups=(np.arange(80) // 4).astype(str))
    assert (content["images"], content["groups"]) == (80, 20)
    assert list(content["per_class"]) == list(CLASSES)
    assert [content["per_class"][name]["support"] for name in CLASSES] == np.bincount(truth).tolist()


def test_a_large_test_set_is_scored_in_parts_with_the_same_result(monkeypatch):
    whole = summary(*predictions(5))
    monkeypatch.setattr("cnnClassifier.metrics.report.CELLS_AT_A_TIME", 1000)
    assert summary(*predictions(5)) == whole


def test_what_an_absent_class_has_is_none_and_the_rest_stands():
    truth, probabilities = predictions(6)
    kept = truth != 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = summary(truth[kept], probabilities[kept])
    nothing = {"value": None, "low": None, "high": None}
    assert content["per_class"]["normal"] == {"support": 0, "precision": nothing, "recall": nothing, "f1": nothing}
    assert content["balanced_accuracy"]["value"] is not None


def test_no_images_at_all_is_told():
    with pytest.raises(DataError, match="no test images to report on"):
        summary(np.array([], dtype=int), np.zeros((0, 4)))


@given(st.integers(0, 10**6), st.integers(1, 30), st.booleans())
def test_metrics_of_any_predictions_are_shares(seed, images, coarse):
    draw = np.random.default_rng(seed)
    truth, probabilities = draw.integers(0, 4, images), draw.dirichlet(np.ones(4), images)
    if coarse:
        probabilities = np.eye(4)[probabilities.argmax(axis=1)]
    content = summary(truth, probabilities, resamples=20)
    for interval in all_intervals(content):
        if interval["value"] is not None and interval is not content["loss"]:
            assert all(0 <= value <= 1 for value in interval.values() if value is not None)


# --- plots --------------------------------------------------------------------------------


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    plot_evaluation(*predictions(7, images=300), CLASSES, "phantom, published test split", folder)
    return folder


@pytest.mark.parametrize("name", ["confusion_matrix", "roc", "precision_recall", "calibration"])
def test_each_plot_is_a_picture_and_a_table(plots, name):
    with Image.open(plots / f"{name}.png") as picture:
        assert min(picture.size) > 400
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    assert read_csv(plots / f"{name}.csv")


def test_the_confusion_table_is_one_row_an_image(plots):
    rows = read_csv(plots / "confusion_matrix.csv")
    truth, probabilities = predictions(7, images=300)
    assert [row["actual"] for row in rows] == [CLASSES[label] for label in truth]
    assert [row["predicted"] for row in rows] == [CLASSES[label] for label in probabilities.argmax(axis=1)]


def test_the_curves_in_the_tables_have_the_reported_areas(plots):
    truth, probabilities = predictions(7, images=300)
    for index, label in enumerate(CLASSES):
        points = [row for row in read_csv(plots / "roc.csv") if row["class"] == label]
        area = sk.auc(
            *(np.array([float(row[f"{kind}_positive_rate"]) for row in points]) for kind in ("false", "true"))
        )
        assert area == pytest.approx(sk.roc_auc_score(truth == index, probabilities[:, index]), abs=1e-4)


def test_a_class_that_is_absent_has_no_curve_and_does_no_harm(tmp_path):
    truth, probabilities = predictions(8)
    kept = truth != 3
    plot_evaluation(truth[kept], probabilities[kept], CLASSES, "three classes", tmp_path)
    assert {row["class"] for row in read_csv(tmp_path / "roc.csv")} == set(CLASSES[:3])


def test_one_class_alone_still_gives_all_files(tmp_path):
    plot_evaluation(np.zeros(5, dtype=int), np.full((5, 4), 0.25), CLASSES, "one class", tmp_path)
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize("validated", [True, False])
def test_a_history_is_drawn_with_and_without_validation(validated, tmp_path):
    history = [{"loss": 1 / (n + 1), "accuracy": n / 20} for n in range(20)]
    if validated:
        history = [{**row, "val_loss": row["loss"] + 0.1, "val_accuracy": row["accuracy"]} for row in history]
    plot_history(history, best=12, path=tmp_path / "history.png")
    with Image.open(tmp_path / "history.png") as picture:
        assert picture.width > 800
