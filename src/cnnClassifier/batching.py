"""Work through many items a batch at a time, so that memory does not grow with their number."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

IN_FLIGHT = 1024  # futures at a time: keeps the queue's memory flat for 100,000 files


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
    """
    from tqdm import tqdm  # not in the serving environment, where `batches` is needed

    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(items), desc=description, unit=unit, disable=None) as progress,
    ):
        for batch in batches(items, IN_FLIGHT):
            for result in pool.map(function, batch):
                progress.update()
                yield result
