"""What readers say an image really was, beside what was answered; and how often both agree."""

import json
import math
import sqlite3
import time
from dataclasses import dataclass

from cnnClassifier.errors import DataError

Z = 1.959964  # of the standard normal distribution, for 95 %


class UnknownAnswerError(DataError):
    """The log has no such answer, or no longer."""


class UnknownLabelError(DataError):
    """Not a class of the model that answered."""


@dataclass(frozen=True)
class Correction:
    """A reader's label for an answered image. `answered` is what the model said; None where it abstained or refused.

    `prediction` is the answer's key in the log: a request's id is the client's own, who may use it again. None for a
    label of a former log, whose answer had gone.
    """

    time: float
    request_id: str
    item: int
    label: str
    model: str
    version: str
    state: str
    answered: str | None
    sha256: str | None
    prediction: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether reader and model say the same; None where the model said nothing."""
        return None if self.answered is None else self.answered == self.label


@dataclass(frozen=True)
class Agreement:
    """Of `judged` answers that readers labelled, `agreed`; `without_answer` more were abstentions and refusals.

    `low` and `high` are Wilson's 95 % interval (1927, "Probable inference, the law of succession, and statistical
    inference") of the share; None where nothing was judged.
    """

    agreed: int
    judged: int
    without_answer: int
    low: float | None
    high: float | None


def correct(log: sqlite3.Connection, request_id: str, item: int, label: str) -> Correction:
    """Keep a label for an answer of the log, the newest of that name; a later one for the same image takes its place.

    UnknownAnswerError or UnknownLabelError where that cannot be.
    """
    found = log.execute(
        "SELECT model, version, state, label, sha256, id, probabilities FROM predictions "
        "WHERE request_id = ? AND item = ? ORDER BY id DESC LIMIT 1",
        (request_id, item),
    ).fetchone()
    if found is None:
        raise UnknownAnswerError(f"the log has no answer {item} of request {request_id}, or no longer")
    model, version, state, answered, sha256, prediction, probabilities = found
    classes = json.loads(probabilities)
    if label not in classes:
        known = ", ".join(classes)
        raise UnknownLabelError(f"{label!r} is no class of {model} version {version}, which answered; it has {known}")
    kept = Correction(time.time(), request_id, item, label, model, version, state, answered, sha256, prediction)
    log.execute(
        "INSERT INTO feedback (time, request_id, item, label, model, version, state, answered, sha256, prediction) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tuple(vars(kept).values()),
    )
    return kept


def corrections(log: sqlite3.Connection, model: str | None = None, version: str | None = None) -> list[Correction]:
    """What readers said last of each answer, oldest first; of one model or version, or of all."""
    rows = log.execute(
        "SELECT time, request_id, item, label, model, version, state, answered, sha256, prediction FROM feedback "
        "WHERE id IN (SELECT max(id) FROM feedback GROUP BY prediction, request_id, item, sha256) "
        "AND (model = ? OR ? IS NULL) AND (version = ? OR ? IS NULL) ORDER BY id",
        (model, model, version, version),
    )
    return [Correction(*row) for row in rows]


def agreement(log: sqlite3.Connection, model: str, version: str) -> Agreement:
    """How often readers agreed with a version's answers, of those that they said anything about."""
    verdicts = [correction.agrees for correction in corrections(log, model, version)]
    judged = [verdict for verdict in verdicts if verdict is not None]
    low, high = wilson(sum(judged), len(judged)) if judged else (None, None)
    return Agreement(sum(judged), len(judged), len(verdicts) - len(judged), low, high)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `hits` `of` so many were seen, one or more."""
    share, spread = hits / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
