"""How requests are received: a body is kept only for who may ask, only up to the limit, and only where there is room.

Waitress receives up to 100 requests side by side, whatever the app works on.
"""

import io
from http import HTTPStatus
from weakref import WeakSet

from waitress.parser import HTTPRequestParser
from waitress.utilities import BadRequest, Error

from cnnClassifier.api_key import HEADER
from cnnClassifier.web.limits import Guard, key_in

KEY_HEADER = HEADER.upper().replace("-", "_")  # as Waitress writes it
FULL = "the uploads of others fill the memory that is set aside for them"


class TooManyUploads(Error):  # type: ignore[misc]  # noqa: N818 - Waitress' errors are no exceptions
    """More bodies at a time than this server keeps in memory."""

    code = HTTPStatus.TOO_MANY_REQUESTS.value
    reason = HTTPStatus.TOO_MANY_REQUESTS.phrase


class Unkept:
    """In the place of a body that nobody will read: it is received, so that its sender hears why, and not kept."""

    def __init__(self, length: int = 0) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """Count what came."""
        self._length += len(data)

    def getfile(self) -> io.BytesIO:
        """Nothing, as a file."""
        return io.BytesIO()

    def close(self) -> None:
        """There is nothing to let go of."""


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request. Its body counts by what has come of it, so that a sender who takes their time holds no more than that.

    Without the key, or above the largest body, it is the app that refuses: for that it needs no body.
    """

    completed: bool
    error: Error | None
    # A subclass for each server says what these are.
    guard: Guard
    largest = 0  # bytes of a body that the app reads
    limit = 0  # bytes of all bodies together
    kept: "WeakSet[Parser]"  # until Waitress lets go of the request
    refused: Error | None = None  # said once the rest has come: who is cut off while sending hears nothing

    def received(self, data: bytes) -> int:
        """Take a part of the request."""
        in_head = not self.headers_finished
        consumed: int = super().received(data)
        if not self.completed and self.headers_finished:
            if in_head:
                self._begin_body()
            else:
                self._go_on()
        if self.completed and self.refused and not self.error:
            self.error = self.refused
        if self.error:
            self.expect_continue = False  # else Waitress would ask for the body of what is refused, and wait for it
        return consumed

    def _begin_body(self) -> None:
        sent = key_in(self.headers.get(KEY_HEADER, ""), self.headers.get("AUTHORIZATION", ""))
        if not self.guard.admits(sent) or self.content_length > self.largest:
            self._let_go()
        elif self._is_room_for(self.content_length):
            self.kept.add(self)
        else:
            self._refuse()

    def _go_on(self) -> None:
        if self._between_chunks() > self.adj.max_request_header_size:
            self.error, self.completed = BadRequest("the line before a chunk, or the trailer, is too long"), True
        elif self not in self.kept:
            return
        elif len(self.body_rcv) > self.largest:  # in chunks, whose sum no head says
            self._let_go()
        elif not self._is_room_for(0):
            self._let_go()
            self.refused = TooManyUploads(FULL)

    def _between_chunks(self) -> int:
        """Bytes that Waitress keeps beside the body itself."""
        return sum(len(getattr(self.body_rcv, name, b"")) for name in ("control_line", "trailer"))

    def _is_room_for(self, more: int) -> bool:
        held: int = sum(other.body_bytes_received for other in self.kept)
        return held + more <= self.limit

    def _let_go(self) -> None:
        self.kept.discard(self)
        self.body_rcv.buf = Unkept(len(self.body_rcv))

    def _refuse(self) -> None:
        self._let_go()
        self.error = TooManyUploads(FULL)
        self.completed = True
