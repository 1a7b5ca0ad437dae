"""MLflow's tables from one database to another, in one transaction, as they stood at one moment.

Runs, metrics, versions and aliases keep their ids and times: rows are copied, not asked of one server and told to
another. In a copy every artifact is named `mlflow-artifacts:/<path>`, which is how a server names what it keeps.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import JSON, Connection, Engine, MetaData, Table, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from cnnClassifier.backup.sqlite import copy_sqlite
from cnnClassifier.backup.stores import Store
from cnnClassifier.errors import TrackingError
from cnnClassifier.files import new_file
from cnnClassifier.tracking.client import import_mlflow, masked
from cnnClassifier.tracking.connection import check_nothing_beside, sqlite_address

NEUTRAL = "mlflow-artifacts:/"
REVISION = "alembic_version"
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
COUNTED = ("runs", "registered_models", "model_versions")
DELETED = "Deleted_Internal"  # the stage by which MLflow knows a deleted version, whose row it keeps
# What MLflow makes by itself, in a new database and while a server runs: tables, and of others the row of that name.
OWN_TABLES = (REVISION, "job_locks", "scheduler_leases")
OWN_ROWS = {"experiments": "Default", "workspaces": "default"}
# What users know by these names; other tables are called by their own, and only if there is none of these.
KNOWN = {
    "runs": "runs",
    "registered_models": "registered models",
    "model_versions": "model versions",
    "experiments": "experiments",
    "trace_info": "traces",
    "logged_models": "logged models",
    "datasets": "datasets",
    "evaluation_datasets": "evaluation datasets",
}
ROWS = 1000  # carried at a time


def snapshot(store: Store, file: Path) -> dict[str, int]:
    """Copy a store's tables into a new SQLite file, while others use them; how many rows each counted table has."""
    if store.file:
        _copy_file(store.file, file)
        _upgrade(sqlite_address(file))
    else:
        _upgrade(sqlite_address(file))
        # The source innermost: an error is told of the database that is innermost.
        with _engine(sqlite_address(file)) as copy, copy.begin() as writing, _engine(store.database) as source:
            _copy_rows(source.execution_options(isolation_level="REPEATABLE READ"), writing)
    with _engine(sqlite_address(file)) as copy, copy.begin() as writing:
        _rename(writing, lambda address: neutral(address, store.artifacts))
        return _count(writing)


def fill(file: Path, store: Store) -> dict[str, int]:
    """Copy the tables of a snapshot into a store that is unused; all or nothing. How many rows there are then."""
    _upgrade(sqlite_address(file))
    with _engine(sqlite_address(file)) as copy, copy.begin() as writing:
        if not store.served:
            _rename(writing, lambda address: placed(address, store.artifacts))
        counts = _count(writing)
    if store.file and not store.file.exists():
        check_nothing_beside(store.file)
        store.file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(store.file) as partial:
            shutil.copyfile(file, partial)
        return counts
    _upgrade(store.database)
    with _engine(sqlite_address(file)) as copy, _engine(store.database) as database, database.begin() as writing:
        _check_unused(writing, store)
        _copy_rows(copy, writing)
        if (there := _count(writing)) != counts:
            raise TrackingError(f"{store.title}: {in_words(there)} instead of {in_words(counts)}")
        return counts


def check_unused(store: Store) -> None:
    """TrackingError naming what a store has, unless that is what MLflow makes by itself, or no tables at all."""
    if store.file and not store.file.exists():
        check_nothing_beside(store.file)
        return
    with _engine(store.database) as database, database.connect() as reading:
        _check_unused(reading, store)


def strays(file: Path) -> list[str]:
    """The addresses of runs whose artifacts a snapshot's store does not have: they lie elsewhere."""
    with _engine(sqlite_address(file)) as copy, copy.connect() as reading:
        runs = _reflected(reading).tables["runs"]
        found = reading.execute(select(runs.c.artifact_uri)).scalars()
        return [address for address in found if address and not address.startswith(NEUTRAL)]


def model_addresses(file: Path) -> list[str]:
    """Where a snapshot's model versions have their files: NEUTRAL and a path below the artifacts, or elsewhere."""
    with _engine(sqlite_address(file)) as copy, copy.connect() as reading:
        versions = _reflected(reading).tables["model_versions"].c
        places = select(func.coalesce(versions.storage_location, versions.source))
        found = reading.execute(places.where(versions.current_stage.is_distinct_from(DELETED))).scalars()
        return [address for address in found if address]


def in_words(counts: dict[str, int]) -> str:
    """Such as `2 runs, 1 registered models, 1 model versions`."""
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())


def neutral(address: str, root: str) -> str:
    """An address below `root` as `mlflow-artifacts:/<path>`; any other as it is."""
    path = unquote(address.removeprefix("file://")) if address.startswith("file://") else address
    inside = path.startswith(f"{root.rstrip('/')}/")
    return NEUTRAL + path.removeprefix(root.rstrip("/")).lstrip("/") if inside else address


