"""How many requests are worked on at once, how many unpack archives, how many pictures are decoded: what keeps memory
and waiting bounded.

A request is refused before its files are taken out of it, fetched, unpacked or decoded: doing that first would cost
the others, and for nothing.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cnnClassifier.cores import usable_cores
from cnnClassifier.errors import CnnClassifierError

SMOOTHING = 0.1  # of the seconds that a request takes: about the last twenty count
LONGEST_RETRY = 60


class OverloadedError(CnnClassifierError):
    """More requests than are worked on at once; `retry_after` seconds later there is likely room."""

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Admission:
    """Lets `capacity` requests in; `decoders` (default: one a core) of them decode at once, and as many unpack."""

    def __init__(self, capacity: int, decoders: int | None = None) -> None:
        self.capacity = capacity
        decoders = decoders or usable_cores()
        self._decoders = threading.Semaphore(decoders)
        self._unpackers = threading.Semaphore(decoders)
        self._lock = threading.Lock()
        self._inside = 0
        self._seconds = 0.0

    @property
    def inside(self) -> int:
        """How many requests are being worked on."""
        return self._inside

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count as one request for the length of the block; OverloadedError at once if that is one too many."""
        self._enter()
        began = time.monotonic()
        try:
            yield
        finally:
            self._leave(time.monotonic() - began)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Wait for one's turn to decode: a decoded picture may take hundreds of MB."""
        with self._decoders:
            yield

    @contextmanager
    def unpacking(self) -> Iterator[None]:
        """Wait for one's turn to unpack archives, and to hold their files: inflated, they may be hundreds of MB."""
        with self._unpackers:
            yield

    def _enter(self) -> None:
        with self._lock:
            if self._inside >= self.capacity:
                raise OverloadedError(f"{self.capacity} requests are being worked on already", self._retry_after())
            self._inside += 1

    def _leave(self, seconds: float) -> None:
        with self._lock:
            self._inside -= 1
            self._seconds += SMOOTHING * (seconds - self._seconds) if self._seconds else seconds

    def _retry_after(self) -> int:
        """Seconds until those inside are done: what one of them takes, as of late."""
        return min(LONGEST_RETRY, max(1, math.ceil(self._seconds)))
