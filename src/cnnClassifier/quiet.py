"""Silence library messages that carry no information."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_stderr_held() -> Iterator[None]:
    """Send file descriptor 2 to a temporary file for the length of a block; shown only if the block fails.

    TensorFlow's loader prints a screenful about drivers that are not there, before any log level counts.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


@contextmanager
def errors_only(logger: str | None = None) -> Iterator[None]:
    """For the length of a block a library's logger, or the root one, logs only errors."""
    silenced = logging.getLogger(logger)
    level = silenced.level
    silenced.setLevel(logging.ERROR)
    try:
        yield
    finally:
        silenced.setLevel(level)