def placed(address: str, root: str) -> str:
    """The other way round."""
    return f"{root.rstrip('/')}/{address.removeprefix(NEUTRAL)}" if address.startswith(NEUTRAL) else address


def _copy_file(source: Path, file: Path) -> None:
    if not source.is_file():
        raise TrackingError(f"{source}: there is no registry to back up; the first run of the pipeline makes it")
    copy_sqlite(source, file)


def _upgrade(database: str) -> None:
    """Today's tables of MLflow, made or brought up to date."""
    import_mlflow()
    from alembic.util import CommandError
    from mlflow.db import upgrade  # what `mlflow db upgrade` calls

    try:
        with _one_line(database):
            upgrade.callback(database)
    except CommandError as error:
        raise TrackingError(
            f"{masked(database)}: its tables are of a newer MLflow ({error}); install the version here that wrote them"
        ) from None


@contextmanager
def _engine(database: str) -> Iterator[Engine]:
    engine = create_engine(database)
    try:
        with _one_line(database):
            yield engine
    finally:
        engine.dispose()


@contextmanager
def _one_line(database: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise TrackingError(
            f"{masked(database)}: needs {error.name}: `uv pip install --require-hashes -r requirements-team.lock`"
        ) from error
    except (SQLAlchemyError, import_mlflow().exceptions.MlflowException) as error:
        why = " ".join(masked(str(getattr(error, "orig", None) or error)).split())[:300]
        raise TrackingError(f"{masked(database)}: {why}") from error


def _copy_rows(source: Engine, writing: Connection) -> None:
    with source.connect() as reading:
        theirs, ours = _reflected(reading), _reflected(writing)
        _check_revisions(reading, writing, theirs, ours)
        tables = [table for table in ours.sorted_tables if table.name != REVISION]
        for table in reversed(tables):
            writing.execute(table.delete())  # MLflow's own default experiment and workspace
        for table in tables:
            rows = reading.execution_options(yield_per=ROWS).execute(select(theirs.tables[table.name]))
            for part in rows.mappings().partitions():
                writing.execute(table.insert(), [dict(row) for row in part])
        if writing.dialect.name == "postgresql":
            _count_on(writing, tables)


def _reflected(connection: Connection) -> MetaData:
    tables = MetaData()
    tables.reflect(connection)
    for column in (column for table in tables.tables.values() for column in table.c):
        if isinstance(column.type, JSON):
            column.type.none_as_null = True  # else nothing would become the text `null`
    return tables


def _check_revisions(reading: Connection, writing: Connection, theirs: MetaData, ours: MetaData) -> None:
    old, new = (
        connection.execute(select(tables.tables[REVISION])).scalar() if REVISION in tables.tables else "none"
        for connection, tables in ((reading, theirs), (writing, ours))
    )
    if old != new:
        raise TrackingError(
            f"{masked(str(reading.engine.url))}: its tables are of another MLflow (revision {old}, here {new}); "
            "bring them up to date with `mlflow db upgrade`, or install the server's version here"
        )


def _count_on(writing: Connection, tables: list[Table]) -> None:
    """PostgreSQL gives the next number from a counter that copied rows have not moved."""
    for table in tables:
        for column in table.primary_key:
            counter = writing.scalar(select(func.pg_get_serial_sequence(f'"{table.name}"', column.name)))
            if counter and (last := writing.scalar(select(func.max(column)))):
                writing.execute(select(func.setval(counter, last)))


def _check_unused(reading: Connection, store: Store) -> None:
    found = _used(reading)
    if found:
        named = {title: found[name] for name, title in KNOWN.items() if name in found} or found
        raise TrackingError(
            f"{store.title} has {in_words(named)} already, and a restore overwrites nothing: name another database, or "
            "move this one and its artifacts away"
        )


def _used(reading: Connection) -> dict[str, int]:
    """How many rows there are that would be lost, by table."""
    found = {}
    for name, table in _reflected(reading).tables.items():
        if name not in OWN_TABLES:
            rows = select(func.count()).select_from(table)
            found[name] = reading.scalar(rows.where(table.c.name != OWN_ROWS[name]) if name in OWN_ROWS else rows)
    return {name: number for name, number in sorted(found.items()) if number}


def _rename(writing: Connection, renamed: Callable[[str], str]) -> None:
    tables = _reflected(writing).tables
    for name, column_name in ADDRESSES:
        column: Any = tables[name].c[column_name]
        for old in writing.execute(select(column).distinct()).scalars().all():
            if old and (new := renamed(old)) != old:
                writing.execute(tables[name].update().where(column == old).values({column_name: new}))


def _count(reading: Connection) -> dict[str, int]:
    tables = _reflected(reading).tables
    rows = {name: select(func.count()).select_from(tables[name]) for name in COUNTED if name in tables}
    if "model_versions" in rows:
        stage = tables["model_versions"].c.current_stage
        rows["model_versions"] = rows["model_versions"].where(stage.is_distinct_from(DELETED))
    return {name: reading.scalar(query) or 0 for name, query in rows.items()}
