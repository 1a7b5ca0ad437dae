"""Readers' labels: kept for answers that were given, counted once, and exported as images that can be learned from."""

import csv
import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from cnnClassifier.errors import DataError
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.exporting import export_feedback
from cnnClassifier.monitoring.feedback import (
    UnknownAnswerError,
    UnknownLabelError,
    agreement,
    correct,
    corrections,
    wilson,
)
from ingestion import configure, ingest
from pictures import write_picture
from watched import NAMES, TRAINED, entries_of, write_log


@pytest.fixture
def log(log_file, reference):
    entries = entries_of(TRAINED, reference)[:20]
    answered = [replace(entry, state="answer", label="a") for entry in entries]
    answered[9] = replace(answered[9], state="refused", label=None)
    write_log(log_file, answered)
    with closing(read_log(log_file)) as connection:
        yield connection


def test_agreement_counts_each_answer_once_and_what_was_said_last(log):
    for number, label in enumerate("aaaabbcc"):
        correct(log, f"r{number}", 0, label)
    correct(log, "r7", 0, "a")
    correct(log, "r9", 0, "b")
    found = agreement(log, "drawn", "1")
    assert (found.agreed, found.judged, found.without_answer) == (5, 8, 1)
    assert (found.low, found.high) == pytest.approx(wilson(5, 8))
    assert agreement(log, "drawn", "2").judged == 0


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 8), (8, 8), (430, 500)])
def test_the_interval_is_wilsons(hits, of):
    known = binomtest(hits, of).proportion_ci(method="wilson")
    assert wilson(hits, of) == pytest.approx((known.low, known.high), abs=1e-6)


def test_what_is_kept_says_whether_it_agrees(log):
    assert correct(log, "r1", 0, "a").agrees is True
    assert correct(log, "r1", 0, "b").agrees is False
    assert correct(log, "r9", 0, "b").agrees is None


@pytest.mark.parametrize("label", ["d", "", 'a"; DROP TABLE feedback; --', '$."a"'])
def test_a_label_that_is_no_class_is_refused(log, label):
    with pytest.raises(UnknownLabelError, match="it has a, b, c"):
        correct(log, "r1", 0, label)
    assert corrections(log) == []


@pytest.mark.parametrize(("request_id", "item"), [("r77", 0), ("r1", 3)])
def test_an_answer_that_was_not_given_is_refused(log, request_id, item):
    with pytest.raises(UnknownAnswerError):
        correct(log, request_id, item, "a")


def test_labels_outlive_the_answers_they_are_of(log):
    correct(log, "r1", 0, "b")
    log.execute("DELETE FROM predictions")
    (kept,) = corrections(log)
    assert (kept.label, kept.answered, kept.sha256) == ("b", "a", f"{1:064}")


def test_a_request_id_that_a_client_uses_again_names_another_answer(log, log_file, reference):
    for number, label in enumerate("abc"):
        (entry,) = entries_of(TRAINED, reference)[:1]
        write_log(log_file, [replace(entry, request_id="ward-7", state="answer", label="a", sha256=f"image{number}")])
        correct(log, "ward-7", 0, label)
    correct(log, "ward-7", 0, "b")  # of the newest answer, again
    assert [(kept.sha256, kept.label) for kept in corrections(log)] == [
        ("image0", "a"), ("image1", "b"), ("image2", "b")
    ]  # fmt: skip
    assert agreement(log, "drawn", "1").judged == 3


# The tables as version 1 made them, and three labels of one request's id: two of them of the same image.
FORMER_LOG = """
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, request_id TEXT NOT NULL, item INTEGER NOT NULL,
    model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, label TEXT, probabilities TEXT NOT NULL,
    distance REAL, components TEXT NOT NULL, properties TEXT NOT NULL, sha256 TEXT);
CREATE INDEX predictions_by_request ON predictions (request_id, item);
CREATE INDEX predictions_by_time ON predictions (time);
CREATE TABLE feedback (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, request_id TEXT NOT NULL, item INTEGER NOT NULL, label TEXT NOT NULL,
    model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, answered TEXT, sha256 TEXT);
CREATE INDEX feedback_by_model ON feedback (model, version);
CREATE TABLE drift (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, images INTEGER NOT NULL,
    findings TEXT NOT NULL);
INSERT INTO predictions VALUES (7, 100, 'ward-7', 0, 'drawn', '1', 'answer', 'a', '{"a": 1}', 1, '[]', '[]', 'image1');
INSERT INTO predictions VALUES (8, 300, 'ward-7', 0, 'drawn', '1', 'answer', 'a', '{"a": 1}', 1, '[]', '[]', 'image2');
INSERT INTO feedback VALUES (1, 20, 'ward-7', 0, 'a', 'drawn', '1', 'answer', 'a', 'image0');
INSERT INTO feedback VALUES (2, 120, 'ward-7', 0, 'a', 'drawn', '1', 'answer', 'a', 'image1');
INSERT INTO feedback VALUES (3, 130, 'ward-7', 0, 'b', 'drawn', '1', 'answer', 'a', 'image1');
INSERT INTO feedback VALUES (4, 320, 'ward-7', 0, 'c', 'drawn', '1', 'answer', 'a', 'image2');
PRAGMA application_id = 1129205324;
PRAGMA user_version = 1;
"""


