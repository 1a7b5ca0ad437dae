"""What a listing must not be silent about: said with the count and an example, or refused."""

import logging

import pytest

from cnnClassifier.datasets.candidates import Candidate
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
