"""What is read of the log: the answers of one model in a time, the last checks, and how times are given."""

import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.monitoring.drift import Null, compare
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.properties import PROPERTIES
from cnnClassifier.monitoring.reading import Checked, last_checks, parse_moment, read_window, save_check
from watched import LIMIT, TRAINED, draw, entries_of, reference_of, write_log

ALL = (0.0, 2e10)


def test_what_is_put_comes_back_as_a_window(reference, log_file):
    entries = entries_of(TRAINED, reference)
    write_log(log_file, [*entries, *entries_of(draw(5, seed=1), reference, version="2")])
    with closing(read_log(log_file)) as log:
        window = read_window(log, "drawn", "1", *ALL, reference)
    assert len(window) == len(entries)
    newest = entries[-1]
    assert window.components[0] == pytest.approx(newest.components, abs=1e-4)
    assert window.properties[0] == pytest.approx(newest.properties, abs=1e-4)
    assert window.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_training_images_themselves_are_no_drift_after_the_log(log_file):
    """Of a very sure model, and with shares of pixels that most images have in common."""
    draw_shares, sure = np.random.default_rng(4).integers(0, 3, (len(TRAINED.groups), 2)), TRAINED.probabilities * 1e-7
    sure[:, 0] += 1 - sure.sum(axis=1)
    properties = TRAINED.properties.copy()
    properties[:, [PROPERTIES.index("black"), PROPERTIES.index("white")]] = draw_shares / (337 * 451)
    images = replace(TRAINED, probabilities=sure, properties=properties)
    own = reference_of(images)
    write_log(log_file, entries_of(images, own))
    with closing(read_log(log_file)) as log:
        window = read_window(log, "drawn", "1", *ALL, own)
    findings = compare(own, window, LIMIT, Null(own, len(window), draws=199))
    assert {finding.name: finding.effect for finding in findings if finding.effect > 0} == {}
    assert not any(finding.alarm for finding in findings)


def test_only_the_time_asked_for_counts(reference, log_file):
    (entry,) = entries_of(TRAINED, reference)[:1]
    write_log(log_file, [replace(entry, time=time.time() - 60 * minutes) for minutes in (1, 10, 100)])
    with closing(read_log(log_file)) as log:
        window = read_window(log, "drawn", "1", time.time() - 3600, time.time() - 120, reference)
    assert len(window) == 1


def test_a_window_that_is_not_there_says_what_is(reference, log_file):
    write_log(log_file, entries_of(draw(2, seed=1), reference, version="7"))
    with closing(read_log(log_file)) as log, pytest.raises(DataError, match=r"drawn version 8.*drawn version 7: "):
        read_window(log, "drawn", "8", *ALL, reference)


def test_answers_from_before_the_reference_do_not_count(reference, log_file):
    write_log(log_file, [replace(entry, components=()) for entry in entries_of(TRAINED, reference)])
    with closing(read_log(log_file)) as log, pytest.raises(DataError, match="no answers of drawn version 1"):
        read_window(log, "drawn", "1", *ALL, reference)


def test_answers_of_another_model_under_the_same_name_and_version_do_not_count(reference, log_file):
    """As after a registry was removed and a new model became its version 1."""
    entries = entries_of(TRAINED, reference)[:6]
    digests = ["new", "old", "old", "new", "new", None]  # None: from before digests were logged
    write_log(log_file, [replace(entry, digest=digest) for entry, digest in zip(entries, digests, strict=True)])
    with closing(read_log(log_file)) as log:
        assert len(read_window(log, "drawn", "1", *ALL, reference, "new")) == 4
        assert len(read_window(log, "drawn", "1", *ALL, reference, "third")) == 1


def test_answers_of_other_classes_do_not_count(reference, log_file):
    entries = entries_of(TRAINED, reference)[:4]
    others = [replace(entry, probabilities={"a": 0.4, "b": 0.6}) for entry in entries[:3]]
    write_log(log_file, [*others, entries[3]])
    with closing(read_log(log_file)) as log:
        assert len(read_window(log, "drawn", "1", *ALL, reference)) == 1


def test_a_damaged_answer_is_one_error(reference, log_file):
    write_log(log_file, entries_of(TRAINED, reference)[:2])
    with closing(read_log(log_file)) as log:
        log.execute("UPDATE predictions SET probabilities = '{' WHERE id = 2")
    with closing(read_log(log_file)) as log, pytest.raises(DataError, match="has a damaged answer"):
        read_window(log, "drawn", "1", *ALL, reference)


def test_reading_a_log_that_is_not_there_says_how_there_would_be_one(log_file):
    with pytest.raises(DataError, match="CNNCLASSIFIER_PREDICTION_LOG"):
        read_log(log_file)


def test_the_last_check_of_each_model_is_kept(log_file, reference):
    write_log(log_file, entries_of(TRAINED, reference)[:1])
    with closing(read_log(log_file)) as log:
        for at, model, version in ((1.0, "a", "1"), (2.0, "a", "2"), (1.5, "b", "1")):
            save_check(log, Checked(at, model, version, 50, ()))
        assert [(each.model, each.version) for each in last_checks(log)] == [("a", "2"), ("b", "1")]


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("24h", 86400), ("7d", 604800), ("2w", 1209600)])
def test_times_ago(text, seconds):
    assert time.time() - parse_moment(text, "--since") == pytest.approx(seconds, abs=5)


def test_times_of_the_clock():
    assert parse_moment("2026-11-26T08:00:00+00:00", "--since") == 1795680000.0


@pytest.mark.parametrize(
    "text", ["tomorrow", "9999999999d", "99999999d", f"{'9' * 5000}w", "0001-01-01", "9999-12-31T23:59-05:00", ""]
)
def test_what_is_no_time_is_told_with_its_option(text):
    with pytest.raises(ConfigError, match=rf"^--until {text:.80}: expected a time such as 7d"):
        parse_moment(text, "--until")
