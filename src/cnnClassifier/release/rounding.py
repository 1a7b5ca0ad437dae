"""What half precision costs: the answers of two packages to the same real images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.inference import Classifier, Prediction
from cnnClassifier.metrics.predictions import Predictions
from cnnClassifier.release.folder import Rounding

LARGEST_DIFFERENCE = 0.01  # of a probability


def measure_rounding(exact: Path, rounded: Path, images: Path, tested: Predictions) -> Rounding:
    """Ask both packages about every image of a table of predictions, whose files lie below `images`."""
    packages = [Classifier.load(folder, folder.name, "unregistered") for folder in (exact, rounded)]
    files = [images / path for path in tested.paths]
    pairs = [_answers(packages, file) for file in tqdm(files, desc="asking both packages", unit="image", disable=None)]
    predicted = [tested.classes[column] for column in tested.probabilities.argmax(axis=1)]
    return Rounding(
        images=len(pairs),
        largest_difference=_significant(max(map(_difference, pairs))),
        changed_answers=sum((a.state, a.label) != (b.state, b.label) for a, b in pairs),
        changed_sets=sum(set(a.prediction_set) != set(b.prediction_set) for a, b in pairs),
        other_than_predicted=sum(_first(b) != name for (_, b), name in zip(pairs, predicted, strict=True)),
    )


def check_rounding(rounding: Rounding, package: Path) -> None:
    """Raise ModelError if the metrics of the unrounded model would not be true of the rounded one."""
    changed = max(rounding.changed_answers, rounding.other_than_predicted)
    if changed or not rounding.largest_difference < LARGEST_DIFFERENCE:
        raise ModelError(
            f"{package}: in half precision it answers {changed} of {rounding.images} test images differently, and "
            f"probabilities move by up to {rounding.largest_difference:.2g} (limit {LARGEST_DIFFERENCE}); its metrics "
            "would not be those of the released model. Nothing was released; train with another seed or less "
            "extreme weights"
        )


def _answers(packages: Sequence[Classifier], file: Path) -> tuple[Prediction, Prediction]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; run `python main.py` to bring the test images here") from None
    exact, rounded = (package.classify(data) for package in packages)
    return exact, rounded


def _difference(pair: tuple[Prediction, Prediction]) -> float:
    exact, rounded = (np.array(list(answer.probabilities.values())) for answer in pair)
    return float(np.abs(exact - rounded).max())


def _first(answer: Prediction) -> str:
    """The most probable class, whatever the rules made of it."""
    return max(answer.probabilities, key=answer.probabilities.__getitem__)


def _significant(value: float) -> float:
    return float(f"{value:.3g}")
