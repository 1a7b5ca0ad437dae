"""What the registry says today of the version that the finished run registered: registration.json only knows that day.

Somebody may have promoted another version since, or this one.
"""

import logging
from pathlib import Path
from typing import NamedTuple

from cnnClassifier.environment import environment
from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking.connection import IMPATIENT, Connection
from cnnClassifier.tracking.registry import CHAMPION, PROMOTED_TAG, RegisteredModel, find, registered_as

log = logging.getLogger(__name__)


class Standing(NamedTuple):
    """Why somebody made this version champion, if one did, and which is champion now; None where nobody knows."""

    promoted: str | None = None
    champion: RegisteredModel | None = None

    def is_another(self, version: int) -> bool:
        """Whether a version other than this one is known to be champion now."""
        return self.champion is not None and self.champion.version != version

    def champion_now(self) -> str:
        """`version 1 is`, and why if somebody made it champion; ValueError where no champion is known."""
        if self.champion is None:
            raise ValueError("no champion is known; ask is_another first")
        because = self.champion.tags.get(PROMOTED_TAG)
        return f"version {self.champion.version} is{f', promoted because: {because}' if because else ''}"


def standing_of(connection: Connection, registration: Path) -> Standing:
    """Ask the registry about the version that registration.json names; nothing is known of one that it lacks.

    TrackingError if the registry does not answer, or cannot be read.
    """
    if not registration.is_file() or connection.is_unused:
        return Standing()
    connection.check()
    registered = registered_as(connection, registration)
    if registered is None:
        return Standing()
    return Standing(registered.tags.get(PROMOTED_TAG), find(connection, registered.name, CHAMPION))


def standing_if_told(connection: Connection, registration: Path) -> Standing:
    """The same for a page that is shown all the same: a registry that does not answer costs one warning."""
    try:
        with environment(**IMPATIENT):
            return standing_of(connection, registration)
    except TrackingError as error:
        log.warning("%s. Which version is champion is told as it was when the run ended", error)
        return Standing()
