"""Which version has an alias, in milliseconds and without mlflow, whose import takes seconds and some 100 MB.

A server that looks every half minute, and one that starts, ask here. What only mlflow can tell (other kinds of
address, certificates or sign-ins of its own) is PeekError: then `fetch` asks in a process of its own.
"""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cnnClassifier.errors import TrackingError
from cnnClassifier.files import sqlite_to_read
from cnnClassifier.model_spec import SPEC_FILE
from cnnClassifier.tracking.client import SILENCE
from cnnClassifier.tracking.connection import Connection, local_path, sqlite_file
from cnnClassifier.tracking.registry import PACKAGE_FOLDER, RegisteredModel, package_folder

API = "/api/2.0/mlflow/"
PASSWORDS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the name of a variable
SECONDS = 3.0
BY_ALIAS = """
    SELECT alias.version, version.run_id
    FROM registered_model_aliases AS alias
    JOIN model_versions AS version ON version.name = alias.name AND version.version = alias.version
    WHERE alias.name = ? AND alias.alias = ?
"""


SOURCE = "SELECT coalesce(storage_location, source) FROM model_versions WHERE name = ? AND version = ?"


class PeekError(TrackingError):
    """This can only be asked with mlflow."""


def peek(connection: Connection, name: str, alias: str) -> RegisteredModel | None:
    """As `registry.find`, without tags: the version behind an alias, or None.

    TrackingError if the server does not answer within `SECONDS`; PeekError if its answer is not understood.
    """
    if connection.is_unused:
        return None
    if connection.artifact_root:
        rows = query(connection, BY_ALIAS, (name, alias))
        return RegisteredModel(name, int(rows[0][0]), rows[0][1] or "", {}) if rows else None
    if connection.uri.startswith(("http://", "https://")):
        return _peek_server(connection, name, alias)
    raise PeekError(f"{connection.title}: neither a local SQLite file nor an http(s) server")


def at_hand(connection: Connection, model: RegisteredModel, destination: Path) -> Path | None:
    """The package of a version where it need not be fetched: fetched before, or beside a local registry."""
    places = [package_folder(destination, model)]
    if connection.artifact_root:
        rows = query(connection, SOURCE, (model.name, str(model.version)))
        source = str(rows[0][0]) if rows else ""
        places.append(local_path(source) / PACKAGE_FOLDER)
    return next((place for place in places if (place / SPEC_FILE).is_file()), None)


def query(connection: Connection, question: str, about: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """The rows of a local registry's answer; the file is opened for reading only. PeekError if it is no registry's."""
    database = sqlite_file(connection.uri)
    try:
        with closing(sqlite3.connect(sqlite_to_read(database), uri=True, timeout=SECONDS)) as file:
            rows: list[tuple[Any, ...]] = file.execute(question, about).fetchall()
    except sqlite3.Error as error:
        raise PeekError(f"{database}: not a database with MLflow's tables: {error}") from None
    return rows


def ask_server(connection: Connection, path: str, question: Mapping[str, str | int]) -> dict[str, Any]:
    """The answer of a server's REST API to what it should know; TrackingError if it does not give one."""
    if not connection.uri.startswith(("http://", "https://")):
        raise PeekError(f"{connection.title}: neither a local SQLite file nor an http(s) server")
    status, answer = _get(connection, path, question)
    if status != HTTPStatus.OK or not isinstance(answer, dict):
        raise PeekError(f"{connection.title}: an answer that is not understood (status {status})")
    return answer


def _peek_server(connection: Connection, name: str, alias: str) -> RegisteredModel | None:
    status, answer = _get(connection, "registered-models/alias", {"name": name, "alias": alias})
    return _understood(connection, name, status, answer)


def _get(connection: Connection, path: str, question: Mapping[str, str | int]) -> tuple[int, Any]:
    import requests  # what mlflow itself asks with, so proxies, .netrc and certificates are found alike

    password = [os.environ.get(each, "") for each in PASSWORDS]
    token = os.environ.get(TOKEN)
    try:
        response = requests.get(
            f"{connection.uri.rstrip('/')}{API}{path}",
            params=question,
            auth=(password[0], password[1]) if all(password) else None,
            headers={"Authorization": f"Bearer {token}"} if token and not all(password) else {},
            timeout=SECONDS,
        )
        return response.status_code, response.json()
    except requests.exceptions.SSLError as error:
        raise PeekError(f"{connection.title}: {error}") from None
    except (requests.ConnectionError, requests.Timeout):
        raise TrackingError(f"{connection.title}: cannot ask {path}: {SILENCE}") from None
    except (requests.RequestException, ValueError) as error:
        raise PeekError(f"{connection.title}: {error}") from None


def _understood(connection: Connection, name: str, status: int, answer: object) -> RegisteredModel | None:
    match status, answer:
        case 200, {"model_version": {"version": str(version), **more}} if version.isdecimal():
            return RegisteredModel(name, int(version), str(more.get("run_id") or ""), {})
        case 400 | 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}:
            return None
        case 400 | 404, {"error_code": "INVALID_PARAMETER_VALUE", "message": str(message)} if "not found" in message:
            return None
    raise PeekError(f"{connection.title}: an answer that is not understood (status {status})")
