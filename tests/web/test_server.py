"""The app behind its real server, and as its own process."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests
from tiny_app import CONFIG, ROOT, app_serving, running
from tiny_model import COLOURS, coloured, noise, picture

from cnnClassifier.errors import ConfigError
from cnnClassifier.inference import Classifier
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.server import listening, make_server
from mlflow_servers import free_port


def ask(server: str, data: bytes) -> requests.Response:
    return requests.post(f"{server}/predict", files={"image": ("scan.png", data)}, timeout=30)


def test_32_clients_with_32_pictures_never_see_each_other_s_answer(classifier):
    """Batches of up to 8, so that answers could be handed to the wrong request if anything could go wrong."""
    config = CONFIG.model_copy(update={"queue": 32, "threads": 40, "batch": 8})
    pictures = [coloured((60 + number, 90, 40)) for number in range(32)]
    expected = [classifier.classify(data).probabilities for data in pictures]
    assert len({tuple(round(value, 3) for value in each.values()) for each in expected}) == 32
    start = threading.Barrier(32)

    def client(number: int) -> None:
        start.wait(60)
        for turn in range(4):
            sent = f"client-{number}-{turn}"
            files = {"image": ("scan.png", pictures[number])}
            answer = requests.post(f"{address}/predict", files=files, headers={"X-Request-ID": sent}, timeout=60)
            assert answer.json()["probabilities"] == pytest.approx(expected[number], abs=1e-5)
            assert answer.headers["X-Request-ID"] == sent

    with running(app_serving(classifier, config), config) as address, ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(client, number) for number in range(32)]:
            done.result()


class Held(Classifier):
    """A model that waits, as one does that is busy."""

    go = threading.Event()

    def classify_batch(self, batch, crowded=False):
        assert self.go.wait(60)
        return super().classify_batch(batch, crowded)


def test_too_much_is_refused_at_once_and_what_was_accepted_is_answered(classifier):
    config = CONFIG.model_copy(update={"queue": 2, "threads": 4, "batch": 1})
    app = app_serving(Held(**vars(classifier)), config)
    with running(app, config) as address, ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(ask, address, picture("normal")) for _ in range(2)]
        figures = wait_for(lambda: requests.get(f"{address}/metrics", timeout=30).text, "requests_in_work 2.0")
        assert "cnnclassifier_requests_in_work 2.0" in figures
        for _ in range(5):
            refused = ask(address, picture())
            assert (refused.status_code, refused.headers["Content-Type"]) == (429, "application/problem+json")
            assert refused.json()["type"] == "urn:cnnclassifier:problem:overloaded"
            assert int(refused.headers["Retry-After"]) >= 1
        assert requests.get(f"{address}/health", timeout=30).ok
        Held.go.set()
        assert [answer.result().json()["label"] for answer in accepted] == ["normal", "normal"]
        assert ask(address, picture()).status_code == 200
    app.extensions["batcher"].close()


def wait_for(get, text: str, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while text not in (found := get()):
        assert time.monotonic() < deadline, f"no {text} in {found}"
        time.sleep(0.01)
    return found


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


def test_simultaneous_uploads_never_mix(server):
    labels = list(COLOURS) * 16
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda label: ask(server, picture(label)).json()["label"], labels)
    assert list(answers) == labels


@pytest.fixture(scope="module")
def opened_for_writing() -> list[str]:
    """Every file this process, the server's threads included, opens for writing from now on."""
    names: list[str] = []

    def watch(event: str, arguments: tuple) -> None:
        if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            names.append(str(arguments[0]))

    sys.addaudithook(watch)
    return names


def test_the_watch_sees_an_unnamed_temporary_file(opened_for_writing):
    opened_for_writing.clear()
    with tempfile.TemporaryFile():
        pass
    assert opened_for_writing


