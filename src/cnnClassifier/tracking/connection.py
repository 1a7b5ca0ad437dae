"""Which MLflow server, with which credentials, and whether it answers.

MLFLOW_TRACKING_URI in the environment wins over the configuration. A local SQLite file keeps its
artifacts in `mlruns` beside it, under absolute paths.
"""

import logging
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cnnClassifier.config.types import TrackingConfig
from cnnClassifier.environment import environment
from cnnClassifier.errors import TrackingError
from cnnClassifier.project_root import project_root
from cnnClassifier.tracking.client import import_mlflow, masked, tracking_errors
from cnnClassifier.tracking.credentials import check_dagshub_address, provide_dagshub_credentials

log = logging.getLogger(__name__)

URI = "MLFLOW_TRACKING_URI"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
SQLITE = "sqlite:///"
# What cannot be taken apart is not quoted: any part of it may be one of the password.
UNREADABLE = (
    "not an address as postgresql://user:password@host:5432/database is. Special characters in a password must be "
    "percent-encoded (`@` is %40, `:` is %3A, `/` is %2F); a port is a number"
)
CHECK_SECONDS = 15  # a server on two busy cores has needed more than 5
SIDE_FILES = ("-wal", "-shm", "-journal")
IMPATIENT = {RETRIES: "0", TIMEOUT: str(CHECK_SECONDS)}  # for a question that should be answered at once


@dataclass(frozen=True)
class Connection:
    """A tracking server or file by its full address; `artifact_root` is where a local file's artifacts go."""

    uri: str
    artifact_root: Path | None = None

    @property
    def title(self) -> str:
        """The address as it may be shown: no user, no password."""
        return masked(self.uri)

    @property
    def client(self) -> Any:
        """An MlflowClient of this address. Needs seconds the first time in a process: it imports mlflow."""
        return import_mlflow().MlflowClient(tracking_uri=self.uri)

    @property
    def is_unused(self) -> bool:
        """Whether this is a local file that is not there yet, or empty: nothing can be registered in it."""
        if not self.artifact_root:
            return False
        database = sqlite_file(self.uri)
        return not database.exists() or not database.stat().st_size

    def check(self) -> None:
        """Ask the server for something harmless; TrackingError in seconds if it is down or refuses us."""
        if self.artifact_root:
            _check_database(sqlite_file(self.uri))
        with tracking_errors(self.uri, "reach the MLflow server"), environment(**IMPATIENT):
            _reach_database(self.uri)
            self.client.search_experiments(max_results=1)


def connect(config: TrackingConfig) -> Connection:
    """Resolve the address and hand credentials, time-out and retries to MLflow; asks the server nothing.

    MLflow reads the last three from the environment only: what the user has set there stays.
    """
    os.environ.setdefault(TIMEOUT, str(config.timeout_seconds))
    os.environ.setdefault(RETRIES, str(config.retries))
    uri = os.environ.get(URI) or config.uri
    if uri.startswith(SQLITE):
        return _local(Path(uri.removeprefix(SQLITE)))
    _check_address(uri)
    check_dagshub_address(uri)
    provide_dagshub_credentials(uri)
    return Connection(uri)


def _local(database: Path) -> Connection:
    database = project_root(Path.cwd()) / database
    _check_path(database.parent)  # behind the file's name, `?timeout=30` is for SQLAlchemy
    return Connection(f"{SQLITE}{database}", database.parent / "mlruns")


def _check_address(uri: str) -> None:
    """TrackingError for what MLflow would take for a folder of an older MLflow's, or for an address of a plugin's."""
    if uri.startswith("sqlite:"):
        raise TrackingError(
            f"{uri}: before a file's name stand three slashes, as in {SQLITE}mlflow.db, and four before a path from /"
        )
    if uri.startswith("postgresql") and find_spec("sqlalchemy") and not is_readable(uri):
        raise TrackingError(f"MLFLOW_TRACKING_URI: {UNREADABLE}")
    is_folder = uri.startswith(("file:", "/", ".", "~")) or Path(uri).is_dir()
    if "://" not in uri and uri != "databricks" and not is_folder:
        meant = masked(f"http://{uri}")
        raise TrackingError(
            f"{meant.removeprefix('http://')}: no address of a server, which begins with http:// or https://, and none "
            f"of a file, which begins with {SQLITE}; is it {f'{SQLITE}{uri}' if uri.endswith('.db') else meant}?"
        )


