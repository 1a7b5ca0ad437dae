"""Ctrl+C, remembered: Python and TensorFlow can lose a KeyboardInterrupt that meets them at a bad moment."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def remembered_interrupts() -> Iterator[threading.Event]:
    """Gives an event that is set once Ctrl+C was pressed; KeyboardInterrupt is raised at once as ever.

    TensorFlow loses it where it traces a function, Python where it clears away an object (a weak reference's
    callback, `__del__`). There Python would print it with its traceback; here the event is all that is left of it.
    Outside the main thread, or where somebody else handles the signal or ignores it, the event is never set.
    """
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return
    shown = sys.unraisablehook
    signal.signal(signal.SIGINT, note)
    sys.unraisablehook = _but_for_interrupts(shown)
    try:
        yield pressed
    finally:
        sys.unraisablehook = shown
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _but_for_interrupts(shown: Callable[[Any], object]) -> Callable[[Any], object]:
    """What shows an exception that cannot be raised, but for a KeyboardInterrupt."""
    return lambda lost: None if issubclass(lost.exc_type, KeyboardInterrupt) else shown(lost)
