"""Waiting for what comes about by itself."""

import subprocess
import time
from collections.abc import Callable
from typing import Any


def wait_until(
    condition: Callable[[], Any], *running: "subprocess.Popen[Any]", seconds: float = 30, pause: float = 0.01
) -> None:
    """Ask again after each pause until it is so; AssertionError after so many seconds, or if a process ends before."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        for process in running:
            assert process.poll() is None, process.stderr.read() if process.stderr else "it ended too soon"
        time.sleep(pause)
