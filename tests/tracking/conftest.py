import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import finished_project
import pytest

from cnnClassifier.config.types import Paths, Settings, TrackingConfig
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.packaging import save_pyfunc
from mlflow_servers import PASSWORD, USER, MlflowServer, auth_server, old_server

AMBIENT = ("MLFLOW_", "DAGSHUB_", "DVC_")
PLACES = ["local", pytest.param("auth", marks=pytest.mark.server), pytest.param("old", marks=pytest.mark.server)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Servers need many seconds to come up: the tests without them run meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("server") is not None)


@pytest.fixture(autouse=True)
def clean_environ() -> Iterator[None]:
    """Ambient settings neither reach a test nor leave one: connecting writes to the environment."""
    saved = dict(os.environ)
    for name in saved:
        if name.startswith(AMBIENT):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(scope="session", autouse=True)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, MlflowServer]]:
    """All servers, starting while the tests that need none run; only if a selected test needs one."""
    if not any(item.get_closest_marker("server") for item in request.session.items):
        yield {}
        return
    folder = tmp_path_factory.mktemp("servers")
    started = {"auth": auth_server(folder / "auth"), "old": old_server(folder / "old")}
    for server in started.values():
        server.start()
    yield started
    for server in started.values():
        server.kill()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow needs seconds to create a database's tables: once for all tests, which take a copy."""
    database = tmp_path_factory.mktemp("empty") / "new folder" / "mlflow.db"
    Connection(f"sqlite:///{database}", database.parent / "mlruns").check()
    return database


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, servers: dict[str, MlflowServer], tmp_path: Path, tracking: TrackingConfig
) -> Connection:
    """A local file, today's server with a password, and an old server: everything must work on each."""
    if request.param == "local":
        folder = tmp_path / "with space"
        folder.mkdir()
        shutil.copyfile(request.getfixturevalue("empty_database"), folder / "mlflow.db")
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    else:
        os.environ["MLFLOW_TRACKING_URI"] = servers[request.param].wait()
        os.environ["MLFLOW_TRACKING_USERNAME"] = USER
        os.environ["MLFLOW_TRACKING_PASSWORD"] = PASSWORD
    return connect(tracking)


@pytest.fixture
def local(tmp_path: Path, tracking: TrackingConfig, empty_database: Path) -> Connection:
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    return connect(tracking)


@pytest.fixture
def tracking() -> TrackingConfig:
    return TrackingConfig(uri="sqlite:///mlflow.db", timeout_seconds=20, retries=1)


@pytest.fixture
def settings() -> Settings:
    return finished_project.settings()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """The paths of a project whose stages have all run."""
    paths = finished_project.project_paths(tmp_path / "project")
    finished_project.write_stage_files(paths)
    return paths


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_project.write_package(tmp_path_factory.mktemp("served") / "package")


@pytest.fixture(scope="session")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_project.write_keras_model(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, package: Path, keras_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    save_pyfunc(package, keras_model, folder, finished_project.SPEC)
    return folder
