"""The last finished run: registration.json, and whether what lies beside it is still what was registered.

Stages write in place: after a run that was stopped, or after `dvc repro evaluation`, newer results stand there.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from cnnClassifier.config.types import Paths
from cnnClassifier.errors import DataError
from cnnClassifier.files import file_sha256, read_json
from cnnClassifier.model_spec import WEIGHTS_FILE

Kept = Literal["metrics", "out_of_fold", "weights"]

FILES: Mapping[Kept, Callable[[Paths], Path]] = {
    "metrics": lambda paths: paths.metrics,
    "out_of_fold": lambda paths: paths.out_of_fold,
    "weights": lambda paths: paths.model / WEIGHTS_FILE,
}


def digests(paths: Paths) -> dict[str, str]:
    """SHA-256 of the files that a registration is of."""
    return {name: file_sha256(file_of(paths)) for name, file_of in FILES.items()}


def read_finished(paths: Paths, kept: Kept) -> dict[str, Any]:
    """registration.json; DataError if no run was finished, or if the file that is asked for is of a later one."""
    if not paths.registration.is_file():
        raise DataError(f"{paths.registration}: no results yet; run `python main.py` first")
    registration: dict[str, Any] = read_json(paths.registration)
    if not is_of(registration, paths, kept):
        raise DataError(
            f"{FILES[kept](paths)} is of a later run, which was not finished: {registration['name']} version "
            f"{registration['version']} is what was registered last; run `python main.py`, it goes on where it stopped"
        )
    return registration


def is_of(registration: Mapping[str, Any], paths: Paths, kept: Kept) -> bool:
    """Whether that file is what was registered; where registration.json is older and does not say, it is believed."""
    file, known = FILES[kept](paths), registration.get("files", {}).get(kept)
    return known is None or not file.is_file() or file_sha256(file) == known
