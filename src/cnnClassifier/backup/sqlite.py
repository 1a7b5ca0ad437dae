"""SQLite files: how they are copied while others write them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from cnnClassifier.errors import DataError
from cnnClassifier.files import sqlite_to_read

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
