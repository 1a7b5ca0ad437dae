"""Temperature is scikit-learn's, errors are those of the definitions, and "after" is judged on other images."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as reference_log_loss
from synthetic import predictions

from cnnClassifier.decision import calibrate
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.calibration import (
    TEMPERATURES,
    brier,
    calibration_report,
    cross_calibrate,
    debiased_calibration_error,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
)


class Passed(ClassifierMixin, BaseEstimator):
    """A model whose input is its logits."""

    def fit(self, _logits, truth):
        self.classes_ = np.unique(truth)
        return self

    def decision_function(self, logits):
        return logits

    def predict(self, logits):
        return self.classes_[logits.argmax(axis=1)]


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_is_scikit_learns(sharpness):
    truth, probabilities, _, _ = predictions(sharpness=sharpness)
    logits = np.log(probabilities)
    reference = CalibratedClassifierCV(FrozenEstimator(Passed().fit(logits, truth)), method="temperature")
    reference.fit(logits, truth)
    expected = 1 / reference.calibrated_classifiers_[0].calibrators[0].beta_
    ours = fit_temperature(truth, probabilities)
    assert ours == pytest.approx(expected, rel=2e-3)
    np.testing.assert_allclose(calibrate(probabilities, ours), reference.predict_proba(logits), atol=1e-3)


def test_the_temperature_that_was_applied_is_found_again():
    truth, probabilities, _, _ = predictions(images=20_000, sharpness=2.5)
    assert fit_temperature(truth, probabilities) == pytest.approx(2.5, rel=0.03)


def test_a_weight_of_two_is_the_image_twice():
    truth, probabilities, _, _ = predictions(images=100, sharpness=2)
    weights = np.where(np.arange(100) < 30, 2.0, 1.0)
    twice = np.append(np.arange(100), np.arange(30))
    weighted = fit_temperature(truth, probabilities, weights)
    assert weighted == pytest.approx(fit_temperature(truth[twice], probabilities[twice]), abs=2e-6)
    assert weighted != fit_temperature(truth, probabilities)


def test_predictions_without_a_mistake_and_without_sense_end_at_the_ends_of_the_range():
    _, probabilities, _, _ = predictions()
    assert fit_temperature(probabilities.argmax(axis=1), probabilities) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert fit_temperature(probabilities.argmin(axis=1), probabilities) == pytest.approx(TEMPERATURES[1], rel=1e-3)


@pytest.mark.parametrize("doubt", [1e-3, 1e-6, 1e-9])
def test_certain_predictions_without_a_mistake_end_at_the_lowest_temperature(doubt):
    """There the loss is flat, and where a search for its minimum stops says nothing."""
    probabilities = np.full((40, 2), doubt)
    truth = np.arange(40) % 2
    probabilities[np.arange(40), truth] = 1 - doubt
    assert fit_temperature(truth, probabilities) == TEMPERATURES[0]


def test_one_certain_mistake_leaves_a_finite_temperature():
    truth, probabilities, _, _ = predictions()
    probabilities[0] = np.eye(4)[(truth[0] + 1) % 4]
    assert fit_temperature(truth, probabilities) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1])
def test_what_is_no_probability_is_refused_with_its_row(bad):
    truth, probabilities, _, _ = predictions(images=10)
    probabilities[7, 2] = bad
    with pytest.raises(DataError, match="prediction 7 is not a row of probabilities"):
        fit_temperature(truth, probabilities)


def test_no_predictions_at_all_are_refused():
    with pytest.raises(DataError, match="no predictions"):
        fit_temperature(np.array([], dtype=int), np.zeros((0, 4)))


# --- errors -------------------------------------------------------------------------------


def test_brier_and_log_loss_are_scikit_learns():
    truth, probabilities, _, _ = predictions()
    assert brier(truth, probabilities) == pytest.approx(brier_score_loss(truth, probabilities, scale_by_half=False))
    assert log_loss(truth, probabilities) == pytest.approx(reference_log_loss(truth, probabilities))


def test_the_calibration_error_of_a_table_worked_out_by_hand():
    confidence, right = np.array([0.6, 0.6, 0.8, 1.0]), np.array([1, 0, 1, 1])
    probabilities = np.column_stack([confidence, 1 - confidence])
    # Two bins of two images: |0.6 - 0.5| and |0.9 - 1|.
    assert expected_calibration_error(1 - right, probabilities, bins=2) == pytest.approx(0.1)
    np.testing.assert_allclose(reliability(1 - right, probabilities, bins=2), [[0.6, 0.5, 2], [0.9, 1, 2]])


def test_bins_hold_equal_numbers_and_all_images():
    truth, probabilities, _, _ = predictions(images=700)
    count = reliability(truth, probabilities, bins=15)[:, 2]
    assert count.sum() == 700
    assert count.max() - count.min() <= 1


def test_the_order_of_images_changes_nothing_even_with_many_ties():
    truth, probabilities, _, _ = predictions()
    coarse = calibrate(np.round(probabilities * 4) + 0.5, 1)
    shuffled = np.random.default_rng(1).permutation(len(truth))
    error = expected_calibration_error(truth, coarse)
    assert expected_calibration_error(truth[shuffled], coarse[shuffled]) == pytest.approx(error, abs=1e-12)


# --- less what chance adds ------------------------------------------------------------------


def test_the_debiased_error_of_a_table_worked_out_by_hand():
    right = np.array([1, 1, 1, 0, 1, 1, 1, 1])
    confidence = np.repeat([0.5, 0.9], 4)
    probabilities = np.column_stack([confidence, 1 - confidence])
    # Bins of four: (0.5 - 0.75)^2 less 0.75 * 0.25 / 3 is 0; (0.9 - 1)^2 less 0 is 0.01; the root of their mean.
    alone = np.arange(8).astype(str)
    assert debiased_calibration_error(1 - right, probabilities, alone, bins=2) == pytest.approx(np.sqrt(0.01 / 2))
    # In pairs, of which the second has one right: .25^2 less (.5^2 + .5^2) / 4^2 * 2 / 1 is 0 again.
    groups = np.repeat(list("abcd"), 2)
    assert debiased_calibration_error(1 - right, probabilities, groups, bins=2) == pytest.approx(np.sqrt(0.01 / 2))


def test_a_bin_of_one_patient_says_nothing():
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1]])
    truth, groups = np.zeros(4, int), np.array(["a", "b", "c", "c"])
    # The first bin is .4 away and two images there agree that it is; the second is one patient's.
    assert debiased_calibration_error(truth, probabilities, groups, bins=2) == pytest.approx(np.sqrt(0.16 / 2))


def test_the_debiased_error_of_a_perfectly_calibrated_model_is_about_0():
    assert debiased_calibration_error(*predictions(images=100_000)[:3]) < 0.005
    few = [predictions(seed, images=300)[:3] for seed in range(20)]
    plain = np.mean([expected_calibration_error(*each[:2]) for each in few])
    assert np.mean([debiased_calibration_error(*each) for each in few]) < plain / 2


def test_that_a_patients_slices_are_right_together_is_chance_not_error():
    truth, probabilities, _, _ = predictions(images=60 * 300)
    slices = np.repeat(np.arange(60 * 300), 10).reshape(60, 300 * 10)  # sixty studies of 300 patients, ten slices each
    found = [
        [
            debiased_calibration_error(truth[rows], probabilities[rows], names.astype(str), bins=5)
            for names in (np.arange(len(rows)), rows)
        ]
        for rows in slices
    ]
    images, patients = np.square(found).mean(axis=0)
    assert images > 0.05**2  # as if 3000 images were 3000 patients
    assert patients < images / 2


def test_of_a_badly_calibrated_model_the_debiased_error_takes_next_to_nothing_away():
    truth, probabilities, groups, _ = predictions(images=20_000, sharpness=5, skill=1)
    confidence, accuracy, count = reliability(truth, probabilities).T
    plain = np.sqrt(np.average((confidence - accuracy) ** 2, weights=count))
    assert plain > 0.3
    assert debiased_calibration_error(truth, probabilities, groups) == pytest.approx(plain, rel=0.005)


# --- the report ---------------------------------------------------------------------------


def test_an_overconfident_model_is_corrected_on_images_that_did_not_help_to():
    truth, probabilities, groups, folds = predictions(images=4000, sharpness=3)
    found = calibration_report(truth, probabilities, folds, groups, seed=0)
    assert found["temperature"] == pytest.approx(3, rel=0.1)
    assert found["ece"]["before"] > 0.1
    assert found["ece"]["after"] < 0.03
    for name in ("brier", "log_loss"):
        assert found[name]["after"] < found[name]["before"]


def test_after_is_what_the_temperature_of_the_other_folds_gives():
    truth, probabilities, groups, folds = predictions(images=60, sharpness=3)
    expected = np.empty_like(probabilities)
    for row in range(60):
        others = folds != folds[row]
        temperature = fit_temperature(truth[others], probabilities[others])
        expected[row] = calibrate(probabilities[row : row + 1], temperature)[0]
    np.testing.assert_array_equal(cross_calibrate(truth, probabilities, folds), expected)
    found = calibration_report(truth, probabilities, folds, groups, seed=0)
    assert found["ece"]["debiased"] == pytest.approx(debiased_calibration_error(truth, expected, groups), abs=1e-6)
    assert found["brier"]["after"] == pytest.approx(brier(truth, expected), abs=1e-6)
    assert found["ece"]["after"] == pytest.approx(expected_calibration_error(truth, expected), abs=1e-6)


def test_the_error_of_a_perfectly_calibrated_model_is_the_one_by_chance():
    drawn = [predictions(seed, images=400) for seed in range(30)]
    errors = [expected_calibration_error(truth, probabilities) for truth, probabilities, _, _ in drawn]
    truth, probabilities, groups, folds = drawn[0]
    by_chance = calibration_report(truth, probabilities, folds, groups, seed=0)["ece"]["by_chance"]
    assert by_chance == pytest.approx(np.mean(errors), rel=0.15)
    assert by_chance > 0.02


def test_one_fold_alone_cannot_be_judged():
    truth, probabilities, groups, folds = predictions()
    with pytest.raises(DataError, match="two folds or more"):
        calibration_report(truth, probabilities, np.zeros_like(folds), groups, seed=0)
