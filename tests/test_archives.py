"""Archives: what of a .zip is handed on, under which names, in which order, and within which limits."""

import tracemalloc
import zipfile

import pytest

from cnnClassifier.archives import ArchiveLimits, Member, is_archive, read_archive
from cnnClassifier.errors import ArchiveError
from hostile import zip_files as zips


def names(files, **limits):
    return [member.name for member in read_archive(zips.write(files), ArchiveLimits(**limits))]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_with_their_bytes(method):
    (member,) = read_archive(zips.write({"scan.png": b"abc"}, method))
    assert (member.name, member.data, member.error) == ("scan.png", b"abc", None)


def test_files_come_in_the_order_that_people_count_in():
    assert names(dict.fromkeys(["s10.dcm", "s9.dcm", "S1.dcm", "a.dcm"], b"x")) == [
        "a.dcm",
        "S1.dcm",
        "s9.dcm",
        "s10.dcm",
    ]
    assert names(dict.fromkeys(["b/1", "a/2"], b"x")) == ["2", "1"]


def test_a_name_of_ten_thousand_digits_is_a_name():
    assert len(names({"9" * 10_000: b"x", "1": b"x"})) == 2


def test_a_name_is_short_printable_and_no_path():
    shown = names({"../../x\n\x1b[31m.png": b"x", "a" * 5000 + ".png": b"x"})
    assert shown[0] == "x??[31m.png"
    assert shown[1].endswith("a.png")
    assert len(shown[1]) == 100


def test_equal_names_are_told_apart():
    assert names([("one/a", b"1"), ("two/a", b"2"), ("three/a (2)", b"3")]) == ["a", "a (2)", "a (3)"]


def test_one_bad_file_leaves_the_others():
    good, bad = read_archive(zips.encrypted())[::-1]
    assert (good.name, good.data) == ("b.txt", b"b")
    assert (bad.name, bad.data, bad.error) == ("a.txt", None, "encrypted")


@pytest.mark.parametrize(("make", "reason"), [
    (zips.symlink, "link"), (zips.nested, "not opened"), (zips.wrong_sum, "damaged"), (zips.bomb, "grows more than"),
    (zips.method(99), "compressed"), (zips.lying_size, "damaged"),
])  # fmt: skip
def test_a_file_that_cannot_be_had_says_why(make, reason):
    errors = [member.error for member in read_archive(make()) if member.error]
    assert len(errors) == 1
    assert reason in errors[0]


@pytest.mark.parametrize(("make", "reason"), [
    (zips.of({}), "no files"), (zips.overlapping, "overlap"), (zips.quoted, "overlap"), (zips.crowded, "more than"),
    (zips.understated, "more than"), (zips.zip64, "ZIP64"), (zips.bad_name, "no text"), (zips.many_large, "256 MB"),
    (lambda: b"", "not a .zip"), (lambda: b"PK\x03\x04" + bytes(50), "not a .zip"),
])  # fmt: skip
def test_an_archive_that_is_refused_says_why(make, reason):
    with pytest.raises(ArchiveError, match=reason):
        read_archive(make())


def test_limits_are_met_exactly():
    files = {"a": bytes(1000), "b": bytes(1000)}
    assert len(names(files, entries=2, member_bytes=1000, total_bytes=2000)) == 2
    with pytest.raises(ArchiveError, match="more than the 1 files"):
        names(files, entries=1)
    with pytest.raises(ArchiveError, match="MB allowed"):
        names(files, total_bytes=1999)
    assert [bool(member.error) for member in read_archive(zips.write(files), ArchiveLimits(member_bytes=999))] == [
        True
    ] * 2


@pytest.mark.parametrize(("files", "before", "reason"), [
    (2, [], "3 files are more than the 2 taken"),
    (4, [Member("a", b"x")] * 2, "5 files are more than the 4 taken"),
    (4, [Member("a", bytes(250 * 2**20))], "with the files before it, the archive holds more than the 256 MB"),
])  # fmt: skip
def test_what_came_before_counts_and_too_much_is_refused_before_anything_is_inflated(files, before, reason):
    data = zips.write(dict.fromkeys("abc", bytes(4 * 2**20)))
    tracemalloc.start()
    with pytest.raises(ArchiveError, match=reason):
        read_archive(data, ArchiveLimits(files=files), before)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 2**20


def test_an_archive_behind_other_bytes_can_be_read():
    assert read_archive(b"\x89PNG" + zips.write({"a": b"x"}))[0].data == b"x"


def test_an_archive_is_known_by_how_it_begins():
    assert is_archive(zips.write({"a": b"x"}))
    assert is_archive(zips.write({}))
    assert not is_archive(b"\x89PNG" + zips.write({"a": b"x"}))
