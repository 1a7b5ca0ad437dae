"""Who asks a running server: for an answer to a picture, or again until it says what is waited for."""

import time

import requests


def ask(server: str, data: bytes) -> requests.Response:
    return requests.post(f"{server}/predict", files={"image": ("scan.png", data)}, timeout=30)


def wait_for(get, text: str, seconds: float = 30) -> str:
    deadline = time.monotonic() + seconds
    while text not in (found := get()):
        assert time.monotonic() < deadline, f"no {text} in {found}"
        time.sleep(0.01)
    return found
