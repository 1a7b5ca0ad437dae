"""The folder of answers: Parquet files, one a part, and in `_scoring` what is answered, by which model.

Readers of Parquet folders pass over names that begin with `_`. A part is written there under another name and then
renamed, so that it is whole or missing.
"""

import fcntl
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cnnClassifier.errors import ConfigError, DataError, one_line
from cnnClassifier.files import naming_file, read_json, write_json
from cnnClassifier.scoring.plan import Plan

PLACE = "_scoring"
PART = re.compile(r"part-(\d{6,})\.parquet")  # Spark's, which may lie there too, are part-00000-<more>.parquet
MODEL, PLAN, LOCK = "model.json", "plan.sqlite", "lock"


@dataclass(frozen=True)
class Asked:
    """Which model answers: its name, its version, and a digest of its files."""

    model: str
    version: str
    digest: str


class ScoredFolder:
    """An open folder of answers; `open_folder` makes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = Plan(folder / PLACE / PLAN)

    def finished(self) -> frozenset[int]:
        """The numbers of the parts that are there."""
        return frozenset(_parts(self.folder))

    def save(self, number: int, parquet: bytes) -> None:
        """Put a part there, whole or not at all."""
        name = f"part-{number:06}.parquet"
        partial = self.folder / PLACE / name
        with naming_file(partial):
            partial.write_bytes(parquet)
        partial.replace(self.folder / name)

    def states(self) -> Counter[str]:
        """How many rows have each state, over all parts; DataError for one that is damaged."""
        found: Counter[str] = Counter()
        for file in _parts(self.folder).values():
            found.update(_states_in(file))
        return found


def _parts(folder: Path) -> dict[int, Path]:
    found = ((PART.fullmatch(file.name), file) for file in folder.iterdir())
    return {int(match[1]): file for match, file in found if match}


def _states_in(part: Path) -> list[str]:
    try:
        states: list[str] = pq.read_table(part, columns=["state"]).column("state").to_pylist()
    except (KeyError, OSError, pa.ArrowException) as error:
        raise DataError(
            f"{part}: no whole part of answers: {one_line(error)}; delete it to have it answered again"
        ) from None
    return states


@contextmanager
def open_folder(folder: Path, asked: Asked) -> Iterator[ScoredFolder]:
    """Open or begin a folder of one model's answers, for this process alone.

    Raises ConfigError if another model's answers are in it, or if another process is at work there; DataError if it
    holds other Parquet files.
    """
    _check_ours(folder)
    (folder / PLACE).mkdir(parents=True, exist_ok=True)
    with _locked(folder / PLACE / LOCK, folder):
        _check_model(folder, asked)
        scored = ScoredFolder(folder)
        try:
            yield scored
        finally:
            scored.plan.close()


def _check_ours(folder: Path) -> None:
    if not (folder / PLACE).is_dir() and any(folder.glob("*.parquet")):
        raise DataError(f"--out {folder}: holds Parquet files that are no answers of `score`; choose another folder")


def _check_model(folder: Path, asked: Asked) -> None:
    file = folder / PLACE / MODEL
    if not file.is_file() or not _parts(folder):  # a run that ended before its first answer binds nobody
        write_json(asdict(asked), file)
        return
    before = Asked(**read_json(file))
    if before != asked:
        raise ConfigError(
            f"--out {folder}: holds answers of {_title(before)}, and {_title(asked)} is asked now; "
            "choose another folder for it, or ask the former model"
        )


@contextmanager
def _locked(file: Path, folder: Path) -> Iterator[None]:
    """The system takes the lock back when the process ends, however it ends."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--out {folder}: another process is writing there; wait for it or stop it") from None
        yield
    finally:
        os.close(descriptor)


def _title(asked: Asked) -> str:
    return f"{asked.model} version {asked.version} ({asked.digest})"
