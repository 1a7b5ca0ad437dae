"""The server's log: one JSON object a line for machines, plain lines for a person at a terminal.

What a record carries besides its message stands in `record.fields`. No image content, file name, query string, client
address or path as the client wrote it ever gets here: routes are named by their template.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LogStyle = Literal["auto", "json", "plain"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, its fields, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logs(style: LogStyle, level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Log to `stream` (default: stderr), as JSON unless it is a terminal or `style` says otherwise.

    An entry point's job. Nothing happens where a handler is there already, as in tests or another server's process.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    as_json = style == "json" or (style == "auto" and not stream.isatty())
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # It warns of each request that waits for a thread: under load that is one line a request, and no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def set_log_level(level: LogLevel) -> None:
    """Log from this level up, from now on."""
    logging.getLogger().setLevel(level.upper())


def log_fields(log: logging.Logger, message: str, fields: Mapping[str, object]) -> None:
    """Log a fact: its message for people, its fields for machines."""
    log.info(message, extra={"fields": dict(fields)})
