"""A Kaggle of our own on loopback, where kagglehub's TEST environment looks for it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 7777  # fixed in kagglesdk for KAGGLE_API_ENVIRONMENT=TEST


@dataclass
class Kaggle:
    """What it answers every download with, and the bodies of the requests it got."""

    archive: bytes
    status: int = 200
    requests: list[dict[str, object]] = field(default_factory=list)


@contextmanager
def serve_kaggle(archive: bytes, status: int = 200) -> Iterator[Kaggle]:
    """Answer requests for any data set with one archive, or with an error status."""
    kaggle = Kaggle(archive, status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kaggle.requests.append(json.loads(body))
            self.send_response(kaggle.status)
            self.send_header("Content-Length", str(len(kaggle.archive)))
            self.end_headers()
            self.wfile.write(kaggle.archive)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("localhost", PORT), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield kaggle
        finally:
            server.shutdown()
            thread.join()
