"""Exact copies and the table of pairs: all of them, nothing else, whatever the file format."""

from dataclasses import replace

import pytest

from cnnClassifier.audit.exact_copies import count_same_bytes, find_exact_copies
from cnnClassifier.audit.pairs import CopyPair, clusters, pair_up, read_pairs, write_pairs
from cnnClassifier.errors import DataError


def test_every_planted_copy_is_found_and_nothing_else(faulty):
    found = {(pair.first, pair.second) for pair in find_exact_copies(faulty.records)}
    assert found == faulty.sources("exact_copy") | faulty.sources("label_conflict")
    assert count_same_bytes(faulty.records) == len(found)


def test_a_clean_set_has_no_copies(clean):
    assert find_exact_copies(clean.records) == []


def test_one_picture_in_two_file_formats_is_one_picture(clean):
    one, other = clean.records[:2]
    resaved = replace(other, pixel_hash=one.pixel_hash)
    assert find_exact_copies([one, resaved]) == [pair_up("exact", one.path, other.path)]
    assert count_same_bytes([one, resaved]) == 0


def test_a_set_is_a_star_about_its_first_path_whatever_the_order(clean):
    files = [replace(clean.records[0], path=path) for path in ("c", "a", "d", "b")]
    pairs = find_exact_copies(files)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("a", "d")]
    assert clusters(pairs) == [["a", "b", "c", "d"]]


PAIRS = [
    CopyPair("exact", "a", "b"),
    CopyPair("near", "b", "c", 0.971234),
    CopyPair("near", "x", 'y, "quoted" é', 0.95),
]


def test_pairs_come_back_as_they_were_written(tmp_path):
    write_pairs(PAIRS[::-1], tmp_path / "pairs.csv")
    assert read_pairs(tmp_path / "pairs.csv") == PAIRS
    assert (tmp_path / "pairs.csv").read_text(encoding="utf-8").splitlines()[:2] == [
        "kind,first,second,correlation",
        "exact,a,b,1.000000",
    ]


def test_clusters_connect_pairs_of_the_kinds_asked_for():
    assert clusters(PAIRS) == [["a", "b", "c"], ["x", 'y, "quoted" é']]
    assert clusters(PAIRS, "exact") == [["a", "b"]]
    assert clusters([]) == []


@pytest.mark.parametrize("row", ["exact,b,a,1", "same,a,b,1", "near,a,b,much", "near,a,b"])
def test_a_row_that_is_no_pair_is_named(tmp_path, row):
    (tmp_path / "pairs.csv").write_text(f"kind,first,second,correlation\n{row}\n")
    with pytest.raises(DataError, match=r"pairs\.csv, line 2: not a pair of copies"):
        read_pairs(tmp_path / "pairs.csv")


def test_without_a_table_it_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"run `python main\.py data_audit` first"):
        read_pairs(tmp_path / "pairs.csv")
