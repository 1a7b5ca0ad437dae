"""Output for people."""

import io
import sys

from rich.console import Console

WIDE = 200  # columns where no window limits them


def escape_what_it_lacks() -> None:
    """Let standard output escape characters that its encoding lacks, as standard error does: file names have them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def console() -> Console:
    """A console on standard output. Where that is a pipe or a file, it is wide enough that no table is folded."""
    found = Console()
    return found if found.is_terminal else Console(width=max(WIDE, found.width))
