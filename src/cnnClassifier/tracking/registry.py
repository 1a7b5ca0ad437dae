"""Register a model, find it by alias, move an alias, fetch what is served.

Only requests that servers since MLflow 2.3 know: nothing here needs the logged models of MLflow 3.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cnnClassifier import DISCLAIMER
from cnnClassifier.errors import ModelError, TrackingError
from cnnClassifier.model_spec import SPEC_FILE
from cnnClassifier.tracking.client import error_code, import_mlflow, tracking_errors
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.packaging import PACKAGE_ARTIFACT
from cnnClassifier.tracking.run import PipelineRun

CHALLENGER, CHAMPION = "challenger", "champion"
MODEL_FOLDER = "model"  # in the run's artifacts
PACKAGE_FOLDER = f"artifacts/{PACKAGE_ARTIFACT}"  # in the model folder
READY_SECONDS = 60
UNSUPPORTED = ("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED")
ABSENT = (
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
)  # the second: the model is there, the alias not


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the registry."""

    name: str
    version: int
    run_id: str
    tags: Mapping[str, str]


class ServedPackage(NamedTuple):
    """A fetched package folder (model.onnx and model.json) and what it is called."""

    folder: Path
    version: str
    name: str


def register(run: PipelineRun, model_folder: Path, name: str, description: str, tags: Mapping[str, str]) -> int:
    """Upload a folder of `save_pyfunc` to the run, register it, make it challenger; the new version.

    TrackingError when the server has no registry: the model folder is then in the run all the same.
    """
    client, uri = run.connection.client, run.connection.uri
    described = f"{description}\n\n{DISCLAIMER}"
    with tracking_errors(uri, "upload the model"):
        client.log_artifacts(run.run_id, str(model_folder), MODEL_FOLDER)
        source = f"{client.get_run(run.run_id).info.artifact_uri}/{MODEL_FOLDER}"
    with tracking_errors(uri, "register the model"), _registry_needed(run):
        _create_name(client, name, described)
        created = client.create_model_version(
            name, source, run.run_id, dict(tags), description=described, await_creation_for=READY_SECONDS
        )
    set_alias(run.connection, name, int(created.version), CHALLENGER)
    return int(created.version)


def find(connection: Connection, name: str, alias: str) -> RegisteredModel | None:
    """The version behind an alias; None if there is no such model or alias."""
    with tracking_errors(connection.uri, f"look up {name}@{alias}"):
        try:
            found = connection.client.get_model_version_by_alias(name, alias)
        except import_mlflow().exceptions.MlflowException as error:
            if not _says_absent(error):
                raise
            return None
    return RegisteredModel(name, int(found.version), found.run_id or "", dict(found.tags))


def set_alias(connection: Connection, name: str, version: int, alias: str) -> None:
    """Point an alias at a version."""
    with tracking_errors(connection.uri, f"call version {version} of {name} {alias!r} (MLflow 2.3 can)"):
        connection.client.set_registered_model_alias(name, alias, str(version))


def download(connection: Connection, name: str, alias: str, destination: Path) -> ServedPackage:
    """Fetch the package behind an alias into its own folder under `destination`, unless it is there already.

    The folder is called after name, version and run, so packages of two registries cannot be confused.
    ModelError if nothing has that alias.
    """
    found = find(connection, name, alias)
    if found is None:
        raise ModelError(f"{connection.title}: no model {name}@{alias}; run the pipeline to register one")
    folder = destination / f"{name}-{found.version}-{found.run_id[:8]}"
    if not folder.is_dir():
        _fetch(connection, found, folder)
    return ServedPackage(folder, str(found.version), name)


def _says_absent(error: Exception) -> bool:
    """No such model, or the model is there and the alias is not: servers have a code of their own for each."""
    no_alias = error_code(error) == "INVALID_PARAMETER_VALUE" and "not found" in str(error)
    return no_alias or error_code(error) == "RESOURCE_DOES_NOT_EXIST"


def _fetch(connection: Connection, model: RegisteredModel, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as partial:
        with tracking_errors(connection.uri, f"fetch {model.name} version {model.version}"):
            source = connection.client.get_model_version_download_uri(model.name, str(model.version))
            fetched = Path(_download(connection, f"{source}/{PACKAGE_FOLDER}", partial))
        if not (fetched / SPEC_FILE).is_file():
            raise TrackingError(
                f"{connection.title}: version {model.version} of {model.name} holds no served package; "
                "was it registered by another project?"
            )
        _move_into_place(fetched, folder)


def _download(connection: Connection, artifact_uri: str, destination: str) -> str:
    fetched = import_mlflow().artifacts.download_artifacts(
        artifact_uri=artifact_uri, dst_path=destination, tracking_uri=connection.uri
    )
    return str(fetched)


def _move_into_place(fetched: Path, folder: Path) -> None:
    try:
        fetched.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same files
            raise


def _create_name(client: Any, name: str, description: str) -> None:
    try:
        client.create_registered_model(name, description=description)
    except import_mlflow().exceptions.MlflowException as error:
        if error_code(error) != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _registry_needed(run: PipelineRun) -> Iterator[None]:
    """Say exactly what is lacking when a server tracks runs but registers no models."""
    try:
        yield
    except import_mlflow().exceptions.MlflowException as error:
        if error_code(error) not in UNSUPPORTED and "not supported by the store" not in str(error):
            raise
        raise TrackingError(
            f"{run.connection.title}: no model registry here (registered-models/create is refused); "
            f"run {run.run_id} with its results and model folder is logged there. Use a server with a "
            "registry, or serve the package folder itself with CNNCLASSIFIER_MODEL_DIR"
        ) from error
