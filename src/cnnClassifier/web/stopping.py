"""Serve until told to stop; then finish what was accepted. Waitress alone would give its threads five seconds, cancel
what waits, and write nothing more to its connections.
"""

import logging
import time
from collections.abc import Iterator

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

PAUSE = 0.2  # seconds between two looks at what is unfinished, at most
BACKLOG = 1024  # connections that may wait in the system to be taken

log = logging.getLogger(__name__)


class Stoppable:
    """A server that may be told to stop: from a signal handler, too."""

    def __init__(self, server: BaseWSGIServer, grace: float) -> None:
        self._server = server
        self._grace = grace
        self._told = False

    def stop(self) -> None:
        """Have `run` finish what was accepted and return. Returns at once."""
        if not self._told:  # a second signal may come when the pipe is closed already
            self._told = True
            self._server.pull_trigger()  # wakes the loop: a byte in a pipe, no lock

    def run(self) -> int:
        """Serve until told to stop, then finish; how many connections were cut off after `grace` seconds."""
        while not self._told:
            self._turn(self._server.adj.asyncore_loop_timeout)
        began = time.monotonic()
        self._take_nobody_new()
        while (unfinished := list(self._unfinished())) and time.monotonic() - began < self._grace:
            self._turn(PAUSE)
        if unfinished:
            log.warning("%d connections were cut off: not finished in %g s", len(unfinished), self._grace)
        log.info("stopped %.1f s after being told to", time.monotonic() - began)
        self._server.task_dispatcher.shutdown(timeout=1)
        self._server.asyncore.close_all(self._server._map)
        return len(unfinished)

    def _take_nobody_new(self) -> None:
        """Stop listening. Who has connected already and waits in the system is let in: the request may be sent."""
        server = self._server
        for _ in range(BACKLOG):
            before = len(server._map)
            server.handle_accept()
            if len(server._map) == before:
                break
        server.accepting = False
        server.asyncore.dispatcher.close(server)  # not server.close(): the threads' answers need its trigger
        self._turn(0)  # reads what the connections have brought

    def _turn(self, seconds: float) -> None:
        server = self._server
        server.asyncore.loop(timeout=seconds, map=server._map, use_poll=server.adj.asyncore_use_poll, count=1)

    def _unfinished(self) -> Iterator[HTTPChannel]:
        """Connections with a request that is received, worked on or answered; the idle ones are closed on the way."""
        for channel in list(self._server.active_channels.values()):
            if channel.requests or channel.request is not None or channel.total_outbufs_len:
                yield channel
            else:
                channel.will_close = True
