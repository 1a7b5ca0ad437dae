"""What stands for AWS Lambda: the Runtime API, which functions ask for events, and an HTTP API in front of it."""

import base64
import http.server
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

SECONDS = 60
RUNTIME_API = "/2018-06-01/runtime/"


class AwsLambda(http.server.ThreadingHTTPServer):
    """Hands out what is in `events`, one by one, and keeps `answers` and the paths that were `posted` to."""

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), Requests)
        self.events: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.posted: list[str] = []


class Requests(http.server.BaseHTTPRequestHandler):
    server: AwsLambda

    def do_GET(self) -> None:
        """The next event, when there is one."""
        event = json.dumps(self.server.events.get()).encode()
        self._reply(HTTPStatus.OK, {"Lambda-Runtime-Aws-Request-Id": "1"}, event)

    def do_POST(self) -> None:
        """A function's answer, or else a client's request, which becomes an event and gets that answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith(RUNTIME_API):
            self.server.posted.append(self.path)
            self.server.answers.put(body)
            self._reply(HTTPStatus.ACCEPTED, {}, b"")
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.events.put(http_event(base64.b64encode(body).decode(), headers, binary=True))
            answer = json.loads(self.server.answers.get(timeout=SECONDS))
            self._reply(answer["statusCode"], answer["headers"], answer["body"].encode())

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def aws_lambda(host: str = "127.0.0.1") -> Iterator[AwsLambda]:
    """A running one, at a free port."""
    with AwsLambda(host) as aws:
        threading.Thread(target=aws.serve_forever, daemon=True).start()
        yield aws
        aws.shutdown()


def http_event(body: str, headers: Mapping[str, str], method: str = "POST", binary: bool = False) -> dict:
    """An event of an HTTP API, payload format 2.0, as AWS documents it."""
    return {
        "version": "2.0",
        "routeKey": "POST /detect",
        "rawPath": "/detect",
        "rawQueryString": "",
        "headers": {**headers},
        "requestContext": {
            "accountId": "123456789012",
            "http": {"method": method, "path": "/detect", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "id=",
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": binary,
    }
