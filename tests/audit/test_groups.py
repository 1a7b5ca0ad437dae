"""Groups: slices of one patient together, metadata respected, and names that no listing order changes."""

import random
from itertools import combinations

import pytest

from cnnClassifier.audit.exact_copies import find_exact_copies
from cnnClassifier.audit.groups import THRESHOLDS, assign_groups, copy_pairs, has_metadata, threshold_table
from cnnClassifier.audit.near_copies import Match
from cnnClassifier.audit.pairs import CopyPair, pair_up
from cnnClassifier.datasets.manifest import ImageRecord


def record(path: str, picture: str, group: str = "", label: str = "a") -> ImageRecord:
    """An image; without a group named, it has the one that ingestion gives."""
    return ImageRecord(path, path, label, "train", group or picture, picture, picture, 1, 1, "L", "PNG", 1)


def grouped(records, matches=(), pairs=None, same_patient=0.7):
    """The sets of paths that end in one group."""
    pairs = find_exact_copies(records) if pairs is None else pairs
    members = {}
    for item in assign_groups(records, records, matches, pairs, same_patient):
        members.setdefault(item.group, []).append(item.path)
    return sorted(sorted(paths) for paths in members.values())


def test_slices_of_a_phantom_patient_are_together_and_those_of_two_are_not(audited):
    truth, found = audited.phantom.truth, audited.found
    masks = audited.phantom.with_fault("mask_among_images")
    together = one_patient = both = 0
    for one, other in combinations([item for item in found.records if item.path not in masks], 2):
        same_group, same_patient = one.group == other.group, truth[one.path]["patient"] == truth[other.path]["patient"]
        together += same_group
        one_patient += same_patient
        both += same_group and same_patient
    assert one_patient > 100
    assert both >= 0.9 * one_patient
    assert both >= 0.95 * together


def test_metadata_groups_stay_apart_however_alike_their_pictures_are():
    records = [record("a", "1", "ann"), record("b", "2", "bob"), record("c", "3", "bob")]
    assert grouped(records, [Match(0, 1, 0.9)]) == [["a"], ["b", "c"]]


def test_a_copy_joins_metadata_groups():
    records = [record("a", "1", "ann"), record("b", "2", "bob"), record("c", "2", "cy"), record("d", "4", "ann")]
    assert grouped(records) == [["a", "d"], ["b", "c"]]
    near = [*find_exact_copies(records), pair_up("near", "c", "d", 0.99)]
    assert grouped(records, pairs=near) == [["a", "b", "c", "d"]]


def test_an_image_without_metadata_joins_the_patient_it_looks_like():
    records = [record("a", "1", "ann"), record("b", "2"), record("c", "3")]
    assert grouped(records, [Match(0, 1, 0.9), Match(1, 2, 0.6)]) == [["a", "b"], ["c"]]


def test_a_likeness_in_the_mirror_is_no_sign_of_one_patient():
    records = [record("a", "1"), record("b", "2")]
    assert grouped(records, [Match(0, 1, 0.9, mirrored=True)]) == [["a"], ["b"]]


def test_images_connected_through_others_are_one_group():
    records = [record(name, name) for name in "abcd"]
    assert grouped(records, [Match(0, 1, 0.8), Match(1, 2, 0.8)]) == [["a", "b", "c"], ["d"]]


def test_groups_are_named_after_the_first_path_whatever_the_order():
    records = [record(name, f"picture of {name}") for name in "abcde"]
    matches = [("a", "c"), ("b", "d")]
    names = []
    for seed in range(3):
        shuffled = random.Random(seed).sample(records, len(records))
        row = {item.path: number for number, item in enumerate(shuffled)}
        ends = [Match(*sorted((row[one], row[other])), 0.9) for one, other in matches]
        named = assign_groups(shuffled, shuffled, ends, [], 0.7)
        names.append({item.path: item.group for item in named})
    assert names[0] == names[1] == names[2]
    assert names[0]["c"] == names[0]["a"] == "picture of a"


def test_matches_below_the_threshold_or_between_equal_pixels_are_no_near_copies():
    records = [record("a", "1"), record("b", "1"), record("c", "3")]
    found = copy_pairs(records, [Match(0, 1, 1.0), Match(0, 2, 0.96), Match(1, 2, 0.94)], 0.95)
    assert found == [CopyPair("exact", "a", "b"), CopyPair("near", "a", "c", 0.96)]


def test_a_picture_that_matches_in_the_mirror_as_well_is_one_pair():
    records = [record("a", "1"), record("b", "2")]
    found = copy_pairs(records, [Match(0, 1, 0.99), Match(0, 1, 0.96, mirrored=True)], 0.95)
    assert found == [CopyPair("near", "a", "b", 0.99)]


def test_a_group_named_by_its_picture_is_no_metadata():
    picture = "0123456789abcdef" * 4
    assert not has_metadata(record("a", picture, picture[:16]))
    assert has_metadata(record("a", picture, "patient 7"))
    assert has_metadata(record("a", picture, "01"))  # patient 01, whose picture's hash begins so by chance


def test_the_table_shows_what_each_threshold_would_make_of_the_images():
    records = [record("a", "1"), record("b", "2"), record("c", "3", label="b"), record("d", "1")]
    rows = threshold_table(records, [Match(0, 1, 0.82), Match(1, 2, 0.57)])
    assert [row["same_patient"] for row in rows] == list(THRESHOLDS)
    by_threshold = {row["same_patient"]: row for row in rows}
    assert by_threshold[0.5] == {"same_patient": 0.5, "groups": 1, "largest": 4, "single_images": 0, "mixed": 0.5}
    assert by_threshold[0.8] == {"same_patient": 0.8, "groups": 2, "largest": 3, "single_images": 1, "mixed": 0.0}
    assert by_threshold[0.85]["groups"] == 3


@pytest.mark.parametrize("records", [[], [record("a", "1")]])
def test_with_one_image_or_none_there_is_a_table_and_no_pair(records):
    assert threshold_table(records, [])[0]["groups"] == len(records)
    assert copy_pairs(records, [], 0.9) == []
    assert assign_groups(records, records, [], [], 0.7) == records
