"""One way to fit a model's tail to images: training follows it for the model itself and again for every fold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier.augmentation import AnyView, View, all_views
from cnnClassifier.balancing import Balancing
from cnnClassifier.compiled_tail import CompiledTail
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.extraction import FeatureExtractor, Forward
from cnnClassifier.features.network import CHUNK, PLAIN, predict_tail
from cnnClassifier.fit_state import FitState, assign, values_of
from cnnClassifier.fitting import Examples, OnEpoch, fit, standardise
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import forward
from cnnClassifier.soft_labels import soft_targets
from cnnClassifier.weighting import example_weights

STANDARDISATION_SAMPLE = 4096  # images are enough for means and deviations; keeps memory flat
IN_MEMORY = 256 * 2**20  # bytes: features up to this size are read once a fit, larger ones a batch at a time


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
    compiled: CompiledTail = field(init=False)
    forward: Forward = field(init=False)
    balancing: Balancing = field(init=False)
    rates: list[float] = field(init=False, default_factory=list)  # that the search found; the fits after it take them

    def __post_init__(self) -> None:
        # All variables: dropout's seeds, too, so that a fit does not depend on those before it.
        self.untrained = values_of(self.tail.variables)
        self.compiled = CompiledTail(self.tail, self.config)
        self.forward = forward(self.tail)
        self.balancing = Balancing(self.features, tuple(self.tail.input.shape[1:]), self.spec, self.config)

    def search(
        self,
        fitted: Sequence[ImageRecord],
        held_out: Sequence[ImageRecord],
        checkpoint: Path,
        on_epoch: OnEpoch,
        tensorboard: Path,
    ) -> FitState:
        """Fit with early stopping on `held_out`; the tail has the best epoch's weights then.

        Before anything else, ConfigError if the examples that balancing makes of all these images fit no memory.
        """
        self.balancing.check_memory([*fitted, *held_out])
        train, valid = self._start(fitted), self._examples(held_out, [PLAIN])
        state = fit(self.compiled, train, valid, self.config, checkpoint, on_epoch, tensorboard)
        self.rates = state.rates
        return state

    def fit_for(self, records: Sequence[ImageRecord], epochs: int, checkpoint: Path) -> None:
        """Fit on all the records for so many epochs."""
        config = self.config.model_copy(update={"epochs": epochs})
        fit(self.compiled, self._start(records), None, config, checkpoint, ignore_epoch, rates=self.rates)

    def predict(self, records: Sequence[ImageRecord], view: AnyView = PLAIN) -> np.ndarray:
        """The fitted tail's probabilities of one view of each record, float64 (n, classes)."""
        return predict_tail(self.forward, self.features, records, view)

    def _start(self, records: Sequence[ImageRecord]) -> Examples:
        examples = self._examples(records, all_views(self.config.augmentation, self.config.seed))
        examples = self.balancing.apply(examples, records)
        assign(self.tail.variables, self.untrained)
        sample = records[:: math.ceil(len(records) / STANDARDISATION_SAMPLE)]
        standardise(self.tail, self.features.read(sample, PLAIN))
        return examples

    def _examples(self, records: Sequence[ImageRecord], views: Sequence[View]) -> Examples:
        """Examples whose features are read from the cache, each time in a view drawn at random."""
        self.features.ensure(records, views)
        classes = self.spec.classes
        labels = np.array([classes.index(record.label) for record in records])

        at = self._reader(records, views)

        def read(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
            return at(rows * len(views) + draw.integers(len(views), size=len(rows)))

        weights = example_weights(labels, [record.group for record in records], len(classes), self.config)
        return Examples(read, soft_targets(records, classes) if self.config.soft_labels else labels, weights)

    def _reader(self, records: Sequence[ImageRecord], views: Sequence[View]) -> Callable[[np.ndarray], np.ndarray]:
        """Gives features by position, counting each record's views in turn: from memory if all fit there."""

        def from_store(positions: np.ndarray) -> np.ndarray:
            return self.features.read_views([(records[p // len(views)], views[p % len(views)]) for p in positions])

        count = len(records) * len(views)
        first = from_store(np.arange(1))
        if count * first.nbytes > IN_MEMORY:
            return from_store
        everything = np.empty((count, *first.shape[1:]), first.dtype)
        for positions in np.array_split(np.arange(count), math.ceil(count / CHUNK)):
            everything[positions] = from_store(positions)
        return everything.__getitem__
