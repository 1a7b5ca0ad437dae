"""The manifest goes through CSV and back unchanged, in path order, and a broken one is told by file and line."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnClassifier.datasets.manifest import (
    COLUMNS,
    Classes,
    Drawn,
    ImageRecord,
    RejectedFile,
    digest_records,
    read_classes,
    read_dealt,
    read_manifest,
    write_classes,
    write_manifest,
    write_rejected,
)
from cnnClassifier.errors import DataError

RECORD = ImageRecord("1", "a/b.png", "normal", "train", "g", "ab" * 32, "cd" * 32, 3, 2, "L", "PNG", 99)
# What `refuse_name` lets through.
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


def test_a_row_says_all_that_was_asked_of_an_image():
    assert {"id", "path", "label", "split", "group", "sha256", "pixel_hash", "width", "height", "mode", "bytes"} <= set(
        COLUMNS
    )


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), unique_by=lambda row: row[0]))
def test_rows_come_back_as_written_in_path_order(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("manifest") / "manifest.csv"
    records = [replace(RECORD, path=path, label=label, group=group) for path, label, group in rows]
    write_manifest(records, path)
    assert read_manifest(path) == sorted(records, key=lambda record: record.path)


def test_votes_come_back_and_a_table_without_any_has_no_column_for_them(tmp_path):
    path = tmp_path / "manifest.csv"
    write_manifest([RECORD], path)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    records = [replace(RECORD, path="a.png", votes=(3, 4)), replace(RECORD, path="b.png")]
    write_manifest(records, path)
    assert read_manifest(path) == records


def test_what_the_audit_left_out_counts_as_training_and_the_rest_as_it_was_dealt(tmp_path):
    places = {"a.png": "test", "b.png": "train", "c.png": "test"}
    drafted = [replace(RECORD, path=path, split=split) for path, split in places.items()]
    write_manifest(drafted, tmp_path / "manifest.csv")
    write_manifest([replace(drafted[1], split="test"), replace(drafted[2], group="h")], tmp_path / "audited.csv")
    found = read_dealt(tmp_path / "manifest.csv", tmp_path / "audited.csv")
    assert [(record.split, record.group) for record in found] == [("train", "g"), ("test", "g"), ("test", "h")]


def test_a_missing_manifest_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"run `python main\.py data_ingestion` first"):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(("old", "new", "words"), [
    ("train", "dev", "line 2: not a manifest row: unknown split 'dev'"),
    (",3,2,", ",wide,2,", "line 2: not a manifest row"),
    ("L,PNG,99", "L,PNG", "line 2: not a manifest row"),
    ("L,PNG,99", "L,PNG,99,more", "line 2: not a manifest row"),
    (",bytes\n", ",bytes,votes\n", "line 2: not a manifest row"),
    ("pixel_hash", "pixels", "expected the columns id,path,label"),
])  # fmt: skip
def test_a_broken_manifest_is_told_by_file_and_line(old, new, words, tmp_path):
    path = tmp_path / "manifest.csv"
    write_manifest([RECORD], path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=words) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_the_digest_names_bytes_and_labels_not_names_or_order():
    other = replace(RECORD, sha256="ef" * 32, path="z.png")
    digest = digest_records([RECORD, other])
    assert digest_records([other, replace(RECORD, path="renamed.png", split="test")]) == digest
    assert digest_records([RECORD, replace(other, label="benign")]) != digest
    assert digest_records([RECORD]) != digest


def test_class_names_keep_their_order(tmp_path):
    write_classes(Classes(("z", "a", "m"), synthetic=True), tmp_path / "classes.json")
    assert read_classes(tmp_path / "classes.json") == Classes(("z", "a", "m"), synthetic=True)
    drawn = Classes(("z", "a"), synthetic=False, published=False, drawn=Drawn(0.1, 0.2, 7))
    write_classes(drawn, tmp_path / "classes.json")
    assert read_classes(tmp_path / "classes.json") == drawn


def test_missing_or_strange_class_names_are_told(tmp_path):
    with pytest.raises(DataError, match="no class names; run"):
        read_classes(tmp_path / "classes.json")
    for content in ("", "[1]", "{}"):
        (tmp_path / "classes.json").write_text(content)
        with pytest.raises(DataError, match="not a file of class names"):
            read_classes(tmp_path / "classes.json")


def test_rejected_files_stand_in_path_order(tmp_path):
    write_rejected([RejectedFile("b", "why, oh why"), RejectedFile("a", "x")], tmp_path / "rejected.csv")
    assert (tmp_path / "rejected.csv").read_text() == 'path,reason\na,x\nb,"why, oh why"\n'
