"""SQLite files: how they are copied while others write them, and how they are named to MLflow."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from cnnClassifier.errors import DataError
from cnnClassifier.files import sqlite_to_read
from cnnClassifier.tracking.connection import SQLITE

COUNT_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"


def copy_sqlite(source: Path, copy: Path) -> None:
    """SQLite's online backup: of one moment, also while others write.

    DataError for a source without tables, and for what does not let it be copied, such as a full disk.
    """
    try:
        with closing(sqlite3.connect(sqlite_to_read(source), uri=True)) as old, closing(sqlite3.connect(copy)) as new:
            old.backup(new)
            (tables,) = new.execute(COUNT_TABLES).fetchone()
    except sqlite3.OperationalError as error:
        raise DataError(f"{source}: cannot be copied to {copy}: {error}") from None
    except sqlite3.Error as error:
        raise DataError(f"{source}: not an SQLite file: {error}") from None
    if not tables:
        raise DataError(f"{source}: a database without tables; is it the right file?")


def sqlite_address(file: Path) -> str:
    """The address by which MLflow and SQLAlchemy open a file; DataError for a path that they would read as another."""
    if "?" in str(file) or unquote(str(file)) != str(file):
        raise DataError(f"{file}: in a path, MLflow takes `?` and `%` for signs of its own; rename the folder")
    return f"{SQLITE}{file}"
