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
