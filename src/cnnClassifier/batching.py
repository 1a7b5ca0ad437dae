"""Work through many items a batch at a time, so that memory does not grow with their number, and say how far it is."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from cnnClassifier.cores import usable_cores

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

IN_FLIGHT = 1024  # futures at a time: keeps the queue's memory flat for 100,000 files
EVERY = 15.0  # seconds between two lines of the log

log = logging.getLogger(__name__)


def batches(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    """Lists of at most `size` items."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def map_in_threads(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    description: str,
    unit: str = "image",
    workers: int | None = None,
) -> Iterator[ResultT]:
    """The function's result for each item, in the items' order, with progress.

    Threads keep all cores busy where the work releases the interpreter's lock, as decoding, hashing and aligning do.
    No more of them than cores: each may hold a picture of 89 million pixels, and more are no faster.
    """
    with ThreadPoolExecutor(workers or usable_cores()) as pool, progress(len(items), description, unit) as done:
        for batch in batches(items, IN_FLIGHT):
            for result in pool.map(function, batch):
                done(1)
                yield result


@contextmanager
def progress(total: int, description: str, unit: str = "image") -> Iterator[Callable[[int], object]]:
    """Give what is told how many items were done: a bar on a terminal, elsewhere a line of the log now and then."""
    from tqdm import tqdm  # not in the serving environment, where `batches` is needed

    with tqdm(total=total, desc=description, unit=unit, disable=None, smoothing=0.05) as bar:
        yield _Lines(total, description, unit).update if bar.disable else bar.update


def followed(items: Sequence[ItemT], description: str, unit: str = "image") -> Iterator[ItemT]:
    """The items, with progress."""
    with progress(len(items), description, unit) as done:
        for item in items:
            yield item
            done(1)


class _Lines:
    """Progress for whoever reads a log, as of nohup or cron; what takes less than EVERY seconds says nothing."""

    def __init__(self, total: int, description: str, unit: str) -> None:
        self._total, self._description, self._unit = total, description, unit
        self._done = 0
        self._due = time.monotonic() + EVERY

    def update(self, number: int) -> None:
        self._done += number
        if time.monotonic() >= self._due:
            log.info("%s: %d of %d %ss", self._description, self._done, self._total, self._unit)
            self._due = time.monotonic() + EVERY
