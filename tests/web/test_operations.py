"""A server that is told to stop or to read its settings again: the real process, real sockets, requests in flight."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
import yaml
from PIL import Image
from tiny_app import CONFIG, ROOT
from tiny_model import picture

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.web.admission import Admission
from cnnClassifier.web.batcher import Batcher
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.reloading import Adjustable
from imports import PACKAGE
from mlflow_servers import free_port
from served_app import wait_until_ready
from waiting import wait_until

APP = ("app.py",)
KEY, OTHER_KEY = "sesame-open-sesame", "another-open-sesame"
CLIENTS = 12


class Server:
    """`python app.py`, or another command, in a project folder of its own."""

    def __init__(self, root: Path, package: Path, command: tuple[str, ...] = APP, **environment: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        given = {"CNNCLASSIFIER_MODEL_DIR": str(package), "PORT": str(self.port), "HOST": "127.0.0.1", **environment}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **given},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> list[dict]:
        """What it logged."""
        if self.process.poll() is None:
            self.process.terminate()
        _, logged = self.process.communicate(timeout=60)
        return [json.loads(line) for line in logged.splitlines()]


@contextmanager
def served(root: Path, package: Path, command: tuple[str, ...] = APP, **environment: str) -> Iterator[Server]:
    server = Server(root, package, command, **environment)
    try:
        wait_until_ready(server.address, server.process, seconds=60)
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of what the app reads beside the package."""
    shutil.copy(ROOT / "app.py", tmp_path / "app.py")
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    for name in ("config", "templates", "static"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def change(project: Path, **serving: object) -> None:
    """Write other values into the project's config.yaml."""
    file = project / "config/config.yaml"
    content = yaml.safe_load(file.read_text())
    content["serving"] |= serving
    file.write_text(yaml.safe_dump(content))


def large_picture() -> bytes:
    """A picture that takes a while to decode and resize, and few bytes."""
    encoded = io.BytesIO()
    Image.fromarray(np.full((2500, 2500), 90, np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()


def request_of(data: bytes) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def answer_on(connection: socket.socket) -> tuple[int, dict]:
    """Status and body of what comes on a connection until it is closed."""
    connection.settimeout(60)
    received = b""
    while part := connection.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_what_was_accepted_is_finished_after_sigterm(project, package, tmp_path):
    log_file = tmp_path / "log.db"
    change(project, grace_seconds=60, deadline_seconds=60)  # however busy the machine is
    with served(project, package, CNNCLASSIFIER_PREDICTION_LOG=str(log_file)) as server:
        sent = request_of(large_picture())
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CLIENTS)]
        for connection in connections:
            connection.sendall(sent)
        slow = socket.create_connection(("127.0.0.1", server.port))
        whole = request_of(picture())
        slow.sendall(whole[:-50])
        time.sleep(0.3)  # so that some are being worked on, some wait, and one is not received yet
        server.process.send_signal(signal.SIGTERM)
        _wait_until_closed(server.port)
        slow.sendall(whole[-50:])
        answers = [answer_on(connection) for connection in [*connections, slow]]
        logged = server.stop()
    assert [status for status, _ in answers] == [200] * (CLIENTS + 1), answers
    assert answers[-1][1]["label"] == "adenocarcinoma"
    assert server.process.returncode == 0
    assert [line["message"] for line in logged if line["message"].startswith("stopped")]
    assert not [line for line in logged if "cut off" in line["message"]]
    with closing(read_log(log_file)) as log:
        assert log.execute("SELECT count(*) FROM predictions").fetchone() == (CLIENTS + 1,)  # it is finished, too


def test_told_to_stop_again_and_again_it_ends_as_if_told_once(project, package):
    with served(project, package) as server:
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        assert server.process.returncode == 0


def _wait_until_closed(port: int) -> None:
    """New connections are refused soon after the signal; one that is being made just then is reset by the system."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return
        time.sleep(0.05)
    raise TimeoutError("the server still takes connections")


def test_a_client_that_never_finishes_is_cut_off(project, package):
    change(project, grace_seconds=0.5)
    with served(project, package) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(request_of(picture())[:-50])
            time.sleep(0.3)
            logged = server.stop()
        assert server.process.returncode == 0
    assert "1 connections were cut off: not finished in 0.5 s" in [line["message"] for line in logged]


def test_idle_connections_do_not_hold_it_up(project, package):
    with served(project, package) as server:
        with requests.Session() as session:
            assert session.get(f"{server.address}/health", timeout=30).ok
            began = time.monotonic()
            server.stop()
        assert time.monotonic() - began < 15
        assert server.process.returncode == 0


@pytest.mark.parametrize("command", [APP, (str(ROOT / "main.py"), "serve")], ids=["app.py", "serve"])
def test_sighup_reads_settings_and_key_again_and_a_mistake_changes_nothing(project, package, command):
    (project / ".env").write_text(f"CNNCLASSIFIER_API_KEY={KEY}\n")
    change(project, log_level="info", logs="json")
    with served(project, package, command) as server:

        def status(key: str) -> int:
            return requests.get(f"{server.address}/metrics", headers={"X-API-Key": key}, timeout=30).status_code

        assert (status(KEY), status(OTHER_KEY)) == (200, 401)
        (project / ".env").write_text(f"CNNCLASSIFIER_API_KEY={OTHER_KEY}\n")
        change(project, queue=4, max_upload_mb=8)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status(OTHER_KEY) == 200, seconds=20, pause=0.1)
        assert status(KEY) == 401
        change(project, queue="many")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert status(OTHER_KEY) == 200
        (project / ".env").write_text("")
        change(project, queue=4)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert status("") == 401
        lines = [line["message"] for line in server.stop()]
    (taken,) = [line for line in lines if line.startswith("settings read again")]
    assert taken == "settings read again: queue 16 -> 4, another API key; only after a restart: max_upload_mb 16 -> 8"
    kept = [line for line in lines if line.startswith("the settings stay as they were")]
    assert len(kept) == 2
    assert "serving.queue" in kept[0]
    assert "the API key is gone" in kept[1]
    assert KEY not in " ".join(lines)


def test_a_level_of_the_log_holds_from_the_start_and_what_changes_it_is_said_either_way(project, package):
    (project / ".env").write_text("CNNCLASSIFIER_LOG_LEVEL=warning\n")
    with served(project, package) as server:

        def reload(level: str) -> None:
            (project / ".env").write_text(f"CNNCLASSIFIER_LOG_LEVEL={level}\n")
            server.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            requests.get(f"{server.address}/health", timeout=30)

        reload("info")
        reload("warning")
        lines = [line["message"].partition(" in ")[0] for line in server.stop()]
    assert lines == [
        "settings read again: log_level warning -> info",
        "GET /health 200",
        "settings read again: log_level info -> warning",
    ]


@pytest.fixture
def adjustable() -> Adjustable:
    return Adjustable(CONFIG, Admission(CONFIG.queue), Batcher(1, 32, 20.0), Guard(KEY), 2)


def test_settings_reach_the_running_parts(adjustable):
    said = adjustable.take(CONFIG.model_copy(update={"queue": 3, "deadline_seconds": 5.0}), Guard(OTHER_KEY))
    assert said == "settings read again: queue 16 -> 3, deadline_seconds 20.0 -> 5.0, another API key"
    assert (adjustable.admission.capacity, adjustable.batcher.queue_size, adjustable.batcher.deadline) == (3, 6, 5.0)
    assert adjustable.guard.key == OTHER_KEY
    assert adjustable.take(adjustable.config, Guard(OTHER_KEY)) == "settings read again: nothing changed"


@pytest.mark.parametrize(
    ("config", "key", "why"),
    [
        (CONFIG.model_copy(update={"queue": 30, "threads": 40}), KEY, "24 threads run"),
        (CONFIG.model_copy(update={"queue": 2}), None, "the API key is gone"),
    ],
)
def test_what_may_not_change_changes_nothing(adjustable, config: ServingConfig, key, why):
    with pytest.raises(ConfigError, match=why):
        adjustable.take(config, Guard(key))
    assert adjustable.config == CONFIG
    assert (adjustable.admission.capacity, adjustable.guard.key) == (CONFIG.queue, KEY)