def is_readable(address: str) -> bool:
    """Whether SQLAlchemy can take a database's address apart, without the rest of a password as host's name."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return "@" not in (make_url(address).host or "")
    except (ValueError, ArgumentError):
        return False


def sqlite_file(address: str) -> Path:
    """The file of an address; what follows its name, such as `?timeout=30`, is no part of it."""
    return Path(address.removeprefix(SQLITE).partition("?")[0])


def sqlite_address(file: Path) -> str:
    """The address by which MLflow and SQLAlchemy open a file; TrackingError for a path that they take for another."""
    _check_path(file)
    return f"{SQLITE}{file}"


def local_path(address: str) -> Path:
    """The path by which MLflow names artifacts in a folder, as it is or as a `file://` address."""
    return Path(unquote(address.removeprefix("file://")) if address.startswith("file://") else address)


def check_location(connection: Connection, experiment: str, location: str) -> None:
    """TrackingError for artifacts in another project's `mlruns`: MLflow goes on writing where a moved one was."""
    root, path = connection.artifact_root, local_path(location)
    if root is None or not path.is_absolute() or any(each.resolve() == root.resolve() for each in path.parents):
        return
    if root.name in (each.name for each in path.parents):  # else somebody chose another place
        raise TrackingError(
            f"{connection.title}: the experiment {experiment!r} keeps its artifacts in {path}, not in {root}: this "
            "project was moved or copied, or is mounted under another path. Move it back; or take the registry along: "
            "`python main.py backup --out FILE` there, then `python main.py restore FILE` here, once mlflow.db and "
            "mlruns are moved away here"
        )


def _check_path(path: Path) -> None:
    if "?" in str(path) or unquote(str(path)) != str(path):
        raise TrackingError(f"{path}: in a path, MLflow takes `?` and `%` for signs of its own; rename the folder")


def check_nothing_beside(path: Path) -> None:
    """TrackingError where a database that is not there has left side files: SQLite would write them into a new one."""
    if (left := side_files(path)) and not path.exists():  # it may have been made meanwhile, by another process
        raise TrackingError(
            f"{path} is not there, but beside it is {left}, of another database, which SQLite would write into a new "
            "one; move it to where that database is, or away"
        )


def side_files(path: Path) -> str:
    """The files beside the place of a database that SQLite takes for parts of it, as a list to be shown."""
    return ", ".join(path.name + ending for ending in SIDE_FILES if Path(f"{path}{ending}").exists())


def _reach_database(uri: str) -> None:
    """MLflow tries for minutes to reach a database that is down, so look first."""
    if uri.startswith("postgresql") and find_spec("sqlalchemy"):
        from sqlalchemy import create_engine

        is_psycopg = uri.partition("://")[0] in {"postgresql", "postgresql+psycopg", "postgresql+psycopg2"}
        engine = create_engine(uri, connect_args={"connect_timeout": CHECK_SECONDS} if is_psycopg else {})
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def _check_database(path: Path) -> None:
    """MLflow tries for minutes to open a file that is no database, so look first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            check_nothing_beside(path)
            log.info("creating MLflow's database %s", path)
            _create_database(path)
        with closing(sqlite3.connect(path, timeout=CHECK_SECONDS)) as database:
            database.execute("PRAGMA schema_version")
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{path}: cannot be used as MLflow's database: {error}") from None


def _create_database(path: Path) -> None:
    """Have MLflow make its tables aside: it needs seconds, and what a kill leaves of them it refuses for ever."""
    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        made = Path(folder) / path.name
        with tracking_errors(f"{SQLITE}{path}", "create MLflow's database"):
            import_mlflow().MlflowClient(tracking_uri=f"{SQLITE}{made}").search_experiments(max_results=1)
        _move_unless_there(made, path)


def _move_unless_there(made: Path, path: Path) -> None:
    """As one step, also where another process does the same; without hard links (FAT, some mounts) nearly so."""
    try:
        os.link(made, path)
    except FileExistsError:
        return
    except OSError:
        if not path.exists():
            made.rename(path)
