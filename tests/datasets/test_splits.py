"""Drawn splits: whole groups, near the shares in every class, whatever the listing order."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnClassifier.config.data import RandomSplit
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.datasets.splits import assign_splits, deal_splits, hold_out

SHARES = RandomSplit(valid=0.1, test=0.2)

images = st.lists(st.tuples(st.integers(0, 60).map("g{}".format), st.sampled_from("abc")), min_size=1, max_size=200)


def patients(sizes, label):
    return [(f"{label}{number}", label) for number, size in enumerate(sizes) for _ in range(size)]


@given(images, st.randoms(), st.integers(0, 5))
def test_each_group_has_one_split_whatever_the_order(listed, random, seed):
    drawn = assign_splits(listed, SHARES, seed)
    assert set(drawn) == {group for group, _ in listed}
    shuffled = list(listed)
    random.shuffle(shuffled)
    assert assign_splits(shuffled, SHARES, seed) == drawn


@given(st.lists(st.integers(1, 9), min_size=20, max_size=80), st.integers(0, 99))
def test_every_class_comes_within_half_a_group_of_its_shares(sizes, seed):
    listed = patients(sizes, "a") + patients([4] * 50, "b")
    drawn = assign_splits(listed, SHARES, seed)
    counts = Counter((label, drawn[group]) for group, label in listed)
    for label, total, largest in (("a", sum(sizes), max(sizes)), ("b", 200, 4)):
        assert abs(counts[label, "test"] - 0.2 * total) <= largest / 2 + 1
        assert abs(counts[label, "test"] + counts[label, "valid"] - 0.3 * total) <= largest / 2 + 1


def records_of(sizes):
    return [
        ImageRecord(f"{label}{place}.{number}", "", label, "train", f"{label}{place}", "", "", 1, 1, "L", "PNG", 1)
        for label, groups in sizes.items()
        for place, size in enumerate(groups)
        for number in range(size)
    ]


def test_a_class_with_one_large_group_still_has_some_of_each_split():
    sizes = {"a": [40, 2, 1], "b": [5] * 20}
    records = records_of(sizes)
    for seed in range(20):
        dealt = deal_splits(records, SHARES, seed)
        found = {(item.label, item.split) for item in dealt}
        assert found == {(label, split) for label in sizes for split in ("train", "valid", "test")}
        assert {item.split for item in dealt if item.group == "a0"} == {"train"}
        assert len({(item.group, item.split) for item in dealt}) == len({item.group for item in dealt})


@pytest.mark.parametrize("groups", [2, 3, 4])
@pytest.mark.parametrize("share", [0.15, 0.5])
def test_two_groups_a_class_are_enough_to_hold_one_out(groups, share):
    records = records_of({"a": [4] * groups, "b": [5] * groups})
    for seed in range(10):
        fitted, held_out = hold_out(records, share, seed)
        assert {item.label for item in fitted} == {item.label for item in held_out} == {"a", "b"}
        assert not {item.group for item in fitted} & {item.group for item in held_out}


def test_another_seed_draws_other_groups():
    listed = patients([3] * 40, "a")
    assert assign_splits(listed, SHARES, 1) != assign_splits(listed, SHARES, 2)


def test_a_new_group_moves_few_others():
    before = assign_splits(patients([3] * 200, "a"), SHARES, 1)
    after = assign_splits(patients([3] * 201, "a"), SHARES, 1)
    assert sum(before[group] != after[group] for group in before) <= 3


@pytest.mark.parametrize("shares", [RandomSplit(valid=0.15, test=0.0), RandomSplit(valid=0.0, test=0.15)])
def test_a_share_of_nothing_gets_nothing(shares):
    counts = Counter(assign_splits(patients([1] * 200, "a"), shares, 1).values())
    assert sorted(counts.values()) == [30, 170]
    assert counts["train"] == 170


def test_a_group_of_several_labels_stays_together():
    listed = [("g", "a"), ("g", "b"), ("g", "b"), *patients([2] * 30, "a"), *patients([2] * 30, "b")]
    homes = defaultdict(set)
    drawn = assign_splits(listed, SHARES, 3)
    for group, _ in listed:
        homes[group].add(drawn[group])
    assert all(len(splits) == 1 for splits in homes.values())


def of_groups(labels_by_group):
    """Images of groups, each group's classes one letter an image."""
    return [
        ImageRecord(f"{group}.{number}", "", label, "train", group, "", "", 1, 1, "L", "PNG", 1)
        for group, labels in labels_by_group.items()
        for number, label in enumerate(labels)
    ]


def found_in(dealt):
    return {(item.label, item.split) for item in dealt}


@pytest.mark.parametrize("seed", range(20))
def test_a_class_that_is_no_groups_most_frequent_one_has_some_of_each_split(seed):
    """As where each patient has many normal slices and few with a lesion."""
    dealt = deal_splits(
        of_groups({f"p{number}": "nnnnl" if number < 4 else "nnnn" for number in range(40)}), SHARES, seed
    )
    assert found_in(dealt) == {(label, split) for label in "nl" for split in ("train", "valid", "test")}
    assert len({(item.group, item.split) for item in dealt}) == 40


@given(
    st.dictionaries(st.integers(0, 40).map("g{}".format), st.text("abc", min_size=1, max_size=9), min_size=1),
    st.integers(0, 3),
)
def test_a_class_lacks_a_split_only_where_no_group_of_it_can_be_spared(groups, seed):
    dealt = deal_splits(of_groups(groups), SHARES, seed)
    home = {item.group: item.split for item in dealt}
    held = Counter((label, home[group]) for group, labels in groups.items() for label in set(labels))
    spare = {
        label
        for group, labels in groups.items()
        if all(held[each, home[group]] > 1 for each in labels)
        for label in labels
    }
    assert {(label, split) for label in spare for split in ("train", "valid", "test")} <= set(held)


def test_a_deal_that_lacks_nothing_is_the_one_it_was():
    """Figures of data sets rest on their deals: groups move only where a class has a gap."""
    groups = {f"p{number}": "ab" * (number % 3) + "abc"[number % 3] * 2 for number in range(60)}
    dealt = deal_splits(of_groups(groups), SHARES, 5)
    assert " ".join(sorted({item.group for item in dealt if item.split == "test"})) == (
        "p16 p18 p2 p32 p39 p41 p44 p46 p52 p56 p58"
    )
    assert " ".join(sorted({item.group for item in dealt if item.split == "valid"})) == (
        "p15 p24 p37 p40 p42 p5 p54 p6"
    )
