"""What the server refuses before the app has a picture: uploads that would fill the memory, broken and endless HTTP."""

import json
import logging
import socket
from contextlib import ExitStack

import pytest
import requests
from server_client import ask, wait_for
from tiny_app import CONFIG, ROOT, app_serving, running
from tiny_model import noise, picture

from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import Guard

ROOMY = CONFIG.model_copy(update={"max_upload_mb": 3, "upload_memory_mb": 6})
START = b"POST /predict HTTP/1.1\r\nConnection: close\r\n"
HEAD = START + f"Content-Length: {3 * 2**20}\r\n".encode()
CHUNKED = START + b"Transfer-Encoding: chunked\r\n"


def test_uploads_that_would_fill_the_memory_are_refused_before_they_are_received(classifier):
    with running(app_serving(classifier, ROOMY), ROOMY) as address, ExitStack() as open_ones:
        for _ in range(2):
            open_ones.enter_context(_sending(address, HEAD + b"\r\n" + bytes(2 * 2**20)))
        refused = wait_for(lambda: _answer_to(address, HEAD + b"\r\n", 2), "HTTP/1.1 429")  # once these bytes are read
        assert "Retry-After: 2" in refused
        assert "application/problem+json" in refused
        assert "HTTP/1.1 429" in _answer_to(address, HEAD + b"Expect: 100-continue\r\n\r\n")  # nor asked for it
        assert ask(address, picture()).status_code == 200  # a small one still fits
        open_ones.close()
        wait_for(lambda: _answer_to(address, HEAD + b"\r\n" + bytes(3 * 2**20)), "HTTP/1.1 415")  # and they are gone


def test_who_fills_the_memory_while_others_send_is_refused_then_and_what_came_is_let_go(classifier):
    with running(app_serving(classifier, ROOMY), ROOMY) as address, ExitStack() as open_ones:
        connections = [open_ones.enter_context(_sending(address, HEAD + b"\r\n")) for _ in range(3)]
        _answer_to(address, HEAD + b"\r\n", 2)  # by now these heads are read, and there is room for each
        for connection in connections:
            connection.sendall(bytes(3 * 2**20 - 100))
        answers = []
        for connection in reversed(connections):  # what was sent before the last of them has been read when it is
            connection.sendall(bytes(100))
            answers.append(connection.recv(4096)[:12])
        assert sorted(answers) == [b"HTTP/1.1 415", b"HTTP/1.1 415", b"HTTP/1.1 429"]


TOO_LONG = 2**18 + 1  # to the byte: what is left unread when a server closes may cost the sender the answer


@pytest.mark.parametrize(
    "rest",
    [b"1;a=".ljust(TOO_LONG, b"x"), b"0\r\n" + (b"a: b\r\n" * TOO_LONG)[:TOO_LONG]],
    ids=["chunk", "trailer"],
)
def test_what_stands_between_chunks_may_not_be_long(classifier, rest):
    with running(app_serving(classifier, ROOMY), ROOMY) as address:
        assert _answer_to(address, CHUNKED + b"\r\n" + rest).startswith("HTTP/1.1 400")


def test_heads_hold_no_memory_for_bodies_that_do_not_come(classifier):
    with running(app_serving(classifier, ROOMY), ROOMY) as address, ExitStack() as open_ones:
        for _ in range(8):
            open_ones.enter_context(_sending(address, HEAD + b"\r\n" + bytes(10)))
        _answer_to(address, HEAD + b"\r\n", 2)  # by now these heads are read
        assert ask(address, noise(800)).status_code == 200


