"""Fetch what has the alias in a process of its own: mlflow's seconds and megabytes end with it.

`fetch` starts this module as a program, writes the order to it and reads its last line. Nothing of the order stands on
the command line, which every user of the machine can read: the registry's address may hold a password.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnClassifier.config.types import TrackingConfig
from cnnClassifier.errors import CnnClassifierError, ModelError, TrackingError
from cnnClassifier.tracking.registry import ServedPackage

NICENESS = 10  # requests come before it
SECONDS = 1800  # a large model over a slow line


@dataclass(frozen=True)
class Order:
    """What to fetch: the first of `names` that has the alias, to a folder below `destination`.

    If none has, and the registry is local and empty, `released` is put into it first (with `cache` for its lock).
    """

    tracking: TrackingConfig
    names: tuple[str, ...]
    alias: str
    destination: Path
    cache: Path
    released: Path | None = None


def fetch(order: Order) -> ServedPackage | None:
    """The package; None if nothing has the alias. Raises what the registry raises."""
    text = json.dumps(asdict(order) | {"tracking": order.tracking.model_dump()}, default=str)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cnnClassifier.tracking.fetch"],
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrackingError(f"the registry has not given {' or '.join(order.names)} in {SECONDS} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise TrackingError(f"the process that asks the registry ended with {done.returncode} and said: {said}")
    return _read(json.loads(lines[-1]))


def main(text: str) -> None:
    """The other process: one line of JSON."""
    os.nice(NICENESS)
    given = json.loads(text)
    tracking = TrackingConfig.model_validate(given.pop("tracking"))
    names, alias = tuple(given.pop("names")), given.pop("alias")
    paths = {key: Path(value) if value else None for key, value in given.items()}
    order = Order(tracking, names, alias, **paths)  # type: ignore[arg-type]
    try:
        package = _ask(order)
    except CnnClassifierError as error:
        kind = "model" if isinstance(error, ModelError) else "tracking"
        _say({"error": str(error), "kind": kind})
    else:
        _say({} if package is None else package._asdict())


def _ask(order: Order) -> ServedPackage | None:
    from cnnClassifier.tracking import connection, registry
    from cnnClassifier.tracking.released import import_if_empty

    server = connection.connect(order.tracking)
    unused = server.is_unused  # nothing has the alias there, and asking would make MLflow's tables first
    # Whether a file is whole, a database there, for which mlflow itself would try for minutes; peek asked a web server.
    if not unused and not server.uri.startswith(("http://", "https://")):
        server.check()
    found = None if unused else next((each for each in order.names if registry.find(server, each, order.alias)), None)
    if found is None and order.released and import_if_empty(server, order.released, order.cache):
        found = order.released.name
    return registry.download(server, found, order.alias, order.destination) if found else None


def _read(answer: dict[str, Any]) -> ServedPackage | None:
    if "error" in answer:
        raise (ModelError if answer["kind"] == "model" else TrackingError)(answer["error"])
    return ServedPackage(Path(answer["folder"]), answer["version"], answer["name"]) if answer else None


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer, default=str))  # noqa: T201


if __name__ == "__main__":
    main(sys.stdin.read())
