"""The app behind its real server: many clients at once, nothing on the disk, and where it listens."""

import os
import socket
import sys
import tempfile
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from server_client import ask, wait_for
from tiny_app import CONFIG, app_serving, running
from tiny_model import COLOURS, coloured, noise, picture

from cnnClassifier.errors import ConfigError
from cnnClassifier.inference import Classifier
from cnnClassifier.web.server import listening, make_server


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