@pytest.mark.parametrize(
    ("head", "body"),
    [(HEAD, bytes(3 * 2**20)), (CHUNKED, (b"100000\r\n" + bytes(2**20) + b"\r\n") * 3 + b"0\r\n\r\n")],
    ids=["whole", "chunked"],
)
def test_without_the_key_a_body_is_received_and_not_kept_and_the_app_says_why(classifier, head, body):
    models = ModelHolder(lambda: classifier)
    models.load_once()
    app = create_app(Models(models), ROOMY, ROOT, Guard("a key for the tests"))
    with running(app, ROOMY) as address, ExitStack() as open_ones:
        for _ in range(4):
            open_ones.enter_context(_sending(address, head + b"\r\n" + body[:-100]))
        refused = _answer_to(address, head + b"X-API-Key: a wrong one for them\r\n\r\n" + body)
        assert refused.startswith("HTTP/1.1 401")
        files, key = {"image": ("scan.png", noise(800))}, {"X-API-Key": "a key for the tests"}
        assert requests.post(f"{address}/predict", files=files, headers=key, timeout=30).status_code == 200


def test_a_body_in_chunks_above_the_limit_is_refused_by_the_app(server):
    body = (b"100000\r\n" + bytes(2**20) + b"\r\n") * 3 + b"0\r\n\r\n"
    refused = _answer_to(server, CHUNKED + b"Content-Type: image/png\r\n\r\n" + body)
    assert refused.startswith("HTTP/1.1 413")
    assert "larger than the 2 MB" in refused


def _sending(address: str, data: bytes) -> socket.socket:
    """A connection on which this much is sent."""
    connection = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    connection.settimeout(30)
    connection.sendall(data)
    return connection


def _answer_to(address: str, data: bytes, seconds: float = 30) -> str:
    """What a server says to a request, or a part of it; nothing if it still waits for the rest after this long."""
    try:
        with _sending(address, data) as connection:
            connection.settimeout(seconds)
            return connection.makefile("rb").read().decode()
    except OSError:
        return ""


REFUSED_BY_WAITRESS = {
    413: (b"POST / HTTP/1.1\r\nContent-Length: 6000000\r\nX-Request-ID: ward-7\r\n\r\n", "POST", "the 2 MB this"),
    400: (b"PUT / HTTP/1.1\r\nX-Request-ID: ward-7\r\nContent-Length: many\r\n\r\n", "PUT", "Content-Length"),
    501: (b"POST / HTTP/1.1\r\nX-Request-ID: ward-7\r\nTransfer-Encoding: x\r\n\r\n", "POST", "Transfer-Encoding"),
    431: (b"POST / HTTP/1.1\r\nX: ".ljust(TOO_LONG - 1, b"x"), "unknown", "max_header"),
}


@pytest.mark.parametrize("status", REFUSED_BY_WAITRESS)
def test_what_waitress_refuses_is_answered_counted_and_logged_as_the_app_s_own_refusals_are(classifier, caplog, status):
    sent, method, why = REFUSED_BY_WAITRESS[status]
    with running(app_serving(classifier)) as address, caplog.at_level(logging.INFO, "cnnClassifier"):
        head, _, body = _answer_to(address, sent).partition("\r\n\r\n")
        figures = requests.get(f"{address}/metrics", timeout=30).text
    assert head.startswith(f"HTTP/1.1 {status} ") or status == 431
    assert why in json.loads(body)["detail"]
    assert {"X-Content-Type-Options: nosniff", "Cache-Control: no-store"} <= set(head.split("\r\n"))
    assert f'cnnclassifier_responses_total{{route="unmatched",status="{status}"}} 1.0' in figures
    (noted,) = [record.fields for record in caplog.records if record.fields.get("status") == status]
    assert f"X-Request-Id: {noted['request_id']}" in head
    assert noted["request_id"] == "ward-7" or status == 431
    assert (noted["method"], noted["route"]) == (method, "unmatched")


@pytest.mark.parametrize("megabytes", [3, 6])
def test_a_body_above_the_limit_is_a_problem_document_whoever_refuses_it(server, megabytes):
    response = ask(server, bytes(megabytes * 2**20))
    assert (response.status_code, response.headers["Content-Type"]) == (413, "application/problem+json")
    assert response.json()["status"] == 413


def test_broken_http_is_a_problem_document_too(server):
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nbroken header\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b"application/problem+json" in answer
