"""Reads the log: a window of answers as arrays, and what was found of the last windows."""

import json
import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.monitoring.drift import Finding, Window
from cnnClassifier.monitoring.properties import PROPERTIES
from cnnClassifier.monitoring.reference import TrainingReference

MOST = 20_000  # images of a window: more of them say no more, and the newest are what matters
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
DRIFT_KEPT = 1000  # checks


@dataclass(frozen=True)
class Checked:
    """What one check of a model's window found; `time` in seconds since 1970."""

    time: float
    model: str
    version: str
    images: int
    findings: tuple[Finding, ...]

    @property
    def alarms(self) -> list[Finding]:
        """The findings that alarm."""
        return [finding for finding in self.findings if finding.alarm]


def parse_moment(text: str, option: str) -> float:
    """A moment in seconds since 1970, from "90m", "24h", "7d", "2w" ago or an ISO 8601 time.

    ConfigError, naming the option, for others and for what is before all calendars.
    """
    try:
        if ago := re.fullmatch(r"(\d+)([mhdw])", text):
            return (datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})).timestamp()
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).timestamp()  # the machine's time zone, unless it says another
    except (ValueError, OverflowError):
        raise ConfigError(f"{option} {text:.80}: expected a time such as 7d, 24h or 2026-11-26T08:00") from None


def read_window(
    log: sqlite3.Connection,
    model: str,
    version: str,
    since: float,
    until: float,
    reference: TrainingReference,
    digest: str | None = None,
) -> Window:
    """The newest answers of a model's version in a time, MOST at most; DataError that says what there is instead.

    Answers without numbers to compare, from before the model had a reference, do not count; nor, with `digest`, those
    of other files under that name and version, unless they are so old that their digest was not logged.
    """
    rows = log.execute(
        "SELECT probabilities, distance, components, properties, state FROM predictions "
        "WHERE model = ? AND version = ? AND time >= ? AND time <= ? AND (? IS NULL OR digest IS NULL OR digest = ?) "
        "ORDER BY id DESC LIMIT ?",
        (model, version, since, until, digest, digest, MOST),
    ).fetchall()
    axes = reference.components.shape[1]
    widths = reference.probabilities.shape[1], axes, len(PROPERTIES)
    parsed = [row for row in map(_parsed, rows) if tuple(map(len, row[:3])) == widths]
    if not parsed:
        raise DataError(f"no answers of {model} version {version} in that time; {_what_there_is(log)}")
    probabilities, components, properties, distances, states = zip(*parsed, strict=True)
    return Window(  # in the reference's precision: equal images are equal numbers
        probabilities=np.array(probabilities, np.float32),
        distances=np.array([np.nan if far is None else far for far in distances], np.float32),
        components=np.array(components, np.float32).reshape(len(parsed), axes),
        properties=np.array(properties, np.float32),
        refused=np.array([state == "refused" for state in states]),
    )


def _parsed(row: tuple[str, float | None, str, str, str]) -> tuple[list[float], list[float], list[float], Any, str]:
    probabilities, distance, components, properties, state = row
    try:
        return list(json.loads(probabilities).values()), json.loads(components), json.loads(properties), distance, state
    except ValueError as error:
        raise DataError(f"the prediction log has a damaged answer ({error}); restore it or begin a new one") from None


def save_check(log: sqlite3.Connection, checked: Checked) -> None:
    """Keep a check beside the answers, where the app's `/metrics` finds it; the last DRIFT_KEPT are kept."""
    findings = json.dumps([asdict(finding) for finding in checked.findings])
    log.execute("BEGIN IMMEDIATE")
    log.execute(
        "INSERT INTO drift (time, model, version, images, findings) VALUES (?, ?, ?, ?, ?)",
        (checked.time, checked.model, checked.version, checked.images, findings),
    )
    oldest = "SELECT id FROM drift ORDER BY id DESC LIMIT 1 OFFSET ?"
    log.execute(f"DELETE FROM drift WHERE id <= ({oldest})", (DRIFT_KEPT,))  # noqa: S608 - no input in it
    log.execute("COMMIT")


def last_checks(log: sqlite3.Connection) -> list[Checked]:
    """The last check of each model's newest checked version."""
    rows = log.execute(
        "SELECT time, model, version, images, findings FROM drift "
        "WHERE id IN (SELECT max(id) FROM drift GROUP BY model) ORDER BY model"
    )
    return [
        Checked(at, model, version, images, tuple(Finding(**each) for each in json.loads(findings)))
        for at, model, version, images, findings in rows
    ]


def _what_there_is(log: sqlite3.Connection) -> str:
    query = (
        "SELECT model, version, count(*), max(time) FROM predictions GROUP BY model, version ORDER BY max(time) DESC"
    )
    rows: Sequence[tuple[str, str, int, float]] = log.execute(query).fetchall()
    there = "; ".join(
        f"{model} version {version}: {count}, the last {_ago(newest)}" for model, version, count, newest in rows
    )
    return f"the log has {there}" if there else "the log is empty"


def _ago(moment: float) -> str:
    return f"{timedelta(seconds=round(max(0.0, time.time() - moment)))} ago"
