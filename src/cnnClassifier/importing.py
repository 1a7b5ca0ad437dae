"""Import TensorFlow and its like without their notes in four fifths of the time, and leave them in a tenth.

A million objects come to stay with them. Python would look through all of them for garbage again and again while they
come, at every full collection afterwards, and once more at the end, which alone takes a second.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from cnnClassifier.quiet import native_stderr_held


@contextmanager
def heavy_imports() -> Iterator[None]:
    """For the length of a block, import without what libraries print, and leave what comes out of the search."""
    gc.disable()
    try:
        with native_stderr_held():
            yield
    finally:
        gc.freeze()
        gc.enable()


def end_at_once() -> None:
    """Let this process end without a last search."""
    atexit.register(gc.freeze)
