"""What many threads ask goes through the network as the cores serve it best.

Nothing waits for company. A lone image goes at once, on all cores. Where as many wait as there are cores, each core
makes a pass of its own: nothing stands idle while a layer's last block is computed or a picture is decoded.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.cores import usable_cores
from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.inference import Classifier, Prediction
from cnnClassifier.web.admission import OverloadedError

T = TypeVar("T")
Image = NDArray[np.float32]
Work = Callable[[NDArray[np.float32], bool], Sequence[T]]  # (N images, crowded): N answers, on one core if crowded


class TooLateError(CnnClassifierError):
    """The request waited so long that nobody is likely to wait for its answer any more."""


class Watch(Protocol):
    """Who wants to know what the batcher does."""

    def waited(self, seconds: float) -> None:
        """An image waited this long for the network."""

    def ran(self, images: int, seconds: float) -> None:
        """The network worked this long on so many images."""


@dataclass(frozen=True)
class Job:
    """One image on its way through the network."""

    work: Work[Any]
    image: Image
    answer: Future[Any] = field(default_factory=Future)
    accepted: float = field(default_factory=time.monotonic)


class Batcher:
    """Takes single images from many threads, and gives them to the network one by one or together.

    At most `max_batch` go through it in one pass and at most `queue_size` wait; one that waited longer than
    `deadline` seconds is dropped. Only images for the same work (a method of the same model) share a pass. As many
    passes as there are `cores` are made at once, each on one, where so many wait; otherwise one after the other, on
    all. The workers start with the first image, so that making a Batcher costs nothing, also before a fork.
    """

    def __init__(
        self,
        max_batch: int,
        queue_size: int,
        deadline: float,
        watch: Watch | None = None,
        cores: int = usable_cores(),
    ) -> None:
        self.max_batch = max_batch
        self.queue_size = queue_size
        self.deadline = deadline
        self._watch = watch
        self._cores = cores
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._passes = 0  # under way
        self._alone = False  # whether the one under way has all cores
        self._closed = False

    def __len__(self) -> int:
        """How many images wait."""
        return len(self._waiting)

    def predict(self, classifier: Classifier, image: Image) -> Prediction:
        """The prediction for one image as `prepare` gives it, shape (size, size, 3).

        OverloadedError if the queue is full, TooLateError after `deadline`; otherwise what `classify_batch` raises.
        """
        return self.run(classifier.classify_batch, image)

    def run(self, work: Work[T], image: Image) -> T:
        """The same for any `work` that takes N images, and whether it is to keep to one core, and gives N answers."""
        answer: T = self._submit(work, image).result()
        return answer

    def close(self) -> None:
        """Answer what was accepted, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _submit(self, work: Work[T], image: Image) -> Future[T]:
        job = Job(work, image)
        with self._changed:
            if self._closed:
                raise OverloadedError("the server is stopping", retry_after=2)
            if len(self._waiting) >= self.queue_size:
                raise OverloadedError(f"{self.queue_size} images are waiting already", retry_after=1)
            self._waiting.append(job)
            if not self._workers:
                self._start()
            self._changed.notify()
        return job.answer

    def _start(self) -> None:
        self._workers = [
            threading.Thread(target=self._serve, name=f"network-{core}", daemon=True) for core in range(self._cores)
        ]
        for worker in self._workers:
            worker.start()

    def _serve(self) -> None:
        # One call a batch: a name here would keep the last batch, and with it a replaced model, until the next one.
        while self._serve_batch():
            pass

    def _serve_batch(self) -> bool:
        jobs, crowded = self._next_batch()
        if jobs:
            try:
                self._answer(jobs, crowded)
            finally:
                self._done()
        return bool(jobs)

    def _next_batch(self) -> tuple[list[Job], bool]:
        """What is to share a pass, and whether it is one of several at once; nothing once closed and done.

        It is what waits for the same work as the image that has waited longest.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and (self._waiting or self._closed))
            if not self._waiting:
                return [], False
            crowded = self._cores > 1 and (self._passes > 0 or len(self._waiting) >= self._cores)
            work = self._waiting[0].work
            same = [job for job in self._waiting if job.work == work]
            taken = same[: min(self.max_batch, ceil(len(same) / self._cores)) if crowded else self.max_batch]
            chosen = set(map(id, taken))
            self._waiting = deque(job for job in self._waiting if id(job) not in chosen)
            self._passes, self._alone = self._passes + 1, not crowded
            return taken, crowded

    def _done(self) -> None:
        with self._changed:
            self._passes, self._alone = self._passes - 1, False
            self._changed.notify_all()

    def _answer(self, jobs: list[Job], crowded: bool) -> None:
        began = time.monotonic()
        live = [job for job in jobs if began - job.accepted <= self.deadline]
        for job in jobs:
            if began - job.accepted > self.deadline:
                job.answer.set_exception(TooLateError(f"the network was busy for more than {self.deadline:g} s"))
        if not live:
            return
        try:
            results = list(live[0].work(np.stack([job.image for job in live]), crowded))
            answers = list(zip(live, results, strict=True))
        except Exception as error:  # noqa: BLE001 - not swallowed: each caller raises it in its own thread
            for job in live:
                job.answer.set_exception(error)
            return
        self._tell(live, began)
        for job, result in answers:
            job.answer.set_result(result)

    def _tell(self, jobs: list[Job], began: float) -> None:
        if self._watch is None:
            return
        self._watch.ran(len(jobs), time.monotonic() - began)
        for job in jobs:
            self._watch.waited(began - job.accepted)
