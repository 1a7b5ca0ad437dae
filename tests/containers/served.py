"""A server in a container, as its clients see it."""

import subprocess
import time
from pathlib import Path

import requests


def wait_until_ready(address: str, server: subprocess.Popen) -> dict:
    """What /ready says, once it is 200."""
    for _ in range(480):
        assert server.poll() is None, "the server ended"
        try:
            answer = requests.get(f"{address}/ready", timeout=5)
            if answer.ok:
                return answer.json()
        except requests.RequestException:
            pass
        time.sleep(0.25)
    raise AssertionError("not ready within two minutes")


def ask(address: str, picture: Path) -> dict:
    """What it answers about a picture."""
    with picture.open("rb") as file:
        answer = requests.post(f"{address}/api/v1/predict", files={"image": file}, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()
