"""The prediction log's end in the app: what is noted of an answer, and what readers say of it. Off unless asked for."""

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import CnnClassifierError, DataError
from cnnClassifier.inference import Prediction
from cnnClassifier.monitoring.entries import Entry, open_log
from cnnClassifier.monitoring.feedback import Agreement, Correction, agreement, correct
from cnnClassifier.monitoring.properties import measure
from cnnClassifier.monitoring.reading import Checked, last_checks
from cnnClassifier.monitoring.writer import LogWriter, Rotation
from cnnClassifier.preprocessing import Stored

T = TypeVar("T")

log = logging.getLogger(__name__)


class JournalError(CnnClassifierError):
    """The log cannot be read or written at the moment."""


@dataclass(frozen=True)
class Seen:
    """What is kept of a picture: numbers that do not show it, and what names its file, where readers may correct."""

    properties: tuple[float, ...]
    sha256: str | None


class Journal:
    """Notes answers where `serving.prediction_log` says so; without one, every call is free and does nothing."""

    def __init__(self, config: ServingConfig) -> None:
        self.feedback = config.feedback
        rotation = Rotation(config.log_days, config.log_rows)
        self.writer = LogWriter(config.prediction_log, rotation) if config.prediction_log else None

    def look(self, pixels: Stored, data: bytes) -> Seen | None:
        """Measure a picture, decoded and as a file: some milliseconds, and the picture is let go."""
        if self.writer is None:
            return None
        return Seen(measure(pixels), hashlib.sha256(data).hexdigest() if self.feedback else None)

    def note(self, prediction: Prediction, seen: Seen | None, digest: str, request_id: str, item: int) -> None:
        """Have an answer of the model with this digest written in the background."""
        if self.writer is None or seen is None:
            return
        self.writer.put(
            Entry(
                time=time.time(),
                request_id=request_id,
                item=item,
                model=prediction.model,
                version=prediction.version,
                state=prediction.state,
                label=prediction.label,
                probabilities=prediction.probabilities,
                distance=prediction.distance,
                components=prediction.components,
                properties=seen.properties,
                sha256=seen.sha256,
                digest=digest,
            )
        )

    def correct(self, request_id: str, item: int, label: str) -> Correction:
        """Keep a reader's label; errors of `feedback.correct`, JournalError where the file does not let it."""
        if self.writer:
            self.writer.flush()  # the answer may be a moment old
        return self._ask(lambda connection: correct(connection, request_id, item, label))

    def agreement(self, model: str, version: str) -> Agreement | None:
        """How often readers agree with a version; None where they are not asked, or the log cannot be read."""
        if not self.feedback:
            return None
        try:
            return self._ask(lambda connection: agreement(connection, model, version))
        except CnnClassifierError as error:
            log.warning("how often readers agree is not known: %s", error)
            return None

    def checks(self) -> list[Checked]:
        """The last checks for drift that `python main.py drift` wrote into the log; none where it cannot be read."""
        if self.writer is None or not self.writer.path.is_file():
            return []
        try:
            return self._ask(last_checks)
        except CnnClassifierError as error:
            log.warning("the last check for drift is not known: %s", error)
            return []

    def close(self) -> None:
        """Write what waits."""
        if self.writer:
            self.writer.close()

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if self.writer is None:
            raise JournalError("no prediction log is kept here")
        try:
            with closing(_open(self.writer.path)) as connection:
                return question(connection)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"the prediction log cannot be used now: {error}") from None


def _open(path: Path) -> sqlite3.Connection:
    try:
        return open_log(path)
    except DataError as error:  # another program's file, or a newer version's: what is asked of a log raises it, too
        raise JournalError(f"the prediction log cannot be used now: {error}") from None
