"""What is printed for people."""

from rich.console import Console

WIDE = 200  # columns of what nobody sees in a window


def console() -> Console:
    """Standard output; where that is a pipe or a file, wide enough that no table is folded."""
    found = Console()
    return found if found.is_terminal else Console(width=max(WIDE, found.width))
