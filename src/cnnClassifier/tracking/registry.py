"""Register a model, find it by alias, move an alias and say why, fetch what is served.

Only requests that servers since MLflow 2.3 know: nothing here needs the logged models of MLflow 3.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cnnClassifier import DISCLAIMER
from cnnClassifier.errors import ModelError, TrackingError
from cnnClassifier.files import read_json
from cnnClassifier.model_spec import SPEC_FILE
from cnnClassifier.tracking.client import error_code, import_mlflow, tracking_errors
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.packaging import PACKAGE_ARTIFACT
from cnnClassifier.tracking.run import PipelineRun
from cnnClassifier.tracking.values import legal_name

CHALLENGER, CHAMPION = "challenger", "champion"
MODEL_FOLDER = "model"  # in the run's artifacts
PACKAGE_FOLDER = f"artifacts/{PACKAGE_ARTIFACT}"  # in the model folder
READY_SECONDS = 60
TEST_DATA_TAG = "data.test_sha256"
PROMOTED_TAG = "promoted.because"
TAG_LENGTH = 5000  # what servers keep of a version's tag
UNSUPPORTED = ("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED")


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


def find_version(connection: Connection, name: str, version: int) -> RegisteredModel:
    """A version by its number; ModelError listing the versions if there is no such one."""
    known = versions(connection, name)
    _check_known(connection, name, version, known)
    return next(each for each in known if each.version == version)


def registered_as(connection: Connection, registration: Path) -> RegisteredModel | None:
    """The version that registration.json names, of the same run; None where a registry lacks it, as a clone's own."""
    told = read_json(registration)
    known = versions(connection, told["name"])
    return next((each for each in known if (each.version, each.run_id) == (told["version"], told["run_id"])), None)


def versions(connection: Connection, name: str | None = None) -> list[RegisteredModel]:
    """Every version of a model, oldest first; without a name, every version of all models."""
    with tracking_errors(connection.uri, f"list the versions of {name or 'all models'}"):
        found = connection.client.search_model_versions(f"name='{name}'" if name else None)
    models = (RegisteredModel(each.name, int(each.version), each.run_id or "", dict(each.tags)) for each in found)
    return sorted(models, key=lambda model: (model.name, model.version))


def set_alias(connection: Connection, name: str, version: int, alias: str) -> None:
    """Point an alias at a version."""
    with tracking_errors(connection.uri, f"call version {version} of {name} {alias!r} (MLflow 2.3 can)"):
        connection.client.set_registered_model_alias(name, alias, str(version))


def record_decision(
    run: PipelineRun, name: str, version: int, tags: Mapping[str, str], numbers: Mapping[str, float]
) -> None:
    """Keep what the gate decided: tags on the version, and its numbers as metrics `gate.<name>` of the run."""
    now = time.time_ns() // 1_000_000
    metric = import_mlflow().entities.Metric
    metrics = [metric(legal_name(f"gate.{key}"), value, now, 0) for key, value in numbers.items()]
    with tracking_errors(run.connection.uri, "record the gate's decision"):
        run.connection.client.log_batch(run.run_id, metrics=metrics)
    _set_tags(run.connection, name, version, tags)


def promote(connection: Connection, name: str, version: int, because: str) -> int | None:
    """Make a version champion whatever the gate said, recorded in tags of it and of the one it replaces.

    Gives the version that was champion before, or None. ModelError listing the versions if there is no such one.
    """
    find_version(connection, name, version)
    found = find(connection, name, CHAMPION)
    before = found.version if found else None
    if before == version:
        return before
    record = {"because": because, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    # The record comes first: a champion without one must not be, whenever the server is lost.
    promoted = {PROMOTED_TAG: because, "promoted.at": record["at"], "promoted.replaced": str(before or "none")}
    _set_tags(connection, name, version, promoted)
    set_alias(connection, name, version, CHAMPION)
    if before is not None:
        by = {"replaced.by": str(version)}
        _set_tags(connection, name, before, by | {f"replaced.{key}": text for key, text in record.items()})
    return before


def fetch_file(connection: Connection, run_id: str, artifact: str, destination: Path) -> Path | None:
    """A file of a run's artifacts, such as training/history.csv; None if the run or the file is no longer there."""
    folder, _, _ = artifact.rpartition("/")
    artifacts = import_mlflow().artifacts
    with tracking_errors(connection.uri, f"fetch {artifact} of run {run_id}"):
        root = _artifact_root(connection, run_id) if run_id else None
        # Asked by address, as download is: old servers do not know what a client of today asks about a run.
        listed = root and artifacts.list_artifacts(artifact_uri=f"{root}/{folder}", tracking_uri=connection.uri)
        if Path(artifact).name not in {Path(each.path).name for each in listed or ()}:
            return None
        return Path(_download(connection, f"{root}/{artifact}", str(destination)))


def download(connection: Connection, name: str, alias: str, destination: Path) -> ServedPackage:
    """Fetch the package behind an alias into its own folder under `destination`, unless it is there already.

    The folder is called after name, version and run, so packages of two registries cannot be confused.
    ModelError if nothing has that alias.
    """
    found = find(connection, name, alias)
    if found is None:
        raise ModelError(f"{connection.title}: no model {name}@{alias}; run the pipeline to register one")
    return download_version(connection, found, destination)


def download_version(connection: Connection, model: RegisteredModel, destination: Path) -> ServedPackage:
    """Fetch a version's package into its own folder under `destination`, unless it is there already."""
    folder = package_folder(destination, model)
    if not folder.is_dir():
        _fetch(connection, model, folder)
    return ServedPackage(folder, str(model.version), model.name)


def package_folder(destination: Path, model: RegisteredModel) -> Path:
    """Where `download` puts a version's package."""
    return destination / f"{model.name}-{model.version}-{model.run_id[:8]}"


def _artifact_root(connection: Connection, run_id: str) -> str | None:
    try:
        return str(connection.client.get_run(run_id).info.artifact_uri)
    except import_mlflow().exceptions.MlflowException as error:
        if error_code(error) != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _check_known(connection: Connection, name: str, version: int, known: list[RegisteredModel]) -> None:
    if not known:
        raise ModelError(f"{connection.title}: no model {name}; run the pipeline to register one")
    if version not in [each.version for each in known]:
        have = ", ".join(str(each.version) for each in known)
        raise ModelError(f"{connection.title}: {name} has no version {version}; there are: {have}")


def _set_tags(connection: Connection, name: str, version: int, tags: Mapping[str, str]) -> None:
    with tracking_errors(connection.uri, f"tag version {version} of {name}"):
        for key, text in tags.items():
            connection.client.set_model_version_tag(name, str(version), key, text[:TAG_LENGTH])


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
