"""What these tests share: PostgreSQL, an S3 stand-in, a team's MLflow server on both, and a pipeline that ran against it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import engines
import pytest

from environment import clean_environment
from imports import ROOT
from mlflow_servers import MlflowServer
from project import Project, copy_project, make_tiny


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="session")
def postgres() -> Iterator[engines.Postgres]:
    with engines.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[engines.S3]:
    with engines.s3() as server:
        yield server


@dataclass
class TeamServer(MlflowServer):
    """`make tracking-server`, as it is typed, in a folder with a Makefile and an .env."""

    def start(self) -> "TeamServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
        settings = {**self.environ, "TRACKING_PORT": str(self.port)}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        # The environment of the tests in place of one that make would set up.
        command = ["make", "--old-file=.venv/.team", f"BIN={Path(sys.executable).parent}", "tracking-server"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                cwd=self.folder, env=clean_environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self


def team_server(folder: Path, database: str, destination: str, s3: engines.S3) -> TeamServer:
    """A server whose .env names a database and a bucket."""
    settings = {"MLFLOW_BACKEND_STORE_URI": database, "MLFLOW_ARTIFACTS_DESTINATION": destination, **s3.environment}
    return TeamServer(Path("make"), folder, ["OPTIONS=--workers 1"], settings)


@dataclass(frozen=True)
class Team:
    """A project whose whole pipeline ran against a team's server."""

    project: Project
    server: TeamServer
    bucket: str


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory, postgres: engines.Postgres, s3: engines.S3) -> Iterator[Team]:
    root, bucket = tmp_path_factory.mktemp("team"), s3.bucket()
    server = team_server(root / "server", postgres.database(), f"s3://{bucket}/mlflow", s3).start()
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
