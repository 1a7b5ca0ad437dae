"""What a training image counts: by its class, and by how many slices its patient has."""

import numpy as np
import pytest

from cnnClassifier.weighting import balanced_weights, example_weights, group_weights
from tiny_pipeline import training

LABELS = np.array([0] * 6 + [1] * 3 + [2])
GROUPS = ["a"] * 4 + ["b", "c"] + ["d"] * 3 + ["a"]


def test_balanced_weights_give_each_class_the_same_say():
    weights = balanced_weights(LABELS, 3)
    assert [weights[label == LABELS].sum() for label in range(3)] == pytest.approx([10 / 3] * 3)
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize(("exponent", "ratio"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.25)])
def test_an_image_of_four_counts_by_the_exponent(exponent, ratio):
    weights = group_weights(LABELS, GROUPS, exponent)
    assert weights[0] / weights[4] == pytest.approx(ratio)


def test_a_class_keeps_its_share_whatever_its_groups():
    weights = group_weights(LABELS, GROUPS, 1.0)
    assert [weights[label == LABELS].sum() for label in range(3)] == pytest.approx([6, 3, 1])


def test_a_patient_with_images_of_two_classes_is_a_group_in_each():
    weights = group_weights(LABELS, GROUPS, 1.0)
    assert weights[9] == pytest.approx(1)
    assert weights[:4].sum() == pytest.approx(weights[4])


@pytest.mark.parametrize("groups", ["none", "root", "equal"])
def test_classes_are_balanced_whatever_the_groups_count(groups):
    weights = example_weights(LABELS, GROUPS, 3, training(group_weights=groups))
    assert [weights[label == LABELS].sum() for label in range(3)] == pytest.approx([10 / 3] * 3)


def test_without_either_each_image_counts_one():
    weights = example_weights(LABELS, GROUPS, 3, training(class_weights="none"))
    assert weights.tolist() == [1.0] * 10
