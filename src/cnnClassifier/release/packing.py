"""A finished run's artifacts as a folder that is committed: the served package in half precision, and its evidence."""

import logging
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.destinations import Earlier, check_new_folder
from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.files import file_sha256, new_folder, read_json, write_text
from cnnClassifier.metrics.predictions import read_predictions
from cnnClassifier.model_spec import ONNX_FILE
from cnnClassifier.onnx_weights import store_in_half
from cnnClassifier.release.folder import METRICS, OUT_OF_FOLD, PARAMS, PREDICTIONS, RELEASE_FILE, Release, read_release
from cnnClassifier.release.rounding import check_rounding, measure_rounding
from cnnClassifier.tracking.run import RunRecord, params_digest, read_record
from cnnClassifier.tracking.standing import Standing

log = logging.getLogger(__name__)

MODELS = Path("models")
LARGEST = 32 * 2**20  # bytes in all: it goes into git
MIB = 2**20
NOT_TOLD = Standing()


def pack_release(
    settings: Settings, params: Path, paths: Paths, models: Path = MODELS, standing: Standing = NOT_TOLD
) -> Release:
    """Write models/<name>/ from the last run's artifacts, replacing the release that is there, and say what it is.

    `params` is the file that `settings` were read from, `standing` what the registry says of the version. DataError if
    that run is not finished or was one of other parameters; ModelError if its version has no score, if rounding changes
    an answer or a probability by 0.01, or if the folder is 32 MiB or more; ConfigError if something else would be lost
    there.
    """
    registration = _finished(settings, paths)
    destination = models / settings.registration.name
    check_new_folder(destination, _earlier(destination))
    with new_folder(destination) as folder:
        _copy_files(paths, params, folder)
        store_in_half(paths.package / ONNX_FILE, folder / ONNX_FILE)
        rounding = measure_rounding(paths.package, folder, paths.images, read_predictions(paths.predictions))
        check_rounding(rounding, paths.package)
        release = Release(
            **_origin(registration, paths),
            promoted=standing.promoted,
            rounding=rounding,
            files={f.name: file_sha256(f) for f in _files(folder)},
        )
        write_text(release.model_dump_json(indent=2) + "\n", folder / RELEASE_FILE)
        _check_size(folder)
    _warn_if_not_champion(registration, standing)
    return release


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(file.stat().st_size for file in _files(folder))


def _warn_if_not_champion(registration: Mapping[str, Any], standing: Standing) -> None:
    version = registration["version"]
    if not registration["champion"] and standing.promoted is None:
        log.warning("this version did not become champion: %s", registration["reason"])
    elif standing.is_another(version):
        log.warning("this version, %d, is no longer champion: %s", version, standing.champion_now())


def _finished(settings: Settings, paths: Paths) -> dict[str, Any]:
    """registration.json of the last run, if that was one of these settings."""
    record = read_record(paths.cache)
    if not paths.registration.is_file() or record is None:
        raise DataError(f"{paths.registration}: no finished run; run `python main.py` first")
    registration: dict[str, Any] = read_json(paths.registration)
    if not _is_of(record, settings, registration):
        raise DataError(
            f"{paths.registration} is of a run with other parameters than params.yaml, or of one that was started "
            "again and not finished; run `python main.py`, and where it finds nothing to do "
            "`dvc repro --force --single-item registration`"
        )
    if registration["score"] is None:
        raise ModelError(
            f"{paths.registration}: version {registration['version']} has no value of {registration['metric']}, which "
            "a release is known by; see what is missing in metrics.json, or choose another registration.metric and run "
            "`python main.py`"
        )
    return registration


def _is_of(record: RunRecord, settings: Settings, registration: dict[str, Any]) -> bool:
    same_run = record.finished and record.run_id == registration["run_id"]
    return same_run and record.params_digest == params_digest(settings)


def _earlier(folder: Path) -> Earlier:
    """A release says itself which files it has."""
    own = read_release(folder).files if (folder / RELEASE_FILE).is_file() else ()
    return Earlier("an earlier release", always=(RELEASE_FILE,), perhaps=own)


def _copy_files(paths: Paths, params: Path, folder: Path) -> None:
    shutil.copytree(paths.package, folder, ignore=shutil.ignore_patterns(ONNX_FILE), dirs_exist_ok=True)
    copies = {
        METRICS: paths.metrics,
        OUT_OF_FOLD: paths.out_of_fold,
        PREDICTIONS: paths.predictions,
        PARAMS: params,
    }
    for name, source in copies.items():
        shutil.copyfile(source, folder / name)


def _origin(registration: dict[str, Any], paths: Paths) -> dict[str, Any]:
    if "commit" not in registration:
        log.warning("%s is of an earlier version and does not say the run's commit", paths.registration)
    return {
        **{key: registration[key] for key in ("name", "run_id", "metric", "score")},
        "gate": registration["reason"],
        "date": datetime.now(UTC).date().isoformat(),
        "commit": registration.get("commit"),
        "uncommitted_changes": registration.get("uncommitted_changes"),
        "data": {
            "audited_manifest_sha256": file_sha256(paths.audited_manifest),
            "test_sha256": read_json(paths.metrics)["data"]["test_sha256"],
        },
    }


def _check_size(folder: Path) -> None:
    size = size_of(folder)
    if size >= LARGEST:
        sizes = ", ".join(f"{file.name} {file.stat().st_size / MIB:.2f}" for file in _files(folder))
        raise ModelError(
            f"a released model goes into git and must be below {LARGEST // MIB} MiB; this one would be "
            f"{size / MIB:.1f} ({sizes}). Nothing was released; choose a smaller backbone or head"
        )


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file())
