"""`python app.py` in a project, until the block ends."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests

from mlflow_servers import free_port
from project import Project


@contextmanager
def served(project: Project) -> Iterator[str]:
    """The app as `python app.py` starts it, once it is ready."""
    port = free_port()
    environment = {**project.environment, "PORT": str(port)}
    log = (project.root / "app.log").open("w")
    process = subprocess.Popen([sys.executable, "app.py"], cwd=project.root, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_ready(
    address: str, process: "subprocess.Popen[bytes]", seconds: int = 120, path: str = "/ready"
) -> requests.Response:
    """What a server's process says of itself, once that is 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        with suppress(requests.RequestException):
            answer = requests.get(f"{address}{path}", timeout=5)
            if answer.ok:
                return answer
        time.sleep(0.25)
    raise AssertionError(f"not ready after {seconds} s")
