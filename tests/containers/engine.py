"""podman, as `docker`, on the images that buildah made: an engine with networks, seccomp and health checks."""

import os
import shutil
import signal
import subprocess
import sys
import threading
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
    """A folder for PATH with a program `docker`, and the settings that podman needs where root may not raise limits."""

    def __init__(self, folder: Path) -> None:
        compose = Path(sys.executable).with_name("podman-compose")
        for tool in ("podman", "runc", compose):
            assert shutil.which(tool), f"{tool} is missing: make test-containers installs it"
        settings = folder / "containers.conf"
        settings.write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
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
            beat = threading.Thread(target=self._check_health_of, args=(process,))
            beat.start()
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=120)
                beat.join()

    def _check_health_of(self, process: subprocess.Popen[bytes]) -> None:
        """Run all health checks each second while a process lives, as systemd does for podman where there is one."""
        while process.poll() is None:
            for container in self.docker("ps", "--quiet").split():
                command = ["docker", "healthcheck", "run", container]
                subprocess.run(command, env=self.environment, check=False, capture_output=True)
            time.sleep(1)

    def close(self) -> None:
        """End and remove every container, and what they kept."""
        for command in ("pod rm --all --force", "rm --all --force", "volume rm --all --force", "network prune --force"):
            subprocess.run(["docker", *command.split()], env=self.environment, check=False, capture_output=True)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> requests.Response:
    """The answer of an address, once it is 200."""
    told: object = None
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, f"the container ended with {server.returncode}"
        try:
            told = requests.get(address, timeout=10)
            if told.ok:
                return told
        except requests.RequestException as error:
            told = error
        time.sleep(0.5)
    raise AssertionError(f"{address} does not answer within {READY_SECONDS} s: {told}")
