from pathlib import Path

import pytest

from environment import clean_environment
from project import Project, copy_project
from tiny_release import write_tiny_package


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_project(tmp_path_factory.mktemp("score") / "project", clean_environment())


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_package(tmp_path_factory.mktemp("package") / "tiny")


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as the working directory, where commands find its configuration."""
    monkeypatch.chdir(project.root)
    return project.root
