"""What the log holds, as types and as tables of one SQLite file: no image, no name of a file, no client's address."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnClassifier.errors import DataError
from cnnClassifier.monitoring.moving import make_room, turn

APPLICATION = 0x434E4E4C  # "CNNL": which SQLite files are logs; nothing is written into any other
FORMAT = 3
TABLES = {"predictions", "feedback", "drift"}
SECONDS = 10.0  # that somebody else's writing is waited for

SCHEMA = """
CREATE TABLE IF NOT EXISTS predictions (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, request_id TEXT NOT NULL, item INTEGER NOT NULL,
    model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, label TEXT, probabilities TEXT NOT NULL,
    distance REAL, components TEXT NOT NULL, properties TEXT NOT NULL, sha256 TEXT, digest TEXT);
CREATE INDEX IF NOT EXISTS predictions_by_request ON predictions (request_id, item);
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (time);
CREATE TABLE IF NOT EXISTS feedback (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, request_id TEXT NOT NULL, item INTEGER NOT NULL, label TEXT NOT NULL,
    model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, answered TEXT, sha256 TEXT, prediction INTEGER);
CREATE INDEX IF NOT EXISTS feedback_by_model ON feedback (model, version);
CREATE TABLE IF NOT EXISTS drift (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, images INTEGER NOT NULL,
    findings TEXT NOT NULL);
"""

# Format 1 named an answer by its request alone: a label was for the newest answer of that name, then.
TO_FORMAT_2 = """
ALTER TABLE feedback ADD COLUMN prediction INTEGER;
UPDATE feedback SET prediction = (
    SELECT max(answer.id) FROM predictions AS answer WHERE answer.request_id = feedback.request_id
    AND answer.item = feedback.item AND answer.time <= feedback.time AND answer.sha256 IS feedback.sha256);
"""

# Until format 2 a model was its name and version, which a registry that was removed and made again gives to another.
TO_FORMAT_3 = "ALTER TABLE predictions ADD COLUMN digest TEXT"


@dataclass(frozen=True)
class Entry:
    """One image's answer: `time` in seconds since 1970, `item` its place in the request.

    `components` and `properties` are empty where the model has no training reference to compare them with;
    `sha256` of the file is kept only where readers may correct answers, to find the image again on their side.
    `digest` is of the model's files: a name and a version may come to mean another model.
    """

    time: float
    request_id: str
    item: int
    model: str
    version: str
    state: str
    label: str | None
    probabilities: dict[str, float]
    distance: float | None = None
    components: tuple[float, ...] = ()
    properties: tuple[float, ...] = ()
    sha256: str | None = None
    digest: str | None = None

    def as_row(self) -> tuple[object, ...]:
        """The values of its row, but the key."""
        start = (self.time, self.request_id, self.item, self.model, self.version, self.state, self.label)
        lists = (json.dumps([_single(each) for each in values]) for values in (self.components, self.properties))
        probabilities = json.dumps({name: _single(value) for name, value in self.probabilities.items()})
        return (*start, probabilities, self.distance, *lists, self.sha256, self.digest)


def _single(value: float) -> float:
    """The number as the training reference holds it, float32; nine digits say which one it is.

    Rounded otherwise, what many images share (no white pixel but one, a confidence of nearly 1) would lie beside the
    reference's, and a comparison of distributions takes all of them for moved.
    """
    return float(f"{np.float32(value):.9g}")


INSERT = """INSERT INTO predictions (time, request_id, item, model, version, state, label, probabilities, distance,
    components, properties, sha256, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


def open_log(path: Path) -> sqlite3.Connection:
    """A connection to a log, made if it is not there; DataError for a file that is something else.

    sqlite3.Error or OSError where disk, rights or file do not let it.
    """
    make_room(path)
    # Each statement stands by itself unless a transaction is begun; threads take turns by their owners' locks.
    connection = sqlite3.connect(path, timeout=SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if not _is_log(connection, path):
            with turn(path):  # of two who change a file to WAL at once, SQLite tells one that it is locked
                connection.execute("PRAGMA journal_mode = WAL")  # readers never wait for the writer, nor it for them
                _make_tables(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # what is dropped is overwritten
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    """Today's tables, made or brought up to date, in one transaction: another process may be at it too."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    if "prediction" not in _columns(connection, "feedback"):
        for statement in TO_FORMAT_2.split(";"):
            connection.execute(statement)
    if "digest" not in _columns(connection, "predictions"):
        connection.execute(TO_FORMAT_3)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _is_log(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a file is a log of today rather than empty, half made or an older one; DataError for anything else."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (written,) = connection.execute("PRAGMA user_version").fetchone()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if application != APPLICATION and names - TABLES:
        raise DataError(f"{path}: a database, but no prediction log; nothing is written into it")
    if written > FORMAT:
        raise DataError(f"{path}: a log of a newer version ({written}); this one writes {FORMAT}")
    return bool(application == APPLICATION and written == FORMAT)


def read_log(path: Path) -> sqlite3.Connection:
    """A connection to a log that is there; DataError for one that is not, or no log."""
    if not path.is_file():
        raise DataError(f"{path}: no prediction log; serving writes one where CNNCLASSIFIER_PREDICTION_LOG says so")
    try:
        return open_log(path)
    except (sqlite3.Error, OSError) as error:
        raise DataError(f"{path}: not a prediction log that can be read: {error}") from None
