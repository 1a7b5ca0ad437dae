"""The log's file: what it holds, what it drops, and what happens when it cannot be written."""

import logging
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cnnClassifier.monitoring import writer as module
from cnnClassifier.monitoring.entries import open_log, read_log
from cnnClassifier.monitoring.reading import Checked, last_checks, save_check
from cnnClassifier.monitoring.writer import DAY, LogWriter, Rotation
from watched import TRAINED, entries_of, rows, write_log


def test_whoever_opens_a_log_first_at_the_same_time_gets_it(tmp_path):
    """A server's writer and its pages: SQLite told one of two in a hundred that the file was locked."""
    with ThreadPoolExecutor(4) as pool:
        for number in range(100):
            together = threading.Barrier(4)

            def open_one(path: Path, together: threading.Barrier = together) -> None:
                together.wait()
                open_log(path).close()

            list(pool.map(open_one, [tmp_path / f"{number}.db"] * 4))


def test_the_oldest_beyond_so_many_are_dropped(reference, log_file, monkeypatch):
    monkeypatch.setattr(module, "ROTATED", 0.0)
    entries = entries_of(TRAINED, reference)[:50]
    write_log(log_file, entries, Rotation(rows=20))
    assert [request for request, _ in rows(log_file)] == [entry.request_id for entry in entries[-20:]]


def test_what_is_older_than_so_many_days_is_dropped_and_gone_from_the_file(reference, log_file):
    old, new = entries_of(TRAINED, reference)[:2]
    write_log(log_file, [replace(old, time=time.time() - 3 * DAY, request_id="long-ago"), new], Rotation(days=2))
    assert rows(log_file) == [(new.request_id, 0)]
    assert b"long-ago" not in log_file.read_bytes()


def test_an_old_check_for_drift_is_dropped_with_the_last_answer_of_its_model(reference, log_file):
    entries = entries_of(TRAINED, reference)[:2]
    write_log(log_file, entries[:1])
    with closing(read_log(log_file)) as log:
        for at, model in (
            (time.time() - 3 * DAY, "retired"),
            (time.time() - 3 * DAY, entries[0].model),
            (time.time() - DAY, "new"),
        ):
            save_check(log, Checked(at, model, "1", 50, ()))
    write_log(log_file, entries[1:], Rotation(days=2))
    with closing(read_log(log_file)) as log:
        assert [each.model for each in last_checks(log)] == [entries[0].model, "new"]


def test_a_file_stays_bounded(reference, log_file, monkeypatch):
    monkeypatch.setattr(module, "ROTATED_ENTRIES", 100)
    entries = entries_of(TRAINED, reference)[:100]
    write_log(log_file, entries * 3, Rotation(rows=100))
    first = log_file.stat().st_size
    write_log(log_file, entries * 12, Rotation(rows=100))
    assert log_file.stat().st_size <= 3 * first


def test_an_entry_takes_less_than_a_kilobyte(reference, log_file):
    entries = entries_of(TRAINED, reference)
    write_log(log_file, entries)
    assert log_file.stat().st_size / len(entries) < 1000


def test_putting_returns_at_once_while_somebody_holds_the_file(reference, log_file):
    entries = entries_of(TRAINED, reference)[:10]
    write_log(log_file, entries)
    with closing(sqlite3.connect(log_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = LogWriter(log_file, Rotation())
        began = time.perf_counter()
        for entry in entries:
            writer.put(entry)
        assert time.perf_counter() - began < 0.5
        other.execute("COMMIT")
    writer.close()
    assert (writer.written, writer.lost.total()) == (10, 0)


def test_a_full_queue_drops_what_is_new_and_counts_it(reference, log_file, monkeypatch):
    monkeypatch.setattr(module, "WAITING", 5)
    entries = entries_of(TRAINED, reference)[:40]
    write_log(log_file, entries[:1])
    with closing(sqlite3.connect(log_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = LogWriter(log_file, Rotation())
        for entry in entries:
            writer.put(entry)
        other.execute("COMMIT")
    writer.close()
    assert writer.lost["queue"] > 0
    assert writer.written + writer.lost["queue"] == len(entries)


NOT_A_LOG = {
    "text": lambda path: path.write_text("not a database, and longer than SQLite's head of a hundred bytes" * 5),
    "folder": lambda path: path.mkdir(),
    "another database": lambda path: _other_database(path),
}


def _other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE runs (id)")


@pytest.mark.parametrize("kind", NOT_A_LOG)
def test_another_file_is_left_as_it_is_and_said_once(kind, reference, log_file, caplog):
    log_file.parent.mkdir()
    NOT_A_LOG[kind](log_file)
    before = log_file.read_bytes() if log_file.is_file() else None
    writer = LogWriter(log_file, Rotation(), pause=0)
    with caplog.at_level(logging.INFO):
        for entry in entries_of(TRAINED, reference)[:5]:
            writer.put(entry)
            writer.flush()
    assert writer.lost["file"] == 5
    assert writer.trouble
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert (log_file.read_bytes() if log_file.is_file() else None) == before
    writer.close()


def test_writing_goes_on_once_the_file_is_put_right(reference, log_file, caplog):
    log_file.parent.mkdir()
    log_file.mkdir()
    writer = LogWriter(log_file, Rotation(), pause=0)
    first, second = entries_of(TRAINED, reference)[:2]
    writer.put(first)
    writer.flush()
    log_file.rmdir()
    with caplog.at_level(logging.INFO):
        writer.put(second)
        writer.close()
    assert (writer.written, writer.lost["file"], writer.trouble) == (1, 1, None)
    assert "is written again" in caplog.text
    assert rows(log_file) == [(second.request_id, 0)]


FULL_DISK = """
import resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from cnnClassifier.monitoring.writer import LogWriter, Rotation
from watched import TRAINED, entries_of, reference_of
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
entries = entries_of(TRAINED, reference_of(TRAINED))
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))  # what a full disk answers: EFBIG
writer = LogWriter(Path({file!r}), Rotation(), pause=0)
for turn in range(6):
    for entry in entries:
        writer.put(entry)
    writer.flush()
lost = writer.lost["file"]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.put(entries[0])
writer.close()
print(lost > 0, writer.written > 0, writer.trouble)
"""


def test_a_file_that_may_not_grow_loses_entries_and_nothing_else(log_file):
    program = FULL_DISK.format(path=sys.path, file=str(log_file))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["True", "True", "None"], done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY  # the other process' own
    assert rows(log_file)
    with closing(read_log(log_file)) as log:
        assert log.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_several_processes_may_write_one_log(reference, log_file):
    entries = entries_of(TRAINED, reference)[:100]
    writers = [threading.Thread(target=write_log, args=(log_file, entries)) for _ in range(3)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert len(rows(log_file)) == 300
