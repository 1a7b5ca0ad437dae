"""Writes the log beside the answers, never before them: a thread takes what is put, and its trouble stays its own.

What cannot be written is counted, and said once in the server's log. A queue that is full drops what is new.
"""

import logging
import queue
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from cnnClassifier.errors import DataError
from cnnClassifier.monitoring.entries import INSERT, Entry, open_log
from cnnClassifier.monitoring.moving import Place, leave

WAITING = 10_000  # entries, some 10 MB
BATCH = 500  # entries in one transaction
PAUSE = 5.0  # seconds after trouble until the file is tried again
ROTATED = 60.0  # seconds, or entries below, between two looks at what is old
ROTATED_ENTRIES = 1000
DAY = 86_400

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rotation:
    """What is dropped: entries older than `days`, and the oldest beyond `rows`."""

    days: float = 90
    rows: int = 100_000


class LogWriter:
    """A log that is written in the background. `lost` counts by reason what was not: "queue", "file"."""

    def __init__(self, path: Path, rotation: Rotation, pause: float = PAUSE) -> None:
        self.path = path
        self.written = 0
        self.lost: Counter[str] = Counter({"queue": 0, "file": 0})
        self._rotation, self._pause = rotation, pause
        self._waiting: queue.Queue[Entry | threading.Event | None] = queue.Queue(WAITING)
        self._connection: sqlite3.Connection | None = None
        self._place = Place(None, None)  # of the connection's file
        self._trouble: str | None = None
        self._rotated, self._since_rotated = -ROTATED, 0
        self._counting = threading.Lock()
        self._tried = -pause
        self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now; None while all is well."""
        return self._trouble

    def put(self, entry: Entry) -> None:
        """Have an entry written soon; returns at once, whatever happens to it."""
        try:
            self._waiting.put_nowait(entry)
        except queue.Full:
            self._lose("queue", 1)

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until what was put before is written or lost; whether that was in time."""
        done = threading.Event()
        try:
            self._waiting.put(done, timeout=seconds)
        except queue.Full:
            return False
        return done.wait(seconds)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(timeout=10)

    def _work(self) -> None:
        while self._write(self._next()):
            pass
        self._forget()

    def _next(self) -> list[Entry | threading.Event | None]:
        """What waits, up to a batch; at least one."""
        taken = [self._waiting.get()]
        with suppress(queue.Empty):
            while len(taken) < BATCH:
                taken.append(self._waiting.get_nowait())
        return taken

    def _write(self, taken: list[Entry | threading.Event | None]) -> bool:
        """Write a batch; whether there may be more."""
        entries = [each for each in taken if isinstance(each, Entry)]
        if entries:
            self._store(entries)
        for each in taken:
            if isinstance(each, threading.Event):
                each.set()
        return None not in taken

    def _store(self, entries: list[Entry]) -> None:
        if self._connection is None and time.monotonic() - self._tried < self._pause:
            self._lose("file", len(entries))
            return
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, (entry.as_row() for entry in entries))
            self._rotate(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError, DataError) as error:
            self._lose("file", len(entries))
            self._note(error)
        else:
            self.written += len(entries)
            self._since_rotated += len(entries)
            self._recover()

    def _open(self) -> sqlite3.Connection:
        """The connection to the file of that name: one that was moved or deleted takes nothing more."""
        if self._connection is not None and self._place.file != Place.of(self.path).file:
            log.warning("the prediction log was moved or deleted, and is begun anew: %s", self.path)
            leave(self.path, self._place)
            self._forget()
        if self._connection is None:
            self._tried = time.monotonic()
            self._connection = open_log(self.path)
            self._place = Place.of(self.path)
        return self._connection

    def _rotate(self, connection: sqlite3.Connection) -> None:
        """Drop what is old. Keys grow with time, so the newest are those of the highest keys."""
        if time.monotonic() - self._rotated < ROTATED and self._since_rotated < ROTATED_ENTRIES:
            return
        self._rotated, self._since_rotated = time.monotonic(), 0
        newest = "SELECT id FROM predictions ORDER BY id DESC LIMIT 1 OFFSET ?"
        connection.execute(f"DELETE FROM predictions WHERE id <= ({newest})", (self._rotation.rows,))  # noqa: S608
        oldest = time.time() - DAY * self._rotation.days
        connection.execute("DELETE FROM predictions WHERE time < ?", (oldest,))
        answering = "SELECT model FROM predictions"  # one that nobody asks any more would alarm for ever
        connection.execute(f"DELETE FROM drift WHERE time < ? AND model NOT IN ({answering})", (oldest,))  # noqa: S608

    def _lose(self, reason: str, entries: int) -> None:
        with self._counting:
            self.lost[reason] += entries

    def _note(self, error: Exception) -> None:
        if str(error) != self._trouble:  # say it once, not for every image
            log.error("the prediction log is not written: %s: %s", self.path, error)
        self._trouble = str(error)
        self._forget()

    def _recover(self) -> None:
        if self._trouble is not None:
            log.info("the prediction log is written again: %s", self.path)
        self._trouble = None

    def _forget(self) -> None:
        """Let go of the file: after trouble it is opened anew, so that one put right is found."""
        if self._connection is not None:
            with suppress(sqlite3.Error), closing(self._connection):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._connection.execute("PRAGMA wal_checkpoint")  # of a file that was moved, closing does not do it
        self._connection = None
