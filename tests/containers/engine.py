"""Docker, with the images that buildah made: a daemon of its own, with networks, seccomp and health checks."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images import run

START_SECONDS = 60
GATEWAY = "{{(index .IPAM.Config 0).Gateway}}"


class Engine:
    """A Docker daemon whose images, containers and socket lie below a folder."""

    def __init__(self, folder: Path) -> None:
        for tool in ("dockerd", "docker"):
            assert shutil.which(tool), f"{tool} is missing: make test-containers installs it"
        self.folder = folder
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
        places = {"--data-root": "data", "--exec-root": "run", "--pidfile": "docker.pid"}
        options = [part for option, name in places.items() for part in (option, str(folder / name))]
        with (folder / "dockerd.log").open("wb") as log:
            command = ["dockerd", "--host", self.environment["DOCKER_HOST"], *options]
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def load(self, image: str, *names: str) -> None:
        """Take over an image of buildah's under the names that lines of the documentation have for it."""
        archive = self.folder / "image.tar"
        run("buildah", "push", "--quiet", image, f"docker-archive:{archive}:{image}:latest")
        self.docker("load", "--quiet", "--input", archive)
        archive.unlink()
        for name in names:
            self.docker("tag", image, name)

    def docker(self, *arguments: object) -> str:
        """What `docker` prints of these arguments."""
        return run("docker", *arguments, env=self.environment)

    @property
    def host(self) -> str:
        """Where a container finds the machine that it runs on."""
        return self.docker("network", "inspect", "--format", GATEWAY, "bridge")

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
        """End and remove every container and what it kept, and the daemon."""
        if containers := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *containers)
        self.docker("network", "prune", "--force")
        self._daemon.terminate()
        self._daemon.wait(timeout=60)

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while subprocess.run(["docker", "info"], env=self.environment, check=False, capture_output=True).returncode:
            stopped = self._daemon.poll() is not None or time.monotonic() > end
            assert not stopped, f"no Docker daemon: {(self.folder / 'dockerd.log').read_text()[-2000:]}"
            time.sleep(0.5)
