"""app.py as its own process, and under any WSGI server."""

import json
import os
import signal
import subprocess
import sys

from server_client import ask
from tiny_app import ROOT
from tiny_model import picture

from mlflow_servers import free_port
from served_app import wait_until_ready


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
        ready = wait_until_ready(f"http://127.0.0.1:{port}", process).json()
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
