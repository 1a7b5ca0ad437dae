"""Policy: what leaves training and why, what never leaves, and when the pipeline stops."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnClassifier.audit.compliance import check_policy, describe_policy
from cnnClassifier.audit.copies import copies_of_training, find_conflicts, gather_copies
from cnnClassifier.audit.exact_copies import find_exact_copies
from cnnClassifier.audit.findings import Findings
from cnnClassifier.audit.pairs import pair_up
from cnnClassifier.audit.policy import (
    CONFLICT,
    IN_TEST,
    MASK,
    NEAR_SPARE,
    NEAR_TEST,
    SPARE,
    Kept,
    apply_policy,
    check_trainable,
)
from cnnClassifier.audit.suspects import Suspect
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError

DEFAULT = DataAuditConfig()
KEEP = DataAuditConfig(copies="keep", near_copies="keep", conflicts="keep", masks="keep")


def record(path: str, picture: str) -> ImageRecord:
    """An image whose split and label are the first two parts of its path."""
    split, label, _ = path.split("/")
    return ImageRecord(path, path, label, split, path, picture, picture, 1, 1, "L", "PNG", 1)  # type: ignore[arg-type]


DATA = [
    record("test/a/leaked", "1"),
    record("test/a/own", "2"),
    record("test/b/near", "8"),
    record("test/b/twin", "3"),
    record("test/b/twin again", "3"),
    record("train/a/disputed", "5"),
    record("train/a/first", "4"),
    record("train/a/leak", "1"),
    record("train/a/mask", "9"),
    record("train/a/second", "4"),
    record("train/b/cropped", "10"),
    record("train/b/disputed", "5"),
    record("train/b/own", "6"),
    record("train/b/recropped", "11"),
    record("valid/a/third", "4"),
    record("valid/b/disputed", "5"),
    record("valid/b/own", "7"),
    record("valid/b/shifted", "12"),
]
NEAR = [
    pair_up("near", "test/b/near", "train/b/cropped", 0.98),
    pair_up("near", "train/b/own", "train/b/recropped", 0.97),
    pair_up("near", "train/b/recropped", "valid/b/shifted", 0.96),
]
PAIRS = [*find_exact_copies(DATA), *NEAR]
SUSPECTS = [Suspect("test/a/own", "mask"), Suspect("train/a/mask", "mask")]


def dropped(data=DATA, pairs=PAIRS, suspects=SUSPECTS, **policy):
    kept = apply_policy(data, pairs, suspects, KEEP.model_copy(update=policy) if policy else DEFAULT)
    assert {item.path for item in kept.dropped} == {item.path for item in data} - {item.path for item in kept.records}
    return {item.path: (item.reason, item.of) for item in kept.dropped}


def findings(config, data=DATA, pairs=PAIRS, suspects=SUSPECTS):
    return Findings(data, apply_policy(data, pairs, suspects, config), pairs, suspects, [], [], config=config)


def test_by_default_each_file_leaves_training_for_one_stated_reason():
    assert dropped() == {
        "train/a/disputed": (CONFLICT, "train/b/disputed"),
        "train/a/leak": (IN_TEST, "test/a/leaked"),
        "train/a/mask": (MASK, ""),
        "train/a/second": (SPARE, "train/a/first"),
        "train/b/cropped": (NEAR_TEST, "test/b/near"),
        "train/b/disputed": (CONFLICT, "train/a/disputed"),
        "train/b/recropped": (NEAR_SPARE, "train/b/own"),
        "valid/a/third": (SPARE, "train/a/first"),
        "valid/b/disputed": (CONFLICT, "train/a/disputed"),
    }


def test_of_a_test_split_that_was_drawn_masks_are_dropped_too_and_nothing_else():
    published, drawn = (apply_policy(DATA, PAIRS, SUSPECTS, DEFAULT, drawn=drawn) for drawn in (False, True))
    assert {item.path: item.reason for item in drawn.dropped} == {
        **{item.path: item.reason for item in published.dropped},
        "test/a/own": MASK,
    }
    assert apply_policy(DATA, PAIRS, SUSPECTS, KEEP, drawn=True).records == DATA


def test_keep_keeps_everything():
    assert apply_policy(DATA, PAIRS, SUSPECTS, KEEP).records == DATA


@pytest.mark.parametrize(("policy", "paths"), [
    ("copies", {"train/a/leak", "train/a/second", "valid/a/third", "train/b/disputed", "valid/b/disputed"}),
    ("near_copies", {"train/b/cropped", "train/b/recropped"}),
    ("conflicts", {"train/a/disputed", "train/b/disputed", "valid/b/disputed"}),
    ("masks", {"train/a/mask"}),
])  # fmt: skip
def test_each_policy_drops_its_own(policy, paths):
    assert set(dropped(**{policy: "drop"})) == paths


@pytest.mark.parametrize(("policy", "words"), [
    ("copies", ["found: 4", "test/a/leaked, train/a/leak"]),
    ("near_copies", ["found: 3", "test/b/near, train/b/cropped"]),
    ("conflicts", ["found: 1", "train/a/disputed, train/b/disputed, valid/b/disputed"]),
    ("masks", ["found: 2", "test/a/own"]),
])  # fmt: skip
def test_fail_stops_and_names_files(policy, words):
    with pytest.raises(DataError, match=rf"`data_audit\.{policy}` is `fail`") as caught:
        check_policy(findings(KEEP.model_copy(update={policy: "fail"})))
    assert all(word in str(caught.value) for word in words)


def test_fail_lets_clean_data_through():
    fail = DataAuditConfig(copies="fail", near_copies="fail", conflicts="fail", masks="fail")
    clean = findings(fail, [record(f"train/a/{number}", str(number)) for number in range(3)], [], [])
    check_policy(clean)
    assert describe_policy(clean)["satisfied"]


def test_the_default_policy_is_satisfied_and_leaves_nothing():
    assert describe_policy(findings(DEFAULT)) == {
        "satisfied": True,
        "broken": [],
        "applied": True,
        "left_in_training": {"copies": 0, "near_copies": 0, "conflicts": 0, "masks": 0},
    }


def test_keeping_exact_copies_of_test_images_breaks_the_policy_and_keeping_near_ones_does_not():
    kept = describe_policy(findings(KEEP))
    assert kept["left_in_training"] == {"copies": 1, "near_copies": 1, "conflicts": 3, "masks": 1}
    assert not kept["satisfied"]
    assert kept["broken"] == ["1 training image is also in test; data_audit.copies keeps it"]
    near = describe_policy(findings(KEEP.model_copy(update={"copies": "drop"})))
    assert near["satisfied"]
    assert near["left_in_training"]["near_copies"] == 1


def test_a_near_copy_by_way_of_a_dropped_exact_copy_is_still_counted():
    data = [record("test/a/x", "1"), record("train/a/copy", "1"), record("train/a/cropped", "2")]
    pairs = [*find_exact_copies(data), pair_up("near", "train/a/copy", "train/a/cropped", 0.97)]
    kept = describe_policy(findings(DataAuditConfig(near_copies="keep"), data, pairs, []))
    assert kept["left_in_training"]["near_copies"] == 1


@pytest.mark.parametrize(("policy", "left"), [
    ("copies", "1 training image is also in test"),
    ("near_copies", "1 training image is a near copy of a test image"),
    ("conflicts", "3 training images are there under several labels"),
    ("masks", "1 training image is a mask or a blank picture"),
])  # fmt: skip
def test_what_the_policy_is_to_drop_and_what_it_is_to_fail_for_break_it_when_left(policy, left):
    nothing_done = replace(findings(KEEP.model_copy(update={"copies": "drop", policy: "drop"})), kept=Kept(DATA, []))
    assert left in describe_policy(nothing_done)["broken"]
    failed = describe_policy(findings(KEEP.model_copy(update={"copies": "drop", policy: "fail"})))
    assert any(f"`data_audit.{policy}` is `fail`" in words for words in failed["broken"])


def test_where_nothing_is_applied_the_data_as_they_are_are_judged():
    advice = describe_policy(replace(findings(DEFAULT), applied=False))
    assert advice["broken"][0] == "1 training image is also in test"
    assert advice["left_in_training"]["masks"] == 1


def test_a_near_copy_under_another_label_is_a_conflict():
    data = [record("train/a/x", "1"), record("train/b/x", "2"), record("train/b/y", "3")]
    pairs = [pair_up("near", "train/a/x", "train/b/x", 0.97), pair_up("near", "train/b/x", "train/b/y", 0.96)]
    assert [[item.path for item in files] for files in find_conflicts(gather_copies(data, pairs))] == [
        ["train/a/x", "train/b/x"]
    ]
    assert set(dropped(data, pairs, [], conflicts="drop")) == {"train/a/x", "train/b/x"}


def test_a_conflict_with_a_test_image_drops_the_training_side_only():
    data = [record("test/a/x", "1"), record("train/b/x", "1"), record("train/b/y", "2")]
    assert dropped(data, find_exact_copies(data), [], conflicts="drop") == {"train/b/x": (CONFLICT, "test/a/x")}


def test_near_copies_are_not_chained():
    """The last of a row of neighbouring slices is no copy of the first."""
    data = [record(f"{split}/a/s{number}", f"{number}") for number, split in enumerate(["test", "train", "train"])]
    pairs = [pair_up("near", data[0].path, data[1].path, 0.96), pair_up("near", data[1].path, data[2].path, 0.96)]
    assert dropped(data, pairs, []) == {"train/a/s1": (NEAR_TEST, "test/a/s0")}


def test_a_near_copy_of_an_exact_copy_is_a_near_copy():
    data = [record("test/a/x", "1"), record("train/a/copy", "1"), record("valid/a/cropped", "2")]
    pairs = [*find_exact_copies(data), pair_up("near", "train/a/copy", "valid/a/cropped", 0.97)]
    assert set(dropped(data, pairs, [])) == {"train/a/copy", "valid/a/cropped"}
    without = [data[0], data[2], record("train/a/y", "3")]
    assert copies_of_training(without, [pair_up("near", "test/a/x", "valid/a/cropped", 0.97)]) == {"test/a/x"}


def test_copies_of_training_are_told_by_kind():
    assert copies_of_training(DATA, PAIRS, ["exact"]) == {"test/a/leaked"}
    assert copies_of_training(DATA, PAIRS) == {"test/a/leaked", "test/b/near"}


def test_pairs_with_files_that_are_gone_do_not_count():
    kept = apply_policy(DATA, PAIRS, SUSPECTS, DEFAULT).records
    assert copies_of_training(kept, PAIRS) == set()


def test_planted_faults_leave_training_and_nothing_else_does(faulty):
    pairs = find_exact_copies(faulty.records)
    masks = [Suspect(path, "mask") for path in sorted(faulty.with_fault("mask_among_images"))]
    kept = apply_policy(faulty.records, pairs, masks, DEFAULT)
    conflicts = {path for pair in faulty.sources("label_conflict") for path in pair}
    sources = {faulty.truth[path]["source_path"] for path in faulty.with_fault("exact_copy")}
    assert {item.path for item in kept.dropped} == conflicts | sources | faulty.with_fault("mask_among_images")
    found = find_conflicts(gather_copies(faulty.records, pairs))
    assert {tuple(record.path for record in files) for files in found} == faulty.sources("label_conflict")


def test_a_class_without_a_training_image_left_is_named():
    data = [record("test/a/x", "1"), record("train/a/x", "1"), record("train/b/y", "2"), record("test/b/z", "3")]
    check_trainable(data, data)
    with pytest.raises(DataError, match="no training image of a: "):
        check_trainable(data, apply_policy(data, find_exact_copies(data), [], DEFAULT).records)


rows = st.lists(
    st.tuples(st.sampled_from(["train", "valid", "test"]), st.sampled_from("ab"), st.sampled_from("12345678")),
    max_size=30,
).map(lambda rows: [record(f"{split}/{label}/{n}", picture) for n, (split, label, picture) in enumerate(rows)])
links = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29), st.floats(0.95, 1)), max_size=20)


def link(data, numbers):
    """Exact pairs as they are, and near ones between pictures drawn at random."""
    near = [
        pair_up("near", data[one].path, data[other].path, correlation)
        for one, other, correlation in numbers
        if max(one, other) < len(data) and data[one].pixel_hash != data[other].pixel_hash
    ]
    return [*find_exact_copies(data), *near]


@given(rows, links)
def test_by_default_nothing_trained_on_is_in_test_or_disputed_or_there_twice(data, numbers):
    pairs = link(data, numbers)
    kept = apply_policy(data, pairs, [], DEFAULT)
    trained = {item.path for item in kept.records if item.split != "test"}
    copies = gather_copies(data, pairs)
    assert copies_of_training(kept.records, pairs) == set()
    assert not trained & {item.path for files in find_conflicts(copies) for item in files}
    assert len({item.pixel_hash for item in data if item.path in trained}) == len(trained)
    assert not any(pair.first in trained and pair.second in trained for pair in pairs)


@given(rows, links)
def test_a_spare_copy_is_dropped_for_one_that_stays(data, numbers):
    kept = apply_policy(data, link(data, numbers), [], DEFAULT)
    left = {item.path for item in kept.records}
    spare = [item for item in kept.dropped if item.reason == NEAR_SPARE]
    assert all(item.of in left for item in spare)


@given(rows, links, st.randoms())
def test_the_test_split_is_never_touched_and_the_order_of_listing_does_not_matter(data, numbers, random):
    pairs = link(data, numbers)
    masks = [Suspect(item.path, "mask") for item in data[::3]]
    kept = apply_policy(data, pairs, masks, DEFAULT)
    assert [item for item in kept.records if item.split == "test"] == [item for item in data if item.split == "test"]
    shuffled = random.sample(data, len(data))
    assert apply_policy(shuffled, random.sample(pairs, len(pairs)), masks, DEFAULT).dropped == kept.dropped
