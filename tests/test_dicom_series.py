"""DICOM slices as a series in their order, and as training data."""

import pytest

from cnnClassifier.archives import Member
from cnnClassifier.datasets.candidates import Candidate
from cnnClassifier.datasets.ingest import copy_readable
from cnnClassifier.datasets.inspection import inspect_image
from cnnClassifier.series import order_slices
from dicom_scans import scan
from hostile.corpus import CASES
from hostile.dicom_files import SCAN


def names(members: list[Member]) -> list[str]:
    return [member.name for member in order_slices(members)]


def placed(height: float, number: int) -> bytes:
    return scan(position=f"0\\0\\{height}", orientation="1\\0\\0\\0\\1\\0", number=str(number))


def test_slices_are_ordered_by_where_they_lie_not_by_their_numbers():
    members = [Member("a", placed(5, 1)), Member("b", placed(-3.5, 2)), Member("c", placed(0, 3))]
    assert names(members) == ["b", "c", "a"]


def test_slices_without_a_place_are_ordered_by_number_and_others_follow():
    members = [
        Member("text", b"t"),
        Member("a", scan(number="10")),
        Member("b", scan(number="9")),
        Member("c", None, "e"),
    ]
    assert names(members) == ["b", "a", "text", "c"]


def test_slices_without_number_and_place_stay_as_they_came():
    assert names([Member("b", scan()), Member("a", scan(number="1"))]) == ["b", "a"]


@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("DICOM")], ids=lambda case: case.name)
def test_a_damaged_slice_does_not_spoil_the_order_of_the_others(case):
    members = [Member("b", scan(number="2")), Member("x", case.data), Member("a", scan(number="1"))]
    assert sorted(names(members)) == ["a", "b", "x"]


def test_training_data_may_be_dicom(tmp_path):
    (tmp_path / "slice.dcm").write_bytes(scan())
    facts = inspect_image(tmp_path / "slice.dcm")
    assert (facts.width, facts.height, facts.mode, facts.format) == (48, 40, "L", "DICOM")


def test_of_training_data_with_several_frames_it_is_said_that_the_first_is_used(tmp_path, caplog):
    for name, frames in (("a", 1), ("b", 3), ("c", 2)):
        (tmp_path / f"{name}.dcm").write_bytes(scan(pixels=SCAN.tobytes() * frames, frames=str(frames)))
    listed = [Candidate(file, file.name, "x", None, None) for file in sorted(tmp_path.iterdir())]
    records, _ = copy_readable(listed, tmp_path / "images")
    assert [record.path for record in records] == ["a.dcm", "b.dcm", "c.dcm"]
    assert "2 DICOM files have several frames, such as 'b.dcm': of each, only the first is used" in caplog.text
    caplog.clear()
    copy_readable(listed[:1], tmp_path / "images")
    assert not caplog.text
