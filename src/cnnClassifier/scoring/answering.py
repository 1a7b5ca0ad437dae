"""Parts answered one after the other: files are read and decoded in threads some way ahead of the network.

Each core makes passes of its own: none waits for another at the end of a layer.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from typing import TypeVar

import numpy as np

from cnnClassifier.archives import is_archive, read_archive
from cnnClassifier.batching import batches
from cnnClassifier.errors import ArchiveError, DataError, ImageError
from cnnClassifier.inference import Classifier
from cnnClassifier.preprocessing import Pixels, preprocess
from cnnClassifier.scoring.addresses import fetch
from cnnClassifier.scoring.plan import Part
from cnnClassifier.scoring.rows import Row, answered, as_parquet, schema_of, unread

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Pace:
    """Images in one pass, threads that read and decode, the pixels that a picture may have, and passes at a time."""

    batch: int
    readers: int
    most_pixels: int
    cores: int = 1

    @property
    def ahead(self) -> int:
        """How many images are read, and how many decoded, before they are needed: a batch a core and what is begun."""
        return self.cores * self.batch + 2 * self.readers


@dataclass(frozen=True)
class Answered:
    """A part's Parquet file, and how many rows it has."""

    number: int
    parquet: bytes
    rows: int


@dataclass(frozen=True)
class File:
    """A file, or one of an archive's, of the part `part`: its bytes, or why there are none."""

    part: int
    path: str
    data: bytes | None = None
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Picture:
    """A file's input for the network, or why there is none."""

    part: int
    path: str
    sha256: str | None
    seconds: float
    pixels: Pixels | None = None
    error: str | None = None


def answer_parts(
    classifier: Classifier, parts: Iterable[Part], pace: Pace, progress: Callable[[int], object] = bool
) -> Iterator[Answered]:
    """Each part's answers, in order; `progress` is called with the number of images whenever some are answered.

    `classifier` is to be loaded for one core. A part's images go through the network in the same batches wherever that
    happens. At most `Pace.ahead` files and as many decoded pictures are in memory beside a part's answers.
    """
    schema = schema_of(classifier.spec.classes)
    with ThreadPoolExecutor(pace.readers) as pool, ThreadPoolExecutor(pace.cores) as cores:
        named = ((part.number, address) for part in parts for address in part.addresses)
        files = chain.from_iterable(map(_open, _ahead(pool, _fetch, named, pace.ahead)))
        pictures = _ahead(pool, partial(_decode, classifier, pace.most_pixels), files, pace.ahead)
        for number, own in groupby(pictures, key=lambda picture: picture.part):
            rows: list[Row] = []
            for answers in _ahead(cores, partial(_answer, classifier), batches(own, pace.batch), pace.cores):
                rows += answers
                progress(len(answers))
            yield Answered(number, as_parquet(rows, schema), len(rows))


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT], depth: int
) -> Iterator[ResultT]:
    """The function's results in the items' order, at most `depth` of them begun before they are asked for."""
    begun: deque[Future[ResultT]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > depth:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:  # somebody stopped asking
            future.cancel()


def _fetch(named: tuple[int, str]) -> File:
    part, address = named
    began = time.perf_counter()
    try:
        return File(part, address, fetch(address), seconds=time.perf_counter() - began)
    except DataError as error:
        return File(part, address, error=str(error), seconds=time.perf_counter() - began)


def _open(file: File) -> Iterator[File]:
    """The files of an archive; any other file itself."""
    if file.data is None or not is_archive(file.data):
        yield file
        return
    try:
        for member in read_archive(file.data):
            yield File(file.part, f"{file.path}/{member.name}", member.data, member.error)
    except ArchiveError as error:
        yield File(file.part, file.path, error=str(error))


def _decode(classifier: Classifier, most_pixels: int, file: File) -> Picture:
    began = time.perf_counter()
    if file.data is None:
        return Picture(file.part, file.path, None, file.seconds, error=file.error or "cannot be read")
    sha256 = hashlib.sha256(file.data).hexdigest()
    made: Pixels | None = None
    error = None
    try:
        made = preprocess(file.data, classifier.spec.preprocessing, most_pixels)
    except ImageError as failed:
        error = str(failed)
    return Picture(file.part, file.path, sha256, file.seconds + time.perf_counter() - began, made, error)


def _answer(classifier: Classifier, batch: Sequence[Picture]) -> list[Row]:
    pixels = [picture.pixels for picture in batch if picture.pixels is not None]
    began = time.perf_counter()
    found = iter(classifier.classify_batch(np.stack(pixels)) if pixels else [])
    share = (time.perf_counter() - began) / max(1, len(pixels))
    rows = []
    for picture in batch:
        if picture.pixels is None:
            name, version = classifier.name, classifier.version
            row = unread(picture.path, picture.sha256, picture.error or "", name, version, picture.seconds)
        else:
            row = answered(picture.path, picture.sha256 or "", next(found), picture.seconds + share)
        rows.append(row)
    return rows
