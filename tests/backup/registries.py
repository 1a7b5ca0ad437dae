"""The registry of a folder: how it is reached, what its champion answers, how many rows its tables have."""

import sqlite3
from contextlib import closing
from pathlib import Path

from cnnClassifier.backup.stores import Store, choose_store
from cnnClassifier.config.loading import load_project
from cnnClassifier.files import sqlite_to_read
from cnnClassifier.tracking.connection import Connection
from imports import ROOT
from registry_content import NAME, answers
from tiny_release import picture

PICTURES = [picture(number) for number in range(3)]


def connection_in(folder: Path) -> Connection:
    return Connection(f"sqlite:///{folder}/mlflow.db", folder / "mlruns")


def store_in(folder: Path) -> Store:
    return choose_store(connection_in(folder), None, None)


def served(folder: Path, monkeypatch) -> tuple[str, list[dict[str, float]]]:
    monkeypatch.chdir(folder)
    return answers(load_project(ROOT / "config/config.yaml"), NAME, PICTURES)


def count(file: Path, rows: str) -> int:
    with closing(sqlite3.connect(sqlite_to_read(file), uri=True, timeout=60)) as base:
        return int(base.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])  # noqa: S608
