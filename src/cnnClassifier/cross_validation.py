"""Out-of-fold predictions: every image is judged by a model that saw no image of its group."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cnnClassifier.files import new_file
from cnnClassifier.folds import Folds
from cnnClassifier.recipe import Recipe

log = logging.getLogger(__name__)

# A fold, and the probabilities of its images by the model of all others, float64 (n, classes).
Predicted = tuple[int, np.ndarray]

# Fits and predicts the folds of these numbers, in any order.
FitFolds = Callable[[Recipe, Folds, Sequence[int]], Iterator[Predicted]]


def fit_here(recipe: Recipe, folds: Folds, numbers: Sequence[int], checkpoints: Path) -> Iterator[Predicted]:
    """One fold after the other, on one compiled network; a fit that was cut short goes on from `checkpoints`."""
    for number in numbers:
        rest, held_out = folds.parts(number)
        log.info("fold %d: fitting on %d images, predicting %d of other groups", number + 1, len(rest), len(held_out))
        recipe.fit_for(rest, folds.epochs, checkpoints / f"fold{number}.npz")
        yield number, recipe.predict(held_out)


def cross_validate(recipe: Recipe, folds: Folds, checkpoints: Path, elsewhere: FitFolds | None = None) -> np.ndarray:
    """Probabilities of every record by the model of the other folds, float64 (n, classes).

    Each model is fitted for the same number of epochs, which early stopping chose once. A finished fold is kept
    in `checkpoints` and not fitted again after a kill. Folds are fitted here, unless `elsewhere` says where.
    """
    finished = {number: checkpoints / f"fold{number}.predicted.npy" for number in folds.numbers}
    lacking = [number for number, file in finished.items() if not file.is_file()]
    if lacking:
        fitted = elsewhere(recipe, folds, lacking) if elsewhere else fit_here(recipe, folds, lacking, checkpoints)
        for number, predicted in fitted:
            with new_file(finished[number]) as partial, partial.open("wb") as file:
                np.save(file, predicted)
    probabilities = np.empty((len(folds.records), len(recipe.spec.classes)))
    for number, kept in finished.items():
        probabilities[folds.fold == number] = np.load(kept)
    return probabilities
