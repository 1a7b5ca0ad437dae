"""Splits: what they differ in is said in words, and chance is not taken for a difference."""

from dataclasses import replace

import numpy as np

from cnnClassifier.audit.facts import Facts
from cnnClassifier.audit.splits import compare_splits, count_by_split, count_classes, imbalance


def with_fact(facts: Facts, name: str, values: np.ndarray) -> Facts:
    changed = facts.values.copy()
    changed[:, facts.names.index(name)] = values
    return replace(facts, values=changed)


def test_splits_of_one_source_do_not_differ(clean):
    assert compare_splits(clean.records, clean.facts) == []


def test_a_darker_test_split_is_told_in_words(clean):
    tested = np.array([record.split == "test" for record in clean.records])
    darker = with_fact(clean.facts, "picture.brightness", np.where(tested, 40, 90))
    found = compare_splits(clean.records, darker)
    # The four patients of valid are too few to be compared.
    assert [item.words for item in found] == ["mean grey level: median 90 in train, 40 in test"]
    assert (found[0].effect, found[0].splits) == (1, ("train", "test"))


def test_another_file_format_in_test_is_told_in_words(clean):
    records = [replace(record, format="JPEG") if record.split == "test" else record for record in clean.records]
    words = [item.words for item in compare_splits(records, clean.facts)]
    assert any(line.startswith("file format: JPEG is 0% of train and 100% of test") for line in words)


def test_many_slices_of_few_patients_are_no_evidence(clean):
    """Counted by image, this would be a difference beyond doubt: one patient of forty slices is bright."""
    one, other = (replace(clean.records[0], split=split) for split in ("train", "test"))
    records = [replace(one, group=f"a{row % 6}") for row in range(120)]
    records += [replace(other, group=f"b{min(row // 40, 5)}") for row in range(80)] + [
        replace(other, group=f"c{row}") for row in range(4)
    ]
    facts = clean.facts.of([clean.records[0]] * len(records))
    bright = np.array([record.group in ("b0", "b1") for record in records])
    assert compare_splits(records, with_fact(facts, "picture.brightness", np.where(bright, 200, 90))) == []


def test_classes_are_counted_in_every_split_and_compared(clean):
    assert count_by_split(clean.records) == {"train": 40, "valid": 8, "test": 16}
    assert count_classes(clean.records)["valid"]["normal"] == 2
    assert imbalance({"a": 30, "b": 20}) == 1.5
    assert imbalance({"a": 30, "b": 0}) is None
