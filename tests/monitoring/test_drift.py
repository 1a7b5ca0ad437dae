"""Drift: right by scipy and by counting, quiet on new patients, loud on another scanner, whatever the window's size."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.holm import holm
from cnnClassifier.monitoring import drift
from cnnClassifier.monitoring.drift import Null, compare
from cnnClassifier.monitoring.properties import PROPERTIES
from watched import LIMIT, TRAINED, draw, reference_of, window_of

WINDOWS = 60


def alarms(reference, images, null=None):
    findings = compare(reference, window_of(images, reference), LIMIT, null or quick(reference, len(images.groups)))
    return {finding.name for finding in findings if finding.alarm}


def quick(reference, images):
    """A fifth of the draws: enough for the level, in a fifth of the time."""
    return Null(reference, images, draws=1999)


def test_statistics_are_scipys(reference):
    images = draw(20, seed=1)
    window = window_of(images, reference)
    found = {finding.name: finding for finding in compare(reference, window, LIMIT, quick(reference, 100))}
    for column, name in enumerate(PROPERTIES):
        known = stats.ks_2samp(reference.properties[:, column], window.properties[:, column]).statistic
        assert found[name].effect == pytest.approx(known)
    farther = stats.ks_2samp(reference.distances, window.distances, alternative="greater").statistic
    assert found["feature distance"].effect == pytest.approx(farther)


def test_where_every_image_is_a_patient_p_values_are_the_textbooks():
    random = np.random.default_rng(3)
    images = draw(60, seed=3)
    alone = type(images)([f"p{n}" for n in range(len(images.groups))], *_shuffled(images, random))
    reference = reference_of(alone)
    other = draw(40, seed=4)
    lone = type(other)(other.groups, *_shuffled(draw(len(other.groups), seed=5), random, len(other.groups)))
    window = window_of(lone, reference)
    found = {each.name: each for each in compare(reference, window, LIMIT, quick(reference, len(window)))}
    for column, name in ((2, "mean"), (3, "contrast")):
        known = stats.ks_2samp(reference.properties[:, column], window.properties[:, column])
        assert found[name].effect == pytest.approx(known.statistic)
        assert found[name].p_value == pytest.approx(known.pvalue, abs=0.1)


def _shuffled(images, random, rows=None):
    """Every column shuffled by itself: no image has anything in common with another."""
    arrays = (images.features, images.probabilities, images.distances, images.properties)
    return [array[random.permutation(len(array))[:rows]] for array in arrays]


def test_new_patients_alarm_as_rarely_as_promised(reference):
    null = quick(reference, 100)
    alarmed = sum(bool(alarms(reference, draw(20, seed), null)) for seed in range(100, 100 + WINDOWS))
    assert alarmed <= stats.binom.ppf(0.999, WINDOWS, 3 * drift.LEVEL)


def test_taking_images_for_independent_would_alarm_on_new_patients(reference):
    """The reason for the bootstrap over groups: with the textbook's p-values most quiet windows would alarm."""
    alarmed = 0
    for seed in range(100, 120):
        window = window_of(draw(20, seed), reference)
        textbook = [
            stats.ks_2samp(ours, theirs).pvalue
            for ours, theirs in zip(reference.properties.T, window.properties.T, strict=True)
        ]
        alarmed += min(holm(textbook)) <= drift.LEVEL
    assert alarmed >= 5


def test_another_scanner_is_found_and_named(reference):
    assert alarms(reference, draw(20, seed=7, noisier=2.5)) == {"noise"}


def test_a_change_too_small_to_matter_does_not_alarm_however_sure_it_is(reference):
    """5000 images that differ by a twentieth of a deviation; the reference is what they are drawn from."""
    rows = np.repeat(np.arange(len(reference)), 12)
    window = window_of(TRAINED, reference)
    moved = type(window)(
        window.probabilities[rows],
        window.distances[rows],
        window.components[rows],
        window.properties[rows] + 0.5,
        window.refused[rows],
    )
    assert not any(finding.alarm for finding in compare(reference, moved, LIMIT, quick(reference, len(moved))))


def test_images_nearer_than_new_patients_are_no_drift(reference):
    images = draw(20, seed=9)
    assert "feature distance" not in alarms(reference, replace(images, distances=0 * images.distances))


def test_a_flood_of_other_images_is_found_by_its_refusals(reference):
    images = draw(30, seed=11)
    far = np.where(np.arange(len(images.groups)) % 2, images.distances, LIMIT + 1)
    assert {"refused", "feature distance"} <= alarms(reference, replace(images, distances=far))


def test_a_model_without_a_gate_is_compared_by_what_it_has(reference):
    findings = compare(reference, window_of(draw(20, seed=1), reference), None, quick(reference, 100))
    assert {finding.name for finding in findings}.isdisjoint({"refused", "feature distance"})


def test_few_images_are_refused(reference):
    with pytest.raises(DataError, match="too few"):
        compare(reference, window_of(draw(2, seed=1), reference), LIMIT)
