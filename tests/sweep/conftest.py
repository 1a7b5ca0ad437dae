"""The project that sweeps are run on, as the working directory of each test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from environment import AMBIENT
from sweep_project import SweepProject, make_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: drawing, ingesting, auditing, and MLflow's empty database."""
    return make_template(tmp_path_factory.mktemp("sweep") / "project")


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SweepProject]:
    saved = dict(os.environ)
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "project"
    shutil.copytree(template, root)
    monkeypatch.chdir(root)
    made = SweepProject(root)
    made.write_sweep()
    yield made
    os.environ.clear()  # connecting writes to it
    os.environ.update(saved)
