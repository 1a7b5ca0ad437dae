"""The app behind its real server, and as its own process."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tiny_app import CONFIG, ROOT
from tiny_model import COLOURS, noise, picture

from cnnClassifier.errors import ConfigError
from cnnClassifier.web.server import listening, make_server
from mlflow_servers import free_port


def ask(server: str, data: bytes) -> requests.Response:
    return requests.post(f"{server}/predict", files={"image": ("scan.png", data)}, timeout=30)


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
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = wait_until_ready(f"http://127.0.0.1:{port}").json()
        assert ready["model"] == "colours"
        assert len(ready["version"]) == 12
        assert ask(f"http://127.0.0.1:{port}", picture("normal")).json()["label"] == "normal"
    finally:
        process.terminate()
    assert process.wait(timeout=10) == 0
    assert process.communicate()[0].decode() == f"Serving on http://127.0.0.1:{port} (Ctrl+C stops)\n"


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
