"""All stages that are out of date, through DVC; and what it does not watch: source, file of weights, registry."""

import logging
import os
import subprocess
import sys
from pathlib import Path

from cnnClassifier.config.data import DataIngestionConfig
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import Paths, PrepareBaseModelConfig
from cnnClassifier.environment import WITHIN_PIPELINE
from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.files import file_sha256, read_json

log = logging.getLogger(__name__)


def reproduce() -> None:
    """Run `dvc repro` on the active parameters; what is bad in them or the tracking server is told before."""
    settings, project = load_settings(), load_project()
    from cnnClassifier.tracking.connection import connect
    from cnnClassifier.tracking.ending import finish_skipped
    from cnnClassifier.tracking.registry import registered_as

    connection = connect(project.tracking)
    connection.check()
    log.info("running the pipeline for %s", settings.registration.name)
    ingest_what_changed(settings.data_ingestion, project.paths)
    prepare_what_changed(settings.prepare_base_model, project.paths)
    _repro()
    if registered_as(connection, project.paths.registration) is None:
        log.info("%s has not heard of this model, which was registered elsewhere", connection.title)
        _repro("--force", "--single-item", "registration")
    finish_skipped(connection, settings, project.paths)


def ingest_what_changed(config: DataIngestionConfig, paths: Paths) -> None:
    """Ingest a folder, archive or table again if it is not what it was.

    DVC does not watch it, and takes what was ingested by the same values before from its cache. Raises DataError for a
    source that is refused: DVC would go on with what was ingested before it became faulty.
    """
    from cnnClassifier.datasets.fingerprint import absent_part, fingerprint

    if absent := absent_part(config):  # no error: a clone that pulled what was ingested needs no source
        log.warning("%s is not here, or is empty: what was ingested of it before is used, if anything was", absent)
        return
    if (now := fingerprint(config)) is None:
        return
    _repro("data_ingestion")
    if read_json(paths.source)["fingerprint"] != now:
        log.info("the source has changed since it was ingested")
        _repro("--force", "--single-item", "data_ingestion")


def prepare_what_changed(config: PrepareBaseModelConfig, paths: Paths) -> None:
    """Build the base model again if the file that `weights` names is another by now: DVC does not watch that either.

    A file that is not here is no error: a clone that pulled the base model needs none.
    """
    from cnnClassifier.model_spec import PRETRAINED_DIGEST

    file = config.weights_file
    if file is None or not file.is_file():
        return
    _repro("prepare_base_model")
    if (paths.base_model / PRETRAINED_DIGEST).read_text() != file_sha256(file):
        log.info("%s has changed since the base model was built", file)
        _repro("--force", "--single-item", "prepare_base_model")


def _repro(*options: str) -> None:
    outcome = subprocess.run([sys.executable, "-m", "dvc", "repro", *options], env=_environment(), check=False)
    if outcome.returncode:
        raise CnnClassifierError(
            "the pipeline stopped at the stage above; what came before it is kept, run the same command again to go on"
        )


def _environment() -> dict[str, str]:
    """DVC calls `python main.py`: that must be this interpreter, whatever the PATH says."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, WITHIN_PIPELINE: "1"}
