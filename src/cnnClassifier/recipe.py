"""One way to fit a model's tail to images: training follows it for the model itself and again for every fold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier.augmentation import View, all_views
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.extraction import FeatureExtractor, Forward
from cnnClassifier.features.network import PLAIN, predict_tail
from cnnClassifier.fitting import Examples, FitState, OnEpoch, assign, balanced_weights, fit, standardise, values_of
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import forward

STANDARDISATION_SAMPLE = 4096  # images are enough for means and deviations; keeps memory flat


def ignore_epoch(*_: object) -> None:
    """For fits that nobody watches."""


@dataclass
class Recipe:
    """A tail as it was before any fit, where its features come from, and the settings. Each fit starts from there."""

    tail: Any
    features: FeatureExtractor
    spec: ModelSpec
    config: TrainingConfig
    untrained: list[np.ndarray] = field(init=False)
    compiled: Forward = field(init=False)

    def __post_init__(self) -> None:
        # All variables: dropout's seeds, too, so that a fit does not depend on those before it.
        self.untrained = values_of(self.tail.variables)
        self.compiled = forward(self.tail)

    def search(
        self,
        fitted: Sequence[ImageRecord],
        held_out: Sequence[ImageRecord],
        checkpoint: Path,
        on_epoch: OnEpoch,
        tensorboard: Path,
    ) -> FitState:
        """Fit with early stopping on `held_out`; the tail has the best epoch's weights then."""
        train, valid = self._start(fitted), self._examples(held_out, [PLAIN])
        return fit(self.tail, train, valid, self.config, checkpoint, on_epoch, tensorboard)

    def fit_for(self, records: Sequence[ImageRecord], epochs: int, checkpoint: Path) -> None:
        """Fit on all the records for so many epochs."""
        config = self.config.model_copy(update={"epochs": epochs})
        fit(self.tail, self._start(records), None, config, checkpoint, ignore_epoch)

    def predict(self, records: Sequence[ImageRecord]) -> np.ndarray:
        """The fitted tail's probabilities, float64 (n, classes)."""
        return predict_tail(self.compiled, self.features, records)

    def _start(self, records: Sequence[ImageRecord]) -> Examples:
        examples = self._examples(records, all_views(self.config.augmentation, self.config.seed))
        assign(self.tail.variables, self.untrained)
        sample = records[:: math.ceil(len(records) / STANDARDISATION_SAMPLE)]
        standardise(self.tail, self.features.read(sample, PLAIN))
        return examples

    def _examples(self, records: Sequence[ImageRecord], views: Sequence[View]) -> Examples:
        """Examples whose features are read from the cache, each time in a view drawn at random."""
        self.features.ensure(records, views)
        classes = self.spec.classes
        labels = np.array([classes.index(record.label) for record in records])

        def read(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
            drawn = draw.integers(len(views), size=len(rows))
            items = [(records[row], views[view]) for row, view in zip(rows, drawn, strict=True)]
            return self.features.read_views(items)

        balanced = self.config.class_weights == "balanced"
        weights = balanced_weights(labels, len(classes)) if balanced else np.ones(len(labels), np.float32)
        return Examples(read, labels, weights)
