"""Fetch a registered version whole: the served package, and the Keras model that it was made of."""

from dataclasses import dataclass
from pathlib import Path

from cnnClassifier.errors import ModelError
from cnnClassifier.tracking.client import import_mlflow, tracking_errors
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.packaging import KERAS_ARTIFACT, PACKAGE_ARTIFACT
from cnnClassifier.tracking.registry import RegisteredModel, find, versions

TRAIN = "run the pipeline to register one"


@dataclass(frozen=True)
class Original:
    """A version's folders; `keras` is None for an ensemble and a model that came with the code: packages alone."""

    model: RegisteredModel
    package: Path
    keras: Path | None


def fetch_original(
    connection: Connection, name: str, version: int | None, alias: str, destination: Path, advice: str = TRAIN
) -> Original:
    """Fetch a version, or without a number what has the alias, into a folder.

    ModelError if there is none, with the advice how to get a first one.
    """
    model = _choose(connection, name, version, alias, advice)
    with tracking_errors(connection.uri, f"fetch {name} version {model.version}"):
        artifacts = import_mlflow().artifacts
        source = connection.client.get_model_version_download_uri(name, str(model.version))
        kept = f"{source}/artifacts"
        present = artifacts.list_artifacts(artifact_uri=kept, tracking_uri=connection.uri)
        names = {Path(each.path).name for each in present}
        folders = {
            part: Path(
                artifacts.download_artifacts(
                    artifact_uri=f"{kept}/{part}", dst_path=str(destination), tracking_uri=connection.uri
                )
            )
            for part in (PACKAGE_ARTIFACT, KERAS_ARTIFACT)
            if part in names
        }
    if PACKAGE_ARTIFACT not in folders:
        raise ModelError(f"{connection.title}: version {model.version} of {name} holds no served package")
    return Original(model, folders[PACKAGE_ARTIFACT], folders.get(KERAS_ARTIFACT))


def _choose(connection: Connection, name: str, version: int | None, alias: str, advice: str) -> RegisteredModel:
    unused = connection.is_unused  # asking would make MLflow's tables
    if version is None:
        found = None if unused else find(connection, name, alias)
        if found is None:
            raise ModelError(f"{connection.title}: no model {name}@{alias}; {advice}")
        return found
    known = [] if unused else versions(connection, name)
    for model in known:
        if model.version == version:
            return model
    have = ", ".join(str(model.version) for model in known) or f"none; {advice}"
    raise ModelError(f"{connection.title}: {name} has no version {version}; there are: {have}")
