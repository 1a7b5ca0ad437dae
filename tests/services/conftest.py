"""What these tests share: PostgreSQL, an S3 stand-in, a team's MLflow server on both, a pipeline that used it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import engines
import pytest

from environment import clean_environment
from project import Project, copy_project, make_tiny


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)
            item.add_marker(pytest.mark.timeout(1800))  # a whole pipeline is run before the first


@pytest.fixture(scope="session")
def postgres() -> Iterator[engines.Postgres]:
    with engines.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[engines.S3]:
    with engines.s3() as server:
        yield server


@dataclass(frozen=True)
class Team:
    """A project whose whole pipeline ran against a team's server."""

    project: Project
    server: engines.TeamServer
    bucket: str


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory, postgres: engines.Postgres, s3: engines.S3) -> Iterator[Team]:
    root, bucket = tmp_path_factory.mktemp("team"), s3.bucket()
    server = engines.team_server(root / "server", postgres.database(), f"s3://{bucket}/mlflow", s3).start()
    try:
        project = copy_project(root / "project", clean_environment())
        make_tiny(project)
        project.commit("a tiny phantom")
        (project.root / ".env").write_text(f"MLFLOW_TRACKING_URI={server.wait()}\n")
        project.main()
        project.commit("its first run")
        yield Team(project, server, bucket)
    finally:
        server.kill()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which nothing ran yet."""
    return copy_project(tmp_path / "project", clean_environment())
