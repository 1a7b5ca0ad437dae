"""podman, as `docker`, on the images that buildah made: an engine with networks, seccomp and health checks."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images import run

# `docker` as the documentation writes it; podman-compose takes the files of Docker's compose.
DOCKER = """#!/bin/sh
if [ "$1" = compose ]; then shift; exec "{compose}" "$@"; fi
exec podman "$@"
"""


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
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=120)

    def close(self) -> None:
        """End and remove every container, and what they kept."""
        for command in ("pod rm --all --force", "rm --all --force", "volume rm --all --force", "network prune --force"):
            subprocess.run(["docker", *command.split()], env=self.environment, check=False, capture_output=True)
