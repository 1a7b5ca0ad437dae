"""Where a registry keeps its tables (a database) and its artifacts (a folder, or a store such as S3)."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnClassifier.errors import ConfigError
from cnnClassifier.tracking.client import import_mlflow, masked, tracking_errors
from cnnClassifier.tracking.connection import SQLITE, Connection, sqlite_address, sqlite_file

DATABASES = ("sqlite", "postgresql")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """A registry's database and artifacts, by their full addresses.

    `served`: an MLflow server stands before it, so its tables name artifacts as `mlflow-artifacts:/...`; those of a
    project's own SQLite file name them by their paths.
    """

    database: str
    artifacts: str
    served: bool

    @property
    def title(self) -> str:
        """The database as it may be shown."""
        return masked(self.database)

    @property
    def file(self) -> Path | None:
        """The database's file, if it is SQLite's."""
        return sqlite_file(self.database) if self.database.startswith(SQLITE) else None

    @property
    def folder(self) -> Path | None:
        """The artifacts' folder, if they lie in one."""
        return Path(self.artifacts) if "://" not in self.artifacts else None


def choose_store(connection: Connection, database: str | None, artifacts: str | None) -> Store:
    """The store behind a server whose database and artifacts are given, else the project's own SQLite file.

    ConfigError if neither is at hand: a registry is not copied through its server, which would give runs other numbers.
    """
    if database:
        if not database.startswith(DATABASES):
            raise ConfigError(f"{masked(database)}: backup and restore know {' and '.join(DATABASES)} databases")
        if not artifacts:
            raise ConfigError(
                f"{masked(database)}: where are its artifacts? Give --artifacts or MLFLOW_ARTIFACTS_DESTINATION, "
                "the same as `mlflow server --artifacts-destination` has"
            )
        return Store(_absolute(database), artifacts, served=True)
    if not connection.artifact_root:
        raise ConfigError(
            f"{connection.title} is a server: back it up where it runs, with --database and --artifacts, or "
            "MLFLOW_BACKEND_STORE_URI and MLFLOW_ARTIFACTS_DESTINATION in .env as the server has them"
        )
    return Store(connection.uri, str(connection.artifact_root), served=False)


@contextmanager
def local_copy(store: Store, scratch: Path) -> Iterator[Path]:
    """A folder with all artifacts: where they lie already, or fetched to a folder below `scratch` for a while."""
    if store.folder:
        store.folder.mkdir(parents=True, exist_ok=True)
        yield store.folder
        return
    with tempfile.TemporaryDirectory(prefix=".artifacts-", dir=scratch) as folder:
        log.info("fetching artifacts from %s", store.artifacts)
        with tracking_errors(store.artifacts, "fetch the artifacts"):
            fetched = _repository(store).download_artifacts("", folder)
        yield Path(fetched)


def upload(folder: Path, store: Store) -> None:
    """Put all files of a folder where the store has its artifacts; again after a kill, they are only written anew."""
    log.info("sending artifacts to %s", store.artifacts)
    with tracking_errors(store.artifacts, "send the artifacts"):
        _repository(store).log_artifacts(str(folder))


def _repository(store: Store) -> Any:
    """MLflow's way to the artifacts: folders, S3 and whatever else it knows."""
    import_mlflow()
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(store.artifacts)


def _absolute(database: str) -> str:
    path = database.removeprefix(SQLITE)
    return sqlite_address(Path(path).absolute()) if database.startswith(SQLITE) else database
