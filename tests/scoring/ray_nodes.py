"""Ray nodes on this machine, each in processes of its own that can be killed together."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from mlflow_servers import free_port
from waiting import wait_until

SECONDS = 180
# Ray listens on all of the machine's addresses: without a token anybody there could run code.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


class Node:
    """A started node of so many cores."""

    def __init__(self, environment: dict[str, str], *arguments: str, cores: int = 1) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--num-cpus", str(cores), "--block", *arguments]
        command += ["--object-store-memory", "100000000", "--node-ip-address", "127.0.0.1"]
        command += ["--min-worker-port", "0", "--max-worker-port", "0"]  # any, rather than a range that others are in
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def is_at_work(self) -> bool:
        """Whether an actor with a model runs here."""
        return any("MapWorker" in _command_of(process) for process in self._family())

    def kill(self) -> None:
        """Kill everything of it at once, as a lost machine does."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                process.kill()
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        if self._process.poll() is not None:
            return []
        own = psutil.Process(self._process.pid)
        return [*own.children(recursive=True), own]


def _command_of(process: psutil.Process) -> str:
    """Its command line; of one that ended meanwhile, nothing."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


@contextmanager
def ray_head(cores: int = 1) -> Iterator[tuple[str, dict[str, str]]]:
    """A cluster of one node of so many cores: its address, and the environment that whoever joins or asks it needs."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets' names may not be long
    environment, port = os.environ | SETTINGS, free_port()
    address = f"127.0.0.1:{port}"
    node = Node(
        environment,
        "--head",
        "--port",
        str(port),
        "--ray-client-server-port",
        str(free_port()),
        "--include-dashboard=false",
        "--temp-dir",
        folder,
        cores=cores,
    )
    try:
        wait_for_cores(address, environment, cores)
        yield address, environment
    finally:
        node.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ray_node(address: str, environment: dict[str, str], cores: int = 2) -> Iterator[Node]:
    """One more node, of one core; with it the cluster has so many."""
    node = Node(environment, "--address", address)
    try:
        wait_for_cores(address, environment, cores)
        yield node
    finally:
        node.kill()


def wait_for_cores(address: str, environment: dict[str, str], count: int) -> None:
    """Until so many cores are there."""
    program = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False); print(ray.cluster_resources().get('CPU'))"

    def are_there() -> bool:
        asked = [sys.executable, "-c", program, address]
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=False)
            return done.stdout.strip() == f"{count}.0"
        return False

    wait_until(are_there, seconds=SECONDS, pause=0.5)
