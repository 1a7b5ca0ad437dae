"""The model that comes with the code, put into a registry as if the pipeline had just registered it.

By itself only into an empty local one (docs/released_model.md): nobody's server gets a model that nobody sent there.
"""

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cnnClassifier.config.loading import load_released_settings
from cnnClassifier.config.types import Settings
from cnnClassifier.errors import CnnClassifierError, ModelError, TrackingError
from cnnClassifier.files import read_json
from cnnClassifier.model_spec import read_spec
from cnnClassifier.release.folder import METRICS, OUT_OF_FOLD, PARAMS, PREDICTIONS, RELEASE_FILE, Release, read_release
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.registry import CHAMPION, RegisteredModel
from cnnClassifier.tracking.run import PipelineRun, open_run
from cnnClassifier.tracking.stages import Artifact
from cnnClassifier.tracking.values import numbers

log = logging.getLogger(__name__)

LOCK, LOCK_SECONDS = "import.lock", 300
WEIGHTS_TAG = "released.sha256"
EVIDENCE = (METRICS, OUT_OF_FOLD, PARAMS, PREDICTIONS, RELEASE_FILE)  # what is not the served package
# Each file's folder in the run: where a pipeline's run has it, and the champion's gate looks for it.
PLACES = {METRICS: "evaluation", PREDICTIONS: "evaluation", OUT_OF_FOLD: "training"}
CARD_PLACE, OTHER_PLACE = "registration/model_card", "registration"


def import_release(connection: Connection, folder: Path, cache: Path) -> int:
    """Register a released model, make it champion, give its version; ModelError if its name has a version already."""
    release = read_release(folder)
    with _alone(cache):
        found = registry.versions(connection, release.name)
        version = _import_unless(found, connection, folder, release, cache)
    if version is None:
        have = ", ".join(str(each.version) for each in found)
        raise ModelError(
            f"{connection.title}: {release.name} has version {have} already, and a released model never takes the "
            f"place of one; `python main.py promote` moves the alias, and CNNCLASSIFIER_MODEL_DIR={folder} serves it"
        )
    return version


def import_if_empty(connection: Connection, folder: Path, cache: Path) -> int | None:
    """The same for a local registry that has no version of any model; None, and nothing done, for any other.

    What goes wrong is a warning: whoever serves or registers something else can go on.
    """
    if not connection.artifact_root or not (folder / RELEASE_FILE).is_file():
        return None
    try:
        with _alone(cache):
            connection.check()
            found = registry.versions(connection)
            return _import_unless(found, connection, folder, read_release(folder), cache)
    except CnnClassifierError as error:
        log.warning("%s is not imported into the registry: %s", folder, error)
        return None


def _import_unless(
    found: Sequence[RegisteredModel], connection: Connection, folder: Path, release: Release, cache: Path
) -> int | None:
    """Import, or finish an import that was killed; None if versions were found that are something else."""
    if found and not _is_unfinished(found, connection, release):
        return None
    settings = load_released_settings(folder / PARAMS)
    run = open_run(connection, settings, cache / "released")
    version = found[0].version if found else _register(run, folder, release, settings)
    registry.set_alias(connection, release.name, version, CHAMPION)
    run.finish()
    log.info("%s is %s version %d and champion in %s", folder, release.name, version, connection.title)
    return version


def _is_unfinished(found: Sequence[RegisteredModel], connection: Connection, release: Release) -> bool:
    only = found[0]
    is_ours = len(found) == 1 and only.name == release.name and only.tags.get(WEIGHTS_TAG) == release.weights_sha256
    return is_ours and registry.find(connection, release.name, CHAMPION) is None


def _register(run: PipelineRun, folder: Path, release: Release, settings: Settings) -> int:
    spec = read_spec(folder)
    tags = {
        release.metric: f"{release.score:.6f}",
        registry.TEST_DATA_TAG: release.data["test_sha256"],
        "synthetic": str(spec.synthetic).lower(),
        "gate.reason": f"imported from {folder}; in the registry where it was made: {release.gate}",
        **({registry.PROMOTED_TAG: release.promoted} if release.promoted else {}),
        "released.date": release.date,
        WEIGHTS_TAG: release.weights_sha256,
    }
    run.log_results(_artifacts(folder), numbers(read_json(folder / METRICS)), _origin(release))
    with tempfile.TemporaryDirectory(prefix="cnnClassifier-released-") as scratch:
        # Not all of the folder: a package holds what serving needs.
        package = shutil.copytree(folder, Path(scratch) / "package", ignore=shutil.ignore_patterns(*EVIDENCE))
        pyfunc = Path(scratch) / "pyfunc"
        save_pyfunc(package, None, pyfunc, spec)
        return registry.register(run, pyfunc, release.name, settings.registration.description, tags)


def _artifacts(folder: Path) -> list[Artifact]:
    cards = [Artifact(file, CARD_PLACE) for file in sorted(folder.glob("model_card.*"))]
    return [*(Artifact(folder / name, PLACES.get(name, OTHER_PLACE)) for name in EVIDENCE), *cards]


def _origin(release: Release) -> dict[str, str]:
    """A run says what code it is of: that is the code of the release, not what imports it."""
    origin = {"released.date": release.date, "released.run_id": release.run_id}
    if release.commit is not None:
        origin["mlflow.source.git.commit"] = release.commit
        origin["git.dirty"] = str(release.uncommitted_changes).lower()
    return origin


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One importer at a time in a project. A lock of SQLite's ends with its process, on every system."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(cache / LOCK, timeout=LOCK_SECONDS, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{cache / LOCK}: cannot be had; does another process import the model? {error}") from None
    with closing(lock):
        yield
