"""What may change while the server runs, on SIGHUP: how much at once, how long, how much is logged, and the API key.

Everything else takes a restart, and the log says so. A file with a mistake changes nothing.
"""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import CnnClassifierError, ConfigError
from cnnClassifier.web.admission import Admission
from cnnClassifier.web.batcher import Batcher
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.logs import set_log_level

CHANGEABLE = ("queue", "deadline_seconds", "log_level")

log = logging.getLogger(__name__)


@dataclass
class Adjustable:
    """The parts of a running app that settings can change, and the settings it runs with."""

    config: ServingConfig
    admission: Admission
    batcher: Batcher
    guard: Guard
    images_waiting: int  # of each request that is let in

    def take(self, config: ServingConfig, guard: Guard) -> str:
        """Run with other settings as far as may be, and say what changed; ConfigError, and no change, if it may not."""
        if config.queue >= self.config.threads:
            raise ConfigError(
                f"serving.queue {config.queue}: {self.config.threads} threads run, and some must be left to refuse; "
                "more take a restart"
            )
        if self.guard.key is not None and guard.key is None:
            raise ConfigError("the API key is gone, which would open this server to anybody; that takes a restart")
        fields = [name for name in ServingConfig.model_fields if getattr(config, name) != getattr(self.config, name)]
        said = [f"{name} {getattr(self.config, name)} -> {getattr(config, name)}" for name in fields]
        changed = [words for name, words in zip(fields, said, strict=True) if name in CHANGEABLE]
        waiting = [words for name, words in zip(fields, said, strict=True) if name not in CHANGEABLE]
        if guard.key != self.guard.key:
            changed.append("another API key")
        self.config = self.config.model_copy(update={name: getattr(config, name) for name in CHANGEABLE})
        self.admission.capacity = config.queue
        self.batcher.queue_size, self.batcher.deadline = self.images_waiting * config.queue, config.deadline_seconds
        self.guard.key = guard.key
        restart = f"; only after a restart: {', '.join(waiting)}" if waiting else ""
        return f"settings read again: {', '.join(changed) or 'nothing changed'}{restart}"


class Reloader:
    """Reads the settings again in a thread of its own when asked to, which a signal handler may do."""

    def __init__(self, adjustable: Adjustable, read: Callable[[], tuple[ServingConfig, Guard]]) -> None:
        self._adjustable = adjustable
        self._read = read
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        threading.Thread(target=self._follow, name="reloader", daemon=True).start()

    def ask(self) -> None:
        """Have the settings read; returns at once."""
        self._asked.put(None)

    def reload(self) -> None:
        """Read the settings and run with them; a mistake in them is logged and changes nothing."""
        try:
            said = self._adjustable.take(*self._read())
        except CnnClassifierError as error:
            log.error("the settings stay as they were: %s", error)
        else:
            self._log(said)

    def _log(self, said: str) -> None:
        """Log from the new level up, and what changed if that is news by the level of before or by the new one."""
        if heard := log.isEnabledFor(logging.INFO):
            log.info("%s", said)
        set_log_level(self._adjustable.config.log_level)
        if not heard:
            log.info("%s", said)

    def _follow(self) -> None:
        while True:
            self._asked.get()
            self.reload()
