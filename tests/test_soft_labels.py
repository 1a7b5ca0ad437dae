"""Votes to targets of training, and what is said where there are none."""

import numpy as np
import pytest

from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.soft_labels import soft_targets


def record(label, votes=()):
    return ImageRecord("1", f"{label}.png", label, "train", "g", "ab", "cd", 3, 2, "L", "PNG", 99, votes)


def test_votes_become_shares_and_a_label_without_votes_stays_one():
    targets = soft_targets([record("a", (6, 1)), record("b", (2, 2)), record("b")], ("a", "b"))
    np.testing.assert_allclose(targets, [[6 / 7, 1 / 7], [0.5, 0.5], [0, 1]], rtol=1e-6)
    assert targets.dtype == np.float32


def test_no_votes_at_all_and_votes_for_other_classes_are_told():
    with pytest.raises(ConfigError, match=r"the manifest has no votes; name their columns in `data_ingestion\.source"):
        soft_targets([record("a"), record("b")], ("a", "b"))
    with pytest.raises(DataError, match=r"a\.png has votes for 3 classes, and the model has 2"):
        soft_targets([record("a", (1, 2, 3))], ("a", "b"))
