"""The threshold is the highest that finds enough positives, and what it reaches is judged on other images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from synthetic import CLASSES, predictions

from cnnClassifier.decision import calibrate
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.calibration import fit_temperature
from cnnClassifier.metrics.operating import (
    TARGETS,
    choose_threshold,
    operating_report,
    positive_score,
    rates_by_threshold,
)
from cnnClassifier.metrics.report import report

POSITIVE = [0, 2]
SETTINGS = {"resamples": 200, "confidence": 0.95, "seed": 0}


def choose(score, is_positive, sensitivity):
    return choose_threshold(np.array(score, dtype=float), np.array(is_positive, dtype=bool), sensitivity)


def test_the_threshold_lies_half_way_to_the_next_score():
    score, is_positive = [0.9, 0.8, 0.6, 0.5, 0.2], [1, 1, 0, 1, 0]
    assert choose(score, is_positive, 1.0) == pytest.approx(0.35)
    assert choose(score, is_positive, 0.6) == pytest.approx(0.7)
    assert choose(score, is_positive, 0.1) == pytest.approx(0.85)


def test_equal_scores_are_called_together():
    assert choose([0.9, 0.5, 0.5, 0.5, 0.1], [1, 1, 1, 0, 0], 0.6) == pytest.approx(0.3)


def test_all_positives_are_found_when_all_are_wanted_even_those_of_score_zero():
    assert choose([0.7, 0.0, 0.0], [1, 1, 0], 1.0) == 0


def test_a_target_that_is_met_exactly_is_met_whatever_its_binary_fraction():
    score = np.arange(50, 0, -1) / 100
    threshold = choose(np.append(score, 0.001), [1] * 50 + [0], 0.98)
    assert (score >= threshold).sum() == 49


def test_the_closest_of_floats_are_told_apart():
    upper = 0.3
    lower = np.nextafter(upper, 0)
    threshold = choose([upper, lower], [1, 0], 1.0)
    assert lower < threshold <= upper


@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(0.01, 1), st.booleans())
def test_the_threshold_reaches_the_target_and_no_higher_one_does(seed, images, target, coarse):
    draw = np.random.default_rng(seed)
    score = draw.random(images)
    score = np.round(score * 6) / 6 if coarse else score
    is_positive = np.append([True, False], draw.random(images - 2) < 0.5)
    threshold = choose(score, is_positive, target)
    assert 0 <= threshold <= 1
    assert (score >= threshold)[is_positive].mean() >= target - 1e-9
    higher = score[score >= threshold].min()  # the next threshold that changes an answer lies above this score
    assert (score > higher)[is_positive].mean() < target
    # scikit-learn's curve has no point of better specificity that finds as many.
    false_alarms, found, _ = roc_curve(is_positive, score, drop_intermediate=False)
    assert (score >= threshold)[~is_positive].mean() == pytest.approx(false_alarms[found >= target - 1e-9].min())


@pytest.mark.parametrize(("is_positive", "kind"), [([0, 0], "positive"), ([1, 1], "other")])
def test_without_both_kinds_no_threshold_can_be_chosen(is_positive, kind):
    with pytest.raises(DataError, match=f"no images of a {kind} class"):
        choose([0.1, 0.9], is_positive, 0.9)


def test_the_score_is_the_sum_of_the_positive_classes_and_never_above_one():
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4], [0.7 + 1e-15, 0.0, 0.3 + 1e-15, 0.0]])
    np.testing.assert_allclose(positive_score(probabilities, POSITIVE), [0.4, 1])
    assert positive_score(probabilities, POSITIVE).max() <= 1


def test_rates_by_threshold_count_what_is_called_at_each():
    truth, probabilities, _, _ = predictions(images=50)
    score, is_positive = np.round(positive_score(probabilities, POSITIVE), 1), np.isin(truth, POSITIVE)
    rows = rates_by_threshold(score, is_positive)
    assert (rows[0, 0], rows[-1, 0]) == (1, 0)
    for threshold, sensitivity, specificity in rows:
        assert sensitivity == pytest.approx((score >= threshold)[is_positive].mean())
        assert specificity == pytest.approx((score < threshold)[~is_positive].mean())


# --- the report ---------------------------------------------------------------------------


def made(images=800, sensitivity=0.95, **changes):
    truth, probabilities, groups, folds = predictions(images=images, sharpness=2.0)
    return operating_report(
        truth, probabilities, folds, groups, CLASSES, POSITIVE, sensitivity, **{**SETTINGS, **changes}
    )


def test_the_threshold_comes_from_all_images_and_what_it_reaches_from_the_other_folds():
    truth, probabilities, _, folds = predictions(sharpness=2.0)
    called, is_positive = np.zeros(len(truth), dtype=bool), np.isin(truth, POSITIVE)
    for fold in range(5):
        others = folds != fold
        calibrated = calibrate(probabilities, fit_temperature(truth[others], probabilities[others]))
        score = positive_score(calibrated, POSITIVE)
        called[~others] = (score >= choose_threshold(score[others], is_positive[others], 0.95))[~others]
    found = made()
    assert found["sensitivity"]["value"] == pytest.approx(called[is_positive].mean(), abs=1e-6)
    assert found["specificity"]["value"] == pytest.approx((~called)[~is_positive].mean(), abs=1e-6)
    score = positive_score(calibrate(probabilities, fit_temperature(truth, probabilities)), POSITIVE)
    assert found["threshold"] == choose_threshold(score, is_positive, 0.95)
    assert found["as_chosen"]["sensitivity"]["value"] == pytest.approx(
        (score >= found["threshold"])[is_positive].mean(), abs=1e-6
    )
    assert found["as_chosen"]["sensitivity"]["value"] >= 0.95


def test_the_report_names_the_classes_and_the_target():
    found = made(sensitivity=0.97)
    assert (found["positive"], found["target_sensitivity"]) == (["north", "south"], 0.97)


def test_more_sensitivity_costs_specificity():
    curve = made()["curve"]
    assert [row["target"] for row in curve] == list(TARGETS)
    thresholds = [row["threshold"] for row in curve]
    assert thresholds == sorted(thresholds, reverse=True)
    assert curve[-1]["specificity"]["value"] < curve[0]["specificity"]["value"]
    for row in curve:
        for rate in (row["sensitivity"], row["specificity"]):
            assert rate["low"] <= rate["value"] <= rate["high"]


def test_two_classes_work_as_well():
    truth, probabilities, groups, folds = predictions(classes=2)
    found = operating_report(truth, probabilities, folds, groups, ("no", "yes"), [1], 0.9, **SETTINGS)
    assert found["sensitivity"]["value"] == pytest.approx(0.9, abs=0.05)


# --- by the most probable class -----------------------------------------------------------


def test_any_positive_is_counted_by_the_most_probable_class():
    truth, probabilities, groups, _ = predictions()
    found = report(truth, probabilities, groups, CLASSES, positive=POSITIVE, **SETTINGS)["any_positive"]
    called = np.isin(probabilities.argmax(axis=1), POSITIVE)
    is_positive = np.isin(truth, POSITIVE)
    assert found["sensitivity"]["value"] == pytest.approx(called[is_positive].mean(), abs=1e-6)
    assert found["specificity"]["value"] == pytest.approx((~called)[~is_positive].mean(), abs=1e-6)
    assert found["sensitivity"]["low"] < found["sensitivity"]["value"] < found["sensitivity"]["high"]


def test_without_positive_classes_nothing_is_said_of_them():
    truth, probabilities, groups, _ = predictions()
    assert "any_positive" not in report(truth, probabilities, groups, CLASSES, **SETTINGS)


def test_the_sensitivity_of_images_without_a_positive_is_none():
    truth, probabilities, groups, _ = predictions()
    kept = ~np.isin(truth, POSITIVE)
    found = report(truth[kept], probabilities[kept], groups[kept], CLASSES, positive=POSITIVE, **SETTINGS)
    assert found["any_positive"]["sensitivity"] == {"value": None, "low": None, "high": None}
    assert found["any_positive"]["specificity"]["value"] is not None