@pytest.mark.parametrize("side", [100, 650])
def test_no_upload_touches_the_disk(server, opened_for_writing, side):
    data = noise(side)  # 650: 1.3 MB, where Werkzeug and Waitress would both spool to a file
    opened_for_writing.clear()
    assert ask(server, data).status_code == 200
    body = {"image": b64encode(data).decode()}
    assert requests.post(f"{server}/predict", json=body, timeout=30).status_code == 200
    assert opened_for_writing == []


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


def test_a_taken_port_is_one_line(app):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = CONFIG.model_copy(update={"port": other.getsockname()[1]})
        with pytest.raises(ConfigError, match=rf"port {taken.port}.*set HOST or PORT"):
            make_server(app, taken)


def test_the_environment_says_where_to_listen():
    assert listening(CONFIG, {"HOST": "10.0.0.1", "PORT": "9000"}) == CONFIG.model_copy(
        update={"host": "10.0.0.1", "port": 9000}
    )
    assert listening(CONFIG, {}) == CONFIG
    with pytest.raises(ConfigError, match="PORT in the environment"):
        listening(CONFIG, {"PORT": "http"})


def test_the_environment_says_what_is_logged():
    assert listening(CONFIG, {"CNNCLASSIFIER_LOG_LEVEL": "Warning"}).log_level == "warning"
    assert listening(CONFIG, {"CNNCLASSIFIER_LOG_LEVEL": "critical"}).log_level == "critical"
    with pytest.raises(ConfigError, match=r"CNNCLASSIFIER_LOG_LEVEL in the environment: .*Received: 'loud'"):
        listening(CONFIG, {"CNNCLASSIFIER_LOG_LEVEL": "loud"})


def wait_until_ready(address: str, seconds: float = 20) -> requests.Response:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            response = requests.get(f"{address}/ready", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
            continue
        if response.ok:
            return response
        time.sleep(0.1)
    raise TimeoutError(f"{address} is not ready after {seconds} s")


def test_python_app_py_serves_a_package_folder_and_stops_when_told(package):
    port = free_port()
    environment = os.environ | {
        "CNNCLASSIFIER_MODEL_DIR": str(package),
        "PORT": str(port),
        "HOST": "127.0.0.1",
    }
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        ready = wait_until_ready(f"http://127.0.0.1:{port}").json()
        assert ready["model"] == "colours"
        assert len(ready["version"]) == 12
        process.send_signal(signal.SIGHUP)  # look for a champion: a folder has none, and the server goes on
        assert ask(f"http://127.0.0.1:{port}", picture("normal")).json()["label"] == "normal"
    finally:
        process.terminate()
    written, logged = process.communicate(timeout=30)
    assert process.returncode == 0
    assert written.decode() == f"Serving on http://127.0.0.1:{port} (Ctrl+C stops)\n"
    lines = [json.loads(line) for line in logged.decode().splitlines()]  # no terminal: JSON, all of it
    (asked,) = [line for line in lines if line.get("route") == "/predict"]
    assert (asked["status"], asked["model"], asked["state"]) == (200, "colours", "answer")


def test_numpy_leaves_the_cores_to_the_network(package):
    told = "import threadpoolctl; print([each['num_threads'] for each in threadpoolctl.threadpool_info()])"
    environment = os.environ | {"CNNCLASSIFIER_MODEL_DIR": str(package)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    result = subprocess.run(
        [sys.executable, "-c", f"import app; {told}"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    found = json.loads(result.stdout)
    assert found
    assert set(found) == {1}


def test_python_app_py_says_in_one_line_what_is_wrong():
    result = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {"PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("app.py: PORT in the environment")
    assert result.stderr.count("\n") == 1


HEAVY = ("tensorflow", "keras", "mlflow", "pandas", "sklearn")


def test_any_wsgi_server_finds_the_app_and_nothing_heavy_is_imported(package):
    program = f"""
import sys, time, app
while app.app.test_client().get("/ready").status_code != 200:
    time.sleep(0.05)
print([name for name in {HEAVY} if name in sys.modules])
"""
    environment = os.environ | {"CNNCLASSIFIER_MODEL_DIR": str(package)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
