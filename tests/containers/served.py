"""A server in a container, as its clients see it."""

from pathlib import Path

import requests


def ask(address: str, picture: Path) -> dict:
    """What it answers about a picture."""
    with picture.open("rb") as file:
        answer = requests.post(f"{address}/api/v1/predict", files={"image": file}, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()
