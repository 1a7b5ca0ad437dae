"""Shortcuts: found when planted, not when absent, and groups never on both sides of a fold."""

import numpy as np
import pytest

from cnnClassifier.audit.facts import Facts
from cnnClassifier.audit.shortcuts import find_shortcuts


def shortcuts_of(planted, seed=1):
    scans = [record for record in planted.records if "_mask" not in record.path]
    labels, groups = ([getattr(record, name) for record in scans] for name in ("label", "group"))
    return {found.block: found for found in find_shortcuts(planted.facts.of(scans), labels, groups, seed)}


def random_facts(values: np.ndarray) -> Facts:
    """Facts of which one file fact is given and all others are noise."""
    noise = np.random.default_rng(0).normal(size=(len(values), 3))
    names = ("file.width", "file.height", "border.top_mean", "histogram.0")
    ids = np.array([str(row) for row in range(len(values))])
    return Facts(ids, names, np.column_stack([values, noise]).astype(np.float32), np.zeros(len(values), np.uint64))


@pytest.fixture(scope="module")
def planted(faulty):
    return shortcuts_of(faulty)


def test_a_planted_shortcut_is_found_in_file_and_border_for_its_class_alone(planted):
    assert planted["file"].flagged == planted["border"].flagged == ["normal"]
    assert set(planted["histogram"].flagged) <= {"normal"}
    areas = {item.label: item for item in planted["file"].classes}
    assert areas["normal"].low > 0.95
    assert all(item.high < 0.95 for label, item in areas.items() if label != "normal")


def test_without_a_shortcut_nothing_is_flagged(clean):
    for found in shortcuts_of(clean).values():
        assert found.flagged == []
        assert found.balanced_accuracy["low"] <= found.chance + 0.1


def test_what_guessing_reaches_is_said_beside(planted):
    assert planted["file"].chance == 0.25
    assert 0.25 < planted["file"].majority < 0.4


def test_the_same_seed_gives_the_same_numbers(faulty, planted):
    assert shortcuts_of(faulty) == planted


def test_what_tells_only_patients_apart_is_no_shortcut():
    groups = np.repeat(np.arange(24), 6)
    labels = np.where(groups % 2, "a", "b")
    found = find_shortcuts(random_facts(groups.astype(float)), list(labels), [f"p{g}" for g in groups], 0)
    assert found[0].flagged == []


def test_two_classes_are_told_apart_as_well():
    labels = ["sick", "well"] * 60
    widths = np.where(np.array(labels) == "sick", 512, 500)
    found = find_shortcuts(random_facts(widths.astype(float)), labels, [str(row) for row in range(120)], 0)
    assert [shortcut.flagged for shortcut in found] == [["sick", "well"], [], []]


@pytest.mark.parametrize("labels", [["a"] * 8, ["a"] * 7 + ["b"]])
def test_one_class_or_one_group_of_a_class_cannot_be_measured(labels):
    assert find_shortcuts(random_facts(np.arange(8.0)), labels, [str(row) for row in range(8)], 0) == []
