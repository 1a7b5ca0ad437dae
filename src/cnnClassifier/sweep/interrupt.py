"""Ctrl+C, remembered: TensorFlow can lose a KeyboardInterrupt that meets it while it traces a function."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered_interrupts() -> Iterator[threading.Event]:
    """Gives an event that is set once Ctrl+C was pressed; KeyboardInterrupt is raised at once as ever.

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
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
