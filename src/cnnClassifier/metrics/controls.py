"""What rules that know nothing of medicine reach on the same images: if they come near the model, beware.

Arrays: `vectors` or `facts` (n, k) numbers that describe each image; `labels` (n,) class indices. Each control gives
probabilities (n, classes), so that it is reported on as a model is.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.classification import Floats, Integers

Control = Callable[[NDArray[np.floating], Integers, NDArray[np.floating], int], Floats]

CELLS_AT_A_TIME = 16_000_000  # of the table of similarities: 64 MB, whatever the number of images
TREES = 300

RULES = {
    "nearest_neighbour": (
        "the 1-nearest-neighbour rule",
        "this number measures how similar these images are to the training images as much as what the model learned",
    ),
    "shortcut": (
        "a rule that sees only file format, size, border and brightness",
        "this number can be had without looking at what the pictures show",
    ),
}


def nearest_neighbour(
    train: NDArray[np.floating], labels: Integers, query: NDArray[np.floating], classes: int
) -> Floats:
    """Each query image gets the label of the training image most like it by cosine: 1 for that class, 0 for others.

    Of equally near ones the first counts. Memory does not grow with the number of query images.
    """
    known, asked = _directions(train), _directions(query)
    rows = max(1, CELLS_AT_A_TIME // len(known))
    nearest = [(asked[first : first + rows] @ known.T).argmax(axis=1) for first in range(0, len(asked), rows)]
    one_hot: Floats = np.eye(classes)[labels[np.concatenate(nearest)]]
    return one_hot


def shortcut(
    train: NDArray[np.floating], labels: Integers, query: NDArray[np.floating], classes: int, *, seed: int
) -> Floats:
    """What a random forest says of images when it is told only facts about their files; the same for the same seed."""
    forest = RandomForestClassifier(TREES, class_weight="balanced", random_state=seed, n_jobs=2)
    forest.fit(train, labels)
    # Two threads add up the trees in changing order, and the last digit can decide a tie.
    known = forest.set_params(n_jobs=1).predict_proba(query)
    probabilities = np.zeros((len(query), classes))
    probabilities[:, forest.classes_] = known
    return probabilities


def grouped(control: Control, vectors: NDArray[np.floating], labels: Integers, folds: Integers, classes: int) -> Floats:
    """A control's probabilities (n, classes) for each fold, taught on the other folds alone.

    Raises DataError when there is only one fold.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise DataError(f"a control by groups needs two folds or more. Received: {len(names)}")
    probabilities = np.zeros((len(labels), classes))
    for fold in names:
        here = folds == fold
        probabilities[here] = control(vectors[~here], labels[~here], vectors[here], classes)
    return probabilities


def verdicts(metrics: Mapping[str, Any], metric: str = "balanced_accuracy") -> list[str]:
    """A sentence for each control that comes within the model's interval, or above it; once for protocols of the same
    figures. Where no interval is known, for each that is as good as the model's value.

    `metrics` as in metrics.json: `controls.<protocol>.<control>` beside the protocols themselves.
    """
    said: dict[str, list[str]] = {}
    for protocol, control, found in _controls(metrics):
        value, model = found[metric]["value"], metrics[protocol][metric]
        if _comes_near(value, model):
            said.setdefault(_sentence(RULES[control], value, model, metric), []).append(protocol.replace("_", " "))
    return [f"{', '.join(protocols)}: {sentence}" for sentence, protocols in said.items()]


def _controls(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for protocol, controls in metrics.get("controls", {}).items():
        for control in RULES:
            if control in controls and protocol in metrics:
                yield protocol, control, controls[control]


def _comes_near(control: float | None, model: Mapping[str, float | None]) -> bool:
    return control is not None and control >= _limit(model, "low")


def _limit(model: Mapping[str, float | None], end: str) -> float:
    """That end of the model's interval; where no interval is known, its value, which none reaches if there is none."""
    return next((found for found in (model[end], model["value"]) if found is not None), math.inf)


def _sentence(rule: tuple[str, str], control: float, model: Mapping[str, float | None], metric: str) -> str:
    name, meaning = rule
    verdict = "is better than" if control > _limit(model, "high") else "cannot be told from"
    limits = "of no known interval" if model["low"] is None else f"{model['low']:.3f} to {model['high']:.3f}"
    interval = f"{model['value']:.3f}, {limits}"
    measure = metric.replace("_", " ")
    return f"{name} ({measure} {control:.3f}) {verdict} the model ({interval}): {meaning}."


def _directions(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
