"""Sets hold the true class as often as promised, on images like those the quantile was fitted on."""

import numpy as np
import pytest
from synthetic import CLASSES, predictions

from cnnClassifier.decision import ConformalRule, calibrate, conformal_set
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.calibration import fit_temperature
from cnnClassifier.metrics.conformal import COVERAGES, SLACK, conformal_report, fit_quantile, plain_sets, sets

SETTINGS = {"resamples": 200, "confidence": 0.95, "seed": 0}
TWO = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])


def test_the_quantile_of_a_table_worked_out_by_hand():
    # Distances .1 .4 .3 .8: the ceil(5 * .6) = 3rd smallest is .4, the ceil(5 * .8) = 4th is .8.
    truth = np.array([0, 0, 0, 0])
    assert fit_quantile(truth, TWO, 0.6) == pytest.approx(0.4, abs=2 * SLACK)
    assert fit_quantile(truth, TWO, 0.8) == pytest.approx(0.8, abs=2 * SLACK)


def test_too_few_images_for_the_promise_give_every_class():
    truth = np.array([0, 0, 0, 0])
    quantile = fit_quantile(truth, TWO, 0.81)
    assert quantile == 1
    assert sets(TWO, quantile).all()


def test_a_rank_that_is_whole_is_not_rounded_up():
    truth, probabilities = np.zeros(9, dtype=int), np.column_stack([np.arange(1, 10) / 10, 1 - np.arange(1, 10) / 10])
    # (9 + 1) * 0.9 is the 9th of 9, the largest distance.
    assert fit_quantile(truth, probabilities, 0.9) == pytest.approx(0.9, abs=2 * SLACK)


def test_the_image_a_quantile_rests_on_is_in_its_own_set_after_rounding_in_a_table():
    truth, probabilities, _, _ = predictions(images=99)
    quantile = fit_quantile(truth, probabilities, 0.9)
    rounded = np.array([[float(f"{value:.6g}") for value in row] for row in probabilities])
    assert plain_sets(rounded, quantile)[np.arange(99), truth].sum() == 90


def test_the_most_probable_class_is_always_in_the_set():
    np.testing.assert_array_equal(plain_sets(TWO, 0.15), [[1, 0], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(sets(TWO, 0.15), [[1, 0], [1, 0], [1, 0], [0, 1]])


@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.62, 0.9, 1.0])
def test_sets_are_those_that_are_served(quantile):
    _, probabilities, _, _ = predictions(images=60)
    rule = ConformalRule(coverage=0.9, quantile=quantile)
    for row, held in zip(probabilities, sets(probabilities, quantile), strict=True):
        served = conformal_set(dict(zip(CLASSES, row.tolist(), strict=True)), rule)
        assert set(served) == {name for name, inside in zip(CLASSES, held, strict=True) if inside}


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("images", [19, 200])
def test_the_promise_is_kept_on_average_over_exchangeable_images(coverage, images):
    held = []
    for seed in range(400):
        truth, probabilities, _, _ = predictions(seed, images=images + 50, sharpness=2.0)
        quantile = fit_quantile(truth[:images], probabilities[:images], coverage)
        held.append(plain_sets(probabilities[images:], quantile)[np.arange(50), truth[images:]].mean())
    # At least what is promised, and at most 1 / (n + 1) more (Angelopoulos and Bates 2021).
    assert coverage - 0.01 <= np.mean(held) <= coverage + 1 / (images + 1) + 0.01


def test_no_images_are_refused():
    with pytest.raises(DataError, match="no predictions"):
        fit_quantile(np.array([], dtype=int), np.zeros((0, 2)), 0.9)


# --- the report ---------------------------------------------------------------------------


def made(coverage=0.9, **changes):
    truth, probabilities, groups, folds = predictions(**{"sharpness": 2.0, **changes})
    return conformal_report(truth, probabilities, folds, groups, CLASSES, coverage, **SETTINGS)


def test_coverage_on_the_other_folds_is_within_two_points_of_what_is_promised():
    found = made(images=4000)
    for row in [found, *found["curve"]]:
        assert row["plain_coverage"]["value"] == pytest.approx(row["nominal"], abs=0.02)
    assert [row["nominal"] for row in found["curve"]] == list(COVERAGES)


def test_each_fold_is_judged_by_the_quantile_of_the_others():
    truth, probabilities, _, folds = predictions(images=100, sharpness=2.0)
    held, size = [], []
    for row in range(100):
        others = folds != folds[row]
        temperature = fit_temperature(truth[others], probabilities[others])
        quantile = fit_quantile(truth[others], calibrate(probabilities[others], temperature), 0.9)
        served = sets(calibrate(probabilities[row : row + 1], temperature), quantile)[0]
        held.append(served[truth[row]])
        size.append(served.sum())
    found = made(images=100)
    assert found["coverage"]["value"] == pytest.approx(np.mean(held), abs=1e-6)
    assert found["mean_size"] == pytest.approx(np.mean(size), abs=1e-6)
    assert found["singletons"] == pytest.approx(np.mean(np.array(size) == 1), abs=1e-6)


def test_the_saved_quantile_comes_from_all_images():
    truth, probabilities, _, _ = predictions(sharpness=2.0)
    calibrated = calibrate(probabilities, fit_temperature(truth, probabilities))
    assert made()["quantile"] == fit_quantile(truth, calibrated, 0.9)


def test_a_promise_below_the_accuracy_is_overkept_by_what_is_served_and_the_report_says_by_how_much():
    found = made(images=2000, skill=8.0, coverage=0.8)
    assert found["plain_coverage"]["value"] == pytest.approx(0.8, abs=0.02)
    assert found["coverage"]["value"] > 0.85
    assert found["empty"] > 0.05
    assert found["coverage"]["value"] - found["plain_coverage"]["value"] <= found["empty"] + 1e-6


def test_coverage_by_class_adds_up_to_the_whole():
    truth, *_ = predictions(sharpness=2.0)
    found = made()
    by_class = [found["per_class"][name]["value"] for name in CLASSES]
    assert np.average(by_class, weights=np.bincount(truth)) == pytest.approx(found["coverage"]["value"], abs=1e-5)


def test_more_coverage_takes_larger_sets():
    sizes = [row["mean_size"] for row in made()["curve"]]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
