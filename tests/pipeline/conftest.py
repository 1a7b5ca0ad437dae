"""One tiny pipeline run through DVC, shared by the tests that look at its different sides."""

from collections.abc import Iterator

import pytest

from environment import clean_environment
from project import Project, copy_project, make_tiny


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose pipeline has run once with `python main.py`, everything committed."""
    project = copy_project(tmp_path_factory.mktemp("pipeline") / "project", clean_environment())
    make_tiny(project)
    project.commit("a tiny phantom")
    project.main()
    project.commit("its first run")
    return project