def test_a_log_of_the_former_format_keeps_its_labels_and_takes_more(log_file):
    log_file.parent.mkdir()
    with closing(sqlite3.connect(log_file)) as made:
        made.executescript(FORMER_LOG)
    for _ in range(2):  # brought up to date once, then as it is
        with closing(read_log(log_file)) as log:
            found = [(kept.prediction, kept.sha256, kept.label) for kept in corrections(log)]
            assert found == [(None, "image0", "a"), (7, "image1", "b"), (8, "image2", "c")]
            assert log.execute("PRAGMA user_version").fetchone() == (3,)
            assert log.execute("SELECT digest FROM predictions").fetchall() == [(None,), (None,)]
    with closing(read_log(log_file)) as log:
        correct(log, "ward-7", 0, "a")
        assert [kept.label for kept in corrections(log)] == ["a", "b", "a"]


def test_images_in_linked_folders_are_found_as_predict_finds_them(log, log_file, tmp_path):
    content = write_picture(tmp_path / "store/scan.png", 1).read_bytes()
    (tmp_path / "images").mkdir()
    for name in ("again", "linked"):
        (tmp_path / f"images/{name}").symlink_to(tmp_path / "store")
    (tmp_path / "images/above").symlink_to(tmp_path)
    log.execute("UPDATE predictions SET sha256 = ? WHERE request_id = 'r1'", (hashlib.sha256(content).hexdigest(),))
    correct(log, "r1", 0, "b")
    export_feedback(log_file, tmp_path / "manifest.csv", tmp_path / "images", None)
    assert (tmp_path / "manifest.csv").read_text().splitlines()[1].startswith("above/store/scan.png,b,")


def test_the_manifest_is_read_by_data_ingestion(log, log_file, tmp_path):
    images = tmp_path / "images"
    labels = {}
    for number, label in enumerate(NAMES * 4):
        content = write_picture(images / f"deep/{number}.png", number).read_bytes()
        labels[f"deep/{number}.png"] = label
        digest = hashlib.sha256(content).hexdigest()
        log.execute("UPDATE predictions SET sha256 = ? WHERE request_id = ?", (digest, f"r{number}"))
        correct(log, f"r{number}", 0, label)
    correct(log, "r15", 0, "b")  # of an image that is not there
    said = export_feedback(log_file, tmp_path / "manifest.csv", images, None)
    assert said.endswith(f"12 images with readers' labels; 1 more are of images that are not in {images}")
    source = {"kind": "csv", "table": tmp_path / "manifest.csv", "root": images}
    config = configure(source, classes={name: [name] for name in NAMES}, random_split={"valid": 0.25, "test": 0.25})
    assert {record.path: record.label for record in ingest(config, tmp_path / "project").records} == labels


def test_a_file_whose_name_no_table_can_hold_costs_no_other_label(log, log_file, tmp_path, caplog):
    images = tmp_path / os.fsdecode(b"b\xfccher")  # what is above does not matter: names are relative to it
    for name, request in ((b"r\xf6ntgen.png", "r1"), (b"scan.png", "r2")):
        content = write_picture(images / os.fsdecode(name), len(name)).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        log.execute("UPDATE predictions SET sha256 = ? WHERE request_id = ?", (digest, request))
        correct(log, request, 0, "b")
    assert "1 images with readers' labels" in export_feedback(log_file, tmp_path / "manifest.csv", images, None)
    assert "1 files left out, as no table can hold a name that is not UTF-8" in caplog.text


def test_of_one_image_the_last_label_counts(log, log_file, tmp_path):
    log.execute("UPDATE predictions SET sha256 = 'same'")
    correct(log, "r1", 0, "b")
    correct(log, "r2", 0, "c")
    said = export_feedback(log_file, tmp_path / "manifest.csv", None, None)
    assert "1 images with readers' labels; 1 labels replaced by a later one" in said
    with (tmp_path / "manifest.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["label"], row["sha256"], row["file"], row["answered"]) == ("c", "same", "", "a")


def test_nothing_to_export_is_said(log, log_file, tmp_path):
    with pytest.raises(DataError, match="no reader has labelled an answer of drawn"):
        export_feedback(log_file, tmp_path / "manifest.csv", None, "drawn")
