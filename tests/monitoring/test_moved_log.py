"""A log that is moved, deleted or replaced beside a server that writes it."""

from contextlib import closing

import pytest

from cnnClassifier.monitoring.entries import Entry, read_log
from cnnClassifier.monitoring.writer import LogWriter, Rotation
from watched import TRAINED, entries_of, rows, write_log


def put_all(writer: LogWriter, entries: list[Entry]) -> None:
    for entry in entries:
        writer.put(entry)
    writer.flush()


@pytest.mark.parametrize("writers", [1, 3])
def test_a_log_that_is_moved_while_it_is_written_keeps_what_it_had_and_another_is_begun(reference, log_file, writers):
    first, second = entries_of(TRAINED, reference)[:5], entries_of(TRAINED, reference)[5:12]
    working = [LogWriter(log_file, Rotation()) for _ in range(writers)]
    for writer in working:
        put_all(writer, first)
    archive = log_file.with_name("archive.db")
    log_file.rename(archive)
    for writer in working:
        put_all(writer, second)
    for writer in working:
        writer.close()
        assert (writer.written, writer.lost.total(), writer.trouble) == (12, 0, None)
    for file, entries in ((archive, first), (log_file, second)):
        assert rows(file) == [(entry.request_id, 0) for _ in working for entry in entries]
        with closing(read_log(file)) as log:
            assert log.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_log_whose_folder_is_moved_is_begun_anew(reference, log_file):
    first, second = entries_of(TRAINED, reference)[:2]
    writer = LogWriter(log_file, Rotation())
    put_all(writer, [first])
    archive = log_file.parent.rename(log_file.parent.with_name("archive"))
    put_all(writer, [second])
    writer.close()
    assert rows(archive / log_file.name) == [(first.request_id, 0)]
    assert rows(log_file) == [(second.request_id, 0)]


def test_a_log_that_is_moved_before_the_end_has_all_that_was_written(reference, log_file):
    entries = entries_of(TRAINED, reference)[:5]
    writer = LogWriter(log_file, Rotation())
    put_all(writer, entries)
    archive = log_file.rename(log_file.with_name("archive.db"))
    writer.close()
    assert len(rows(archive)) == 5


@pytest.mark.parametrize("writers", [1, 3])
def test_the_file_that_is_there_is_written_after_a_log_was_deleted_or_another_laid_in_its_place(
    reference, log_file, caplog, writers
):
    first, second, third = entries_of(TRAINED, reference)[:3]
    working = [LogWriter(log_file, Rotation()) for _ in range(writers)]
    for writer in working:
        put_all(writer, [first])
    log_file.unlink()
    for writer in working:
        put_all(writer, [second])
    assert rows(log_file) == [(second.request_id, 0)] * writers
    write_log(log_file.with_name("other.db"), [first]).replace(log_file)
    for writer in working:
        put_all(writer, [third])
    for writer in working:
        writer.close()
    assert rows(log_file) == [(first.request_id, 0), *[(third.request_id, 0)] * writers]
    assert caplog.text.count("begun anew") == 2 * writers
