"""What glibc's malloc would keep of the process's memory; elsewhere (musl, macOS, Windows) nothing is done."""

import ctypes
import sys

M_ARENA_MAX = -8  # of glibc's malloc.h


def share_arenas() -> None:
    """Have all threads take memory from two arenas: of one for each, what a picture took is kept, 70 MB in all."""
    _call("mallopt", M_ARENA_MAX, 2)


def give_memory_back() -> None:
    """Return what is free to the system: opening a network takes some 80 MB more than it keeps."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    if sys.platform == "linux" and (function := getattr(ctypes.CDLL(None), name, None)):
        function(*arguments)
