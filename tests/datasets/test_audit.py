"""Copies and conflicts: what is found, and what the policy keeps out of training."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.audit import apply_policy, audit, check_trainable, is_copy_of_training, summarise
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError

DEFAULT = DataAuditConfig()
KEEP = DataAuditConfig(copies="keep", conflicts="keep")


def record(path: str, picture: str) -> ImageRecord:
    """An image whose split and label are the first two parts of its path."""
    split, label, _ = path.split("/")
    return ImageRecord(path, path, label, split, path, picture, picture, 1, 1, "L", "PNG", 1)  # type: ignore[arg-type]


DATA = [
    record("test/a/leaked", "1"),
    record("test/a/own", "2"),
    record("test/b/twin", "3"),
    record("test/b/twin again", "3"),
    record("train/a/leak", "1"),
    record("train/a/first", "4"),
    record("train/a/second", "4"),
    record("train/a/disputed", "5"),
    record("train/b/disputed", "5"),
    record("train/b/own", "6"),
    record("valid/a/third", "4"),
    record("valid/b/disputed", "5"),
    record("valid/b/own", "7"),
]
TEST = [item for item in DATA if item.split == "test"]

records = st.lists(
    st.tuples(st.sampled_from(["train", "valid", "test"]), st.sampled_from("ab"), st.sampled_from("12345678")),
    max_size=40,
).map(lambda rows: [record(f"{split}/{label}/{n}", picture) for n, (split, label, picture) in enumerate(rows)])


def paths(kept):
    return {item.path for item in kept}


def test_what_is_found():
    findings = audit(DATA)
    assert [len(group) for group in findings.copies] == [2, 2, 3, 3]
    assert [paths(group) for group in findings.leaked_into_test] == [{"test/a/leaked", "train/a/leak"}]
    assert [paths(group) for group in findings.conflicts] == [
        {"train/a/disputed", "train/b/disputed", "valid/b/disputed"}
    ]
    assert is_copy_of_training(DATA) == {"test/a/leaked"}


def test_by_default_copies_go_once_leaks_and_conflicts_altogether():
    assert paths(apply_policy(DATA, DEFAULT)) == paths(TEST) | {"train/a/first", "train/b/own", "valid/b/own"}


def test_keep_keeps_everything():
    assert apply_policy(DATA, KEEP) == DATA


def test_conflicts_alone_can_be_dropped_and_every_copy_goes():
    dropped = paths(DATA) - paths(apply_policy(DATA, DataAuditConfig(copies="keep", conflicts="drop")))
    assert dropped == {"train/a/disputed", "train/b/disputed", "valid/b/disputed"}


def test_a_conflict_with_a_test_image_drops_the_training_side_only():
    data = [record("test/a/x", "1"), record("train/b/x", "1"), record("train/b/y", "2")]
    policy = DataAuditConfig(copies="keep", conflicts="drop")
    assert paths(apply_policy(data, policy)) == {"test/a/x", "train/b/y"}


@pytest.mark.parametrize(("policy", "words"), [
    ({"copies": "fail"}, ["`data_audit.copies` is `fail`", "found: 4", "test/a/leaked, train/a/leak"]),
    ({"conflicts": "fail"}, ["`data_audit.conflicts` is `fail`", "found: 1", "train/a/disputed, train/b/disputed"]),
])  # fmt: skip
def test_fail_stops_and_names_files(policy, words):
    with pytest.raises(DataError) as caught:
        apply_policy(DATA, DataAuditConfig(**policy))
    assert all(word in str(caught.value) for word in words)


def test_fail_lets_clean_data_through():
    clean = [replace(item, pixel_hash=item.path) for item in DATA]
    assert apply_policy(clean, DataAuditConfig(copies="fail", conflicts="fail")) == clean


@given(records)
def test_by_default_nothing_trained_on_is_in_test_or_under_two_labels_or_there_twice(data):
    kept = apply_policy(data, DEFAULT)
    trained = [item for item in kept if item.split != "test"]
    tested = {item.pixel_hash for item in data if item.split == "test"}
    labels = {}
    for item in data:
        labels.setdefault(item.pixel_hash, set()).add(item.label)
    assert not tested & {item.pixel_hash for item in trained}
    assert len({item.pixel_hash for item in trained}) == len(trained)
    assert all(len(labels[item.pixel_hash]) == 1 for item in trained)
    # and nothing else is lost
    assert {picture for picture, names in labels.items() if len(names) == 1} <= {item.pixel_hash for item in kept}


@given(records, st.sampled_from([DEFAULT, KEEP]))
def test_the_test_split_is_never_touched_and_the_order_stays(data, policy):
    kept = apply_policy(data, policy)
    assert [item for item in kept if item.split == "test"] == [item for item in data if item.split == "test"]
    assert kept == [item for item in data if item in kept]


def test_a_class_without_a_training_image_left_is_named():
    data = [record("test/a/x", "1"), record("train/a/x", "1"), record("train/b/y", "2"), record("test/b/z", "3")]
    check_trainable(data, data)
    with pytest.raises(DataError, match="no training image of a: "):
        check_trainable(data, apply_policy(data, DEFAULT))


def test_the_summary_counts_and_names():
    summary = summarise(DATA, apply_policy(DATA, DEFAULT), audit(DATA))
    assert summary["images"] == {"train": 6, "valid": 3, "test": 4}
    assert summary["kept"] == {"train": 2, "valid": 1, "test": 4}
    assert summary["classes"] == {"train": {"a": 4, "b": 2}, "valid": {"a": 1, "b": 2}, "test": {"a": 2, "b": 2}}
    assert summary["exact_copies"] == {"sets": 4, "redundant_images": 6, "test_images_also_in_training": 1}
    assert summary["label_conflicts"] == {"sets": 1}
    assert ["test/a/leaked", "train/a/leak"] in summary["files"]["exact_copies"]
