"""What is printed for people."""

import io
import sys

from rich.console import Console

WIDE = 200  # columns of what nobody sees in a window


def escape_what_it_lacks() -> None:
    """Let standard output escape characters that its encoding lacks, as in names of files, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def console() -> Console:
    """Standard output; where that is a pipe or a file, wide enough that no table is folded."""
    found = Console()
    return found if found.is_terminal else Console(width=max(WIDE, found.width))
