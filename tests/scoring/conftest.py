from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_nodes import Node, ray_head, ray_node

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


@pytest.fixture(scope="session")
def cluster() -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray cluster of one node and one core: its address, and the environment that whoever asks it needs."""
    with ray_head() as started:
        yield started


@pytest.fixture
def node(cluster: tuple[str, dict[str, str]]) -> Iterator[Node]:
    """The second node."""
    with ray_node(*cluster) as started:
        yield started
