"""What is to be answered, listed once: which file belongs to which part. An SQLite file, so that it may be long.

A part is a number of files that become one Parquet file. A file is in one part however often it is listed.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from cnnClassifier.errors import DataError
from cnnClassifier.files import naming_database

TABLE = "CREATE TABLE IF NOT EXISTS files (position INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL, part INTEGER)"


@dataclass(frozen=True)
class Part:
    """A part's number and the addresses of its files, in order."""

    number: int
    addresses: tuple[str, ...]


class Plan:
    """A list of files on disk, cut into parts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._database = sqlite3.connect(file)
            self._database.execute(TABLE)
        except sqlite3.Error as error:
            raise DataError(f"{file}: not the list of what is scored: {error}; choose another --out") from None

    def extend(self, addresses: Iterable[str], part_size: int) -> int:
        """Append what is not listed yet, in new parts; how many files that were. Killed, it has appended none.

        DataError where there is no room for the list.
        """
        first, added = self._parts(), 0
        with naming_database(self._file), self._database:
            for address in addresses:
                row = (address, first + added // part_size)
                added += self._database.execute("INSERT OR IGNORE INTO files (path, part) VALUES (?, ?)", row).rowcount
        return added

    def parts(self, without: frozenset[int] = frozenset()) -> Iterator[Part]:
        """The parts but for those `without`, in order; one at a time in memory."""
        rows = self._database.execute("SELECT part, path FROM files ORDER BY position")
        for number, files in groupby(rows, key=lambda row: row[0]):
            if number not in without:
                yield Part(number, tuple(path for _, path in files))

    def count(self, without: frozenset[int] = frozenset()) -> int:
        """How many files the parts but for those `without` have."""
        sizes = self._database.execute("SELECT part, COUNT(*) FROM files GROUP BY part")
        return sum(size for part, size in sizes if part not in without)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _parts(self) -> int:
        (last,) = self._database.execute("SELECT MAX(part) FROM files").fetchone()
        return 0 if last is None else int(last) + 1
