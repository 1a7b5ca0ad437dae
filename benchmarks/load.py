"""A small load generator: threads with persistent connections, each asking again as soon as it has its answer."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

BOUNDARY = "a-boundary-that-no-image-holds"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass
class Outcome:
    """What came of a load: seconds of the accepted requests, how often each status was answered, how many cut off."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    cut_off: int = 0
    elapsed: float = 0.0

    def quantile(self, share: float) -> float:
        """Of the accepted requests' seconds, in milliseconds."""
        return float(1000 * np.quantile(self.seconds, share)) if self.seconds else float("nan")

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return len(self.seconds) / self.elapsed


def form(image: bytes) -> bytes:
    """A multipart body with the image in the field `image`."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="scan.png"\r\n\r\n'
    return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()


def load(
    port: int,
    bodies: Sequence[bytes],
    clients: int,
    seconds: float,
    headers: dict[str, str] = FORM,
    polite: bool = True,
) -> Outcome:
    """Ask `POST /predict` for so long; a polite client that is refused waits for as long as it is told to."""
    outcome, lock, end = Outcome(), threading.Lock(), time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        turn = number
        while time.perf_counter() < end:
            began = time.perf_counter()
            try:
                connection.request("POST", "/predict", bodies[turn % len(bodies)], headers)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):  # refused before the body was read: gunicorn hangs up
                connection.close()
                with lock:
                    outcome.cut_off += 1
                continue
            took, turn = time.perf_counter() - began, turn + 1
            retry = response.getheader("Retry-After")
            with lock:
                outcome.statuses[response.status] += 1
                if response.status == 200:
                    outcome.seconds.append(took)
                elif retry is None:
                    outcome.without_retry_after += 1
            if response.status != 200 and polite:
                time.sleep(min(float(retry or 1), max(0.0, end - time.perf_counter())))
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.elapsed = time.perf_counter() - began
    return outcome
