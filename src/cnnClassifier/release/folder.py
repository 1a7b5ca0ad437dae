"""What a released model's folder holds, beside the served package: where it comes from and how it was judged."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cnnClassifier.config.section import Section
from cnnClassifier.errors import ModelError
from cnnClassifier.model_spec import ONNX_FILE

RELEASE_FILE = "release.json"
PARAMS = "params.yaml"
METRICS, OUT_OF_FOLD, PREDICTIONS = "metrics.json", "out_of_fold.csv", "predictions.csv"


class Rounding(Section):
    """What half precision does to answers, measured on the test images with the packages as they are served.

    `largest_difference` is that of any calibrated probability; `changed_answers` counts images with another state or
    label than the unrounded package gives, `other_than_predicted` those with another most probable class than in
    predictions.csv. `changed_sets` counts other prediction sets.
    """

    images: int
    largest_difference: float
    changed_answers: int
    changed_sets: int
    other_than_predicted: int


class Release(Section):
    """release.json. `files` gives each file's SHA-256; `data` the SHA-256 of the manifest and of the test split.

    `commit` is the one that the run was started at, or taken up again after a failure; `uncommitted_changes` whether
    files differed from it; None for what the run did not say. `gate` is what the gate decided when it was registered,
    `promoted` why somebody made it champion all the same.
    """

    format: Literal[1] = 1
    name: str
    date: str
    commit: str | None
    uncommitted_changes: bool | None
    run_id: str
    metric: str
    score: float
    gate: str
    promoted: str | None = None
    data: dict[str, str]
    rounding: Rounding
    files: dict[str, str]

    @property
    def weights_sha256(self) -> str:
        """What tells this model from every other."""
        return self.files[ONNX_FILE]


def read_release(folder: Path) -> Release:
    """Read release.json; ModelError naming the file and what is wrong with it."""
    path = folder / RELEASE_FILE
    try:
        return Release.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; `python main.py release` writes a released model") from None
    except ValidationError as error:
        raise ModelError(f"{path}: not a release that this version reads: {error}") from None
