"""podman, as `docker`, on the images that buildah made: an engine with networks, seccomp and health checks."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from images import run

# `docker` as the documentation writes it; podman-compose takes the files of Docker's compose.
DOCKER = """#!/bin/sh
if [ "$1" = compose ]; then shift; exec "{compose}" "$@"; fi
exec podman "$@"
"""
READY_SECONDS = 180


class Engine:
    """A folder for PATH with a program `docker`, and the settings that podman needs where a VM is all there is."""

    def __init__(self, folder: Path) -> None:
        compose = Path(sys.executable).with_name("podman-compose")
        for tool in ("podman", "runc", compose):
            assert shutil.which(tool), f"{tool} is missing: make test-containers installs it"
        limits = ", ".join(f'"{name}={soft}:{hard}"' for name, (soft, hard) in _own_limits().items())
        settings = folder / "containers.conf"
        settings.write_text(
            f"[containers]\ndefault_ulimits = [{limits}]\n"
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )
        program = folder / "bin" / "docker"
        program.parent.mkdir()
        program.write_text(DOCKER.format(compose=compose))
        program.chmod(0o755)
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(settings),
            "PATH": f"{program.parent}:{os.environ['PATH']}",
        }

    def docker(self, *arguments: object) -> str:
        """What `docker` prints of these arguments."""
        return run("docker", *arguments, env=self.environment)

    @contextmanager
    def running(self, line: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """A line of the documentation as it stands, in a folder, until SIGTERM."""
        with (folder / "printed.txt").open("wb") as printed:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}"], cwd=folder, env=self.environment | environment,
                stdout=printed, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=120)

    def close(self) -> None:
        """End and remove every container, and what they kept."""
        for what in ("container", "volume"):
            subprocess.run(["podman", what, "rm", "--all", "--force"], env=self.environment, check=False)


def wait_for(address: str, status: int = 200) -> requests.Response:
    """The answer of an address, once it has this status."""
    told: object = None
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            told = requests.get(address, timeout=10)
            if told.status_code == status:
                return told
        except requests.RequestException as error:
            told = error
        time.sleep(0.5)
    raise AssertionError(f"{address} is not {status} within {READY_SECONDS} s: {told}")


def _own_limits() -> dict[str, tuple[int, int]]:
    """This process's, soft and hard: podman would ask for more, which a machine may not grant."""
    return {"nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "nproc": resource.getrlimit(resource.RLIMIT_NPROC)}
