"""What a listing must not be silent about: said with the count and an example, or refused."""

import logging

import pytest

from cnnClassifier.datasets.candidates import NO_FILE, Candidate
from cnnClassifier.datasets.manifest import RejectedFile
from cnnClassifier.datasets.plausibility import check_listing
from cnnClassifier.errors import DataError
from ingestion import configure


def offered(path, group=None, label="normal", votes=()):
    return Candidate(path, path, label, None, group, votes)


def table(**columns):
    return {"kind": "csv", "table": "table.csv", "root": ".", **columns}


@pytest.fixture
def warned(caplog):
    def check(candidates, config, rejected=()):
        with caplog.at_level(logging.WARNING):
            check_listing((candidates, list(rejected)), config)
        return caplog.text

    return check


NAMED_BY = {
    "`data_ingestion.group_pattern` '(q.)'": configure({"kind": "folder", "path": "."}, group_pattern="(q.)"),
    "`data_ingestion.source.group_column` 'patient'": configure(
        table(group_column="patient"), random_split={}, splits=None
    ),
}


@pytest.mark.parametrize("by", NAMED_BY)
def test_what_names_no_patient_at_all_is_refused_with_an_example(by):
    with pytest.raises(DataError) as caught:
        check_listing(([offered("normal/p1.png"), offered("normal/p2.png")], []), NAMED_BY[by])
    assert str(caught.value).startswith(f"{by} names the patient or scan of no file, such as 'normal/p1.png'")


@pytest.mark.parametrize("by", NAMED_BY)
def test_patients_whom_nothing_names_are_counted_in_a_warning(by, warned):
    some = [offered("normal/q1.png", "q1"), offered("normal/p2.png"), offered("normal/p3.png")]
    assert f"{by} does not name the patient or scan of 2 of 3 files, such as 'normal/p2.png'" in warned(
        some, NAMED_BY[by]
    )


def test_nothing_is_said_where_all_are_named_or_nothing_was_to_name_them(warned):
    assert not warned([offered("normal/q1.png", "q1")], NAMED_BY["`data_ingestion.group_pattern` '(q.)'"])
    assert not warned([offered("normal/q1.png")], configure({"kind": "folder", "path": "."}))


# --- missing files ------------------------------------------------------------------------

TABLE = configure(table(), random_split={}, splits=None)


def missing(count):
    return [RejectedFile(f"gone{number}.png", NO_FILE) for number in range(count)]


def test_a_missing_file_is_counted_in_a_warning(warned):
    there = [offered(f"{number}.png") for number in range(3)]
    assert "3 of the table's 6 files are not there, such as 'gone0.png': they are left out" in warned(
        there, TABLE, missing(3)
    )


def test_when_all_are_missing_it_is_refused():
    with pytest.raises(DataError, match=r"4 of the table's 4 files .* correct `data_ingestion\.source\.root`"):
        check_listing(([], missing(4)), TABLE)


def test_files_left_out_for_another_reason_are_not_missing(warned):
    assert not warned([offered("1.png")], TABLE, [RejectedFile(f"{number}.png", "odd") for number in range(9)])


# --- votes --------------------------------------------------------------------------------


def voted(contradicted, of):
    """The label is the third class."""
    return [offered(f"{number}.png", votes=(4, 1, 2) if number < contradicted else (3, 1, 3)) for number in range(of)]


def test_votes_that_contradict_few_labels_are_counted_in_a_warning(warned):
    assert "4 of 10 rows have more votes for another class than their own, such as '0.png'" in warned(
        voted(4, 10), TABLE
    )


def test_a_tie_contradicts_no_label(warned):
    assert not warned(voted(0, 10), TABLE)


def test_votes_that_contradict_most_labels_are_of_another_column():
    unvoted = [offered(f"x{number}.png") for number in range(90)]
    with pytest.raises(DataError, match=r"6 of 10 rows .* `data_ingestion\.source\.votes\.columns` probably names"):
        check_listing((voted(6, 10) + unvoted, []), TABLE)
