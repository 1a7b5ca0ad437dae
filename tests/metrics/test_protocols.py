"""Protocols are the same report on fewer images; controls are asked about the very images that the model is."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import CLASSES, predictions

from cnnClassifier.metrics.protocols import (
    FEWEST_OF_A_SOURCE,
    Judged,
    Reporting,
    judge_grouped,
    judge_test,
    report_controls,
    report_protocol,
)
from cnnClassifier.metrics.report import report

HOW = Reporting(CLASSES, positive=(0, 2), resamples=100, confidence=0.9, seed=3)
IMAGES = 120
FEW = FEWEST_OF_A_SOURCE - 1


@pytest.fixture(scope="module")
def judged() -> Judged:
    truth, probabilities, groups, _ = predictions(images=IMAGES)
    sources = np.where(np.arange(IMAGES) % 3 == 0, "JPEG L", "PNG RGBA")
    sources[:FEW] = "BMP L"
    return Judged(truth, groups, sources, probabilities, {"always_north": np.eye(4)[np.zeros(IMAGES, int)]})


def test_a_protocol_is_the_report_of_its_images_with_the_positive_classes(judged):
    found = report_protocol(judged, HOW)
    by_source = found.pop("by_source")
    expected = report(
        judged.truth,
        judged.model,
        judged.groups,
        CLASSES,
        resamples=100,
        confidence=0.9,
        seed=3,
        positive=(0, 2),
    )
    assert found == expected
    assert set(by_source) == {"JPEG L", "PNG RGBA"}


def test_accuracy_is_told_for_each_source_that_has_enough_images(judged):
    right = judged.model.argmax(axis=1) == judged.truth
    for source, found in report_protocol(judged, HOW)["by_source"].items():
        among = judged.sources == source
        accuracy = found["accuracy"]
        assert found["images"] == among.sum()
        assert accuracy["value"] == pytest.approx(right[among].mean(), abs=1e-6)
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]


@pytest.mark.parametrize(("count", "told"), [(FEW, False), (FEW + 1, True)])
def test_of_a_source_with_few_images_nothing_is_said(judged, count, told):
    sources = np.where(np.arange(IMAGES) < count, "BMP L", "PNG L")
    assert ("BMP L" in report_protocol(replace(judged, sources=sources), HOW)["by_source"]) is told


def test_a_control_is_reported_by_what_it_is_compared_by(judged):
    (found,) = report_controls(judged, HOW).values()
    assert set(found) == {"accuracy", "balanced_accuracy"}
    assert found["accuracy"] == HOW.on(judged, judged.controls["always_north"])["accuracy"]
    assert found["accuracy"]["value"] == pytest.approx((judged.truth == 0).mean(), abs=1e-6)
    assert found["balanced_accuracy"]["value"] == 0.25


def test_fewer_images_are_fewer_for_model_and_controls_alike(judged):
    rows = np.arange(IMAGES) % 2 == 0
    half = judged.at(rows)
    assert report_protocol(half, HOW)["images"] == IMAGES // 2
    np.testing.assert_array_equal(half.truth, judged.truth[rows])
    np.testing.assert_array_equal(half.groups, judged.groups[rows])
    np.testing.assert_array_equal(half.sources, judged.sources[rows])
    np.testing.assert_array_equal(half.model, judged.model[rows])
    np.testing.assert_array_equal(half.controls["always_north"], judged.controls["always_north"][rows])


def test_without_positive_classes_nothing_is_said_of_them(judged):
    assert "any_positive" not in report_protocol(judged, replace(HOW, positive=()))


# --- what the controls are taught -----------------------------------------------------------


def described(labels: np.ndarray, seed: int, help_of_label: float) -> np.ndarray:
    """Numbers that describe images: directions of their own for each class, as clear as wanted."""
    draw = np.random.default_rng(seed)
    return draw.normal(size=(len(labels), 6)) + help_of_label * np.eye(6)[labels]


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float((probabilities.argmax(axis=1) == labels).mean())


def test_each_control_sees_its_own_numbers_and_no_others():
    labels = np.random.default_rng(0).integers(0, 4, 200)
    clear, noise = described(labels, 1, 8), described(labels, 2, 0)
    vectors, facts = (clear[:100], clear[100:]), (noise[:100], noise[100:])
    by_vectors = judge_test(vectors, facts, labels[:100], 4, seed=1)
    by_facts = judge_test(facts, vectors, labels[:100], 4, seed=1)
    assert set(by_vectors) == {"nearest_neighbour", "shortcut"}
    assert (
        accuracy(by_vectors["nearest_neighbour"], labels[100:])
        > 0.9
        > 0.5
        > accuracy(by_vectors["shortcut"], labels[100:])
    )
    assert (
        accuracy(by_facts["shortcut"], labels[100:]) > 0.9 > 0.5 > accuracy(by_facts["nearest_neighbour"], labels[100:])
    )


def test_by_groups_no_control_learns_from_the_fold_it_is_asked_about():
    labels, folds = np.random.default_rng(0).integers(0, 4, 120), np.arange(120) // 40
    vectors, facts = described(labels, 1, 2), described(labels, 2, 2)
    before = judge_grouped(vectors, facts, labels, folds, 4, seed=1)
    lied = np.where(folds == 0, (labels + 1) % 4, labels)
    after = judge_grouped(vectors, facts, lied, folds, 4, seed=1)
    for control in ("nearest_neighbour", "shortcut"):
        np.testing.assert_array_equal(after[control][folds == 0], before[control][folds == 0])
        assert not np.array_equal(after[control][folds != 0], before[control][folds != 0])
