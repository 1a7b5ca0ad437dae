"""Wheel and sdist as a user gets them, and fresh environments that they are installed into."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnnClassifier.config.data import PhantomSource
from cnnClassifier.datasets.phantom.dataset import write_phantom
from environment import clean_environment
from imports import ROOT

SCRIPTS = Path(sys.executable).parent
CONSTRAINTS = {"locked": ["--constraint", ROOT / "requirements.lock"], "lowest": ["--resolution", "lowest-direct"]}


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    scripts: Path
    folder: Path

    def run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the folder, far from the project."""
        done = subprocess.run(
            [self.scripts / str(command[0]), *map(str, command[1:])],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in clean_environment().items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: object, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dist/ with the sdist, made of what git knows, and the wheel, made of the sdist."""
    source = tmp_path_factory.mktemp("source")
    for name in run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():  # removed files are known until the next commit
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    run(SCRIPTS / "python", "-m", "build", source)
    return source / "dist"


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """install(extras, versions): a new environment with the wheel and its extras; versions "locked" or "lowest"."""

    def make(extras: str, versions: str) -> Installed:
        folder = tmp_path_factory.mktemp("installed")
        uv = SCRIPTS / "uv"
        run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv")
        python = folder / "venv" / "bin" / "python"
        run(uv, "pip", "install", "--quiet", "--python", python, *CONSTRAINTS[versions], f"{wheel}{extras}")
        (folder / "empty").mkdir()
        return Installed(folder / "venv" / "bin", folder / "empty")

    return make


@pytest.fixture(scope="session")
def alone(install) -> Installed:
    return install("", "locked")


@pytest.fixture(scope="session", params=["locked", "lowest"])
def serving(request: pytest.FixtureRequest, install) -> Installed:
    return install("[serve]", request.param)


@pytest.fixture(scope="session")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of slices of the phantom."""
    folder = tmp_path_factory.mktemp("phantom") / "drawn"
    write_phantom(folder, PhantomSource(kind="phantom", seed=1, patients_per_class=3, slices_per_patient=1), workers=1)
    return folder / "images" / "test"
