"""training: features of the frozen part from the cache, then the rest fitted on them."""

import hashlib
import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier.augmentation import View, all_views
from cnnClassifier.components.base import Component
from cnnClassifier.config.data import RandomSplit
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.datasets.manifest import ImageRecord, digest_records, read_manifest
from cnnClassifier.datasets.splits import assign_splits
from cnnClassifier.errors import DataError
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.features.network import PLAIN, open_features
from cnnClassifier.files import new_folder, write_text
from cnnClassifier.fitting import (
    Examples,
    FitState,
    balanced_weights,
    fit,
    history_table,
    make_deterministic,
    standardise,
)
from cnnClassifier.metrics.plots import plot_history
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import cut, digest_weights, load_model, save_model

log = logging.getLogger(__name__)

STANDARDISATION_SAMPLE = 4096  # images are enough for means and deviations; keeps memory flat


class Training(Component[TrainingConfig]):
    """Base model and audited manifest -> trained model, history.csv, plots, TensorBoard log."""

    def run(self) -> None:
        """Hold out groups, fit with early stopping, fit again on everything if asked, write the model."""
        make_deterministic(self.config.seed)
        model, spec = load_model(self.paths.base_model)
        records = [record for record in read_manifest(self.paths.audited_manifest) if record.split != "test"]
        fitted, held_out = hold_out(records, self.config.validation, self.config.seed)
        log.info("fitting on %d images, early stopping on %d of other groups", len(fitted), len(held_out))

        parts = cut(model, spec.freeze)
        features = open_features(parts, spec, self.paths)
        key = self._key(model, features, fitted, held_out)
        checkpoints = self.paths.cache / "checkpoints" / key
        untrained = parts.tail.get_weights()
        state = self._fit(parts.tail, features, spec, fitted, held_out, checkpoints / "search.npz", key)
        log.info("best validation loss %.4f in epoch %d", state.best["val_loss"], state.best_epoch + 1)
        if self.config.refit:
            parts.tail.set_weights(untrained)
            self._refit(parts.tail, features, spec, records, state.best_epoch + 1, checkpoints / "refit.npz")
        self._write(model, spec, state)
        shutil.rmtree(checkpoints)

    def _fit(
        self,
        tail: Any,
        features: FeatureExtractor,
        spec: ModelSpec,
        fitted: Sequence[ImageRecord],
        held_out: Sequence[ImageRecord],
        checkpoint: Path,
        name: str,
    ) -> FitState:
        views = all_views(self.config.augmentation, self.config.seed)
        train = self._examples(features, spec, fitted, views)
        valid = self._examples(features, spec, held_out, [PLAIN])
        self._standardise(tail, features, fitted)
        return fit(tail, train, valid, self.config, checkpoint, self.epoch_log.log_epoch, self.paths.tensorboard / name)

    def _refit(
        self,
        tail: Any,
        features: FeatureExtractor,
        spec: ModelSpec,
        records: Sequence[ImageRecord],
        epochs: int,
        checkpoint: Path,
    ) -> None:
        """Fit on the held-out groups too, for as long as was best (Goodfellow et al., Deep Learning, 7.8)."""
        log.info("fitting again on all %d images for %d epochs", len(records), epochs)
        train = self._examples(features, spec, records, all_views(self.config.augmentation, self.config.seed))
        self._standardise(tail, features, records)
        config = self.config.model_copy(update={"epochs": epochs})
        fit(tail, train, None, config, checkpoint)

    def _examples(
        self,
        features: FeatureExtractor,
        spec: ModelSpec,
        records: Sequence[ImageRecord],
        views: Sequence[View],
    ) -> Examples:
        """Examples whose features are read from the cache, each time in a view drawn at random."""
        features.ensure(records, views)
        labels = np.array([spec.classes.index(record.label) for record in records])

        def read(rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
            drawn = draw.integers(len(views), size=len(rows))
            return features.read_views([(records[row], views[view]) for row, view in zip(rows, drawn, strict=True)])

        balanced = self.config.class_weights == "balanced"
        weights = balanced_weights(labels, len(spec.classes)) if balanced else np.ones(len(labels), np.float32)
        return Examples(read, labels, weights)

    def _standardise(self, tail: Any, features: FeatureExtractor, records: Sequence[ImageRecord]) -> None:
        sample = records[:: math.ceil(len(records) / STANDARDISATION_SAMPLE)]
        standardise(tail, features.read(sample, PLAIN))

    def _write(self, model: Any, spec: ModelSpec, state: FitState) -> None:
        with new_folder(self.paths.model) as folder:
            save_model(model, spec, folder)
        write_text(history_table(state), self.paths.history)
        with new_folder(self.paths.training_plots) as folder:
            plot_history(state.history, state.best_epoch, folder / "history.png")

    def _key(
        self, model: Any, features: FeatureExtractor, fitted: Sequence[ImageRecord], held_out: Sequence[ImageRecord]
    ) -> str:
        """Names this training: a checkpoint of another one is never taken up."""
        images = f"{digest_records(fitted)}|{digest_records(held_out)}|{features.space.key}"
        text = f"{self.config.model_dump_json()}|{digest_weights(model)}|{model.to_json()}|{images}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def hold_out(records: Sequence[ImageRecord], share: float, seed: int) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Two lists without a common group: to fit on, and about `share` of each class for early stopping.

    Raises DataError when a class has too few groups to hold one out and keep one.
    """
    shares = RandomSplit(valid=share, test=0.0)
    splits = assign_splits(((record.group, record.label) for record in records), shares, seed)
    fitted = [record for record in records if splits[record.group] == "train"]
    held_out = [record for record in records if splits[record.group] == "valid"]
    for label in sorted({record.label for record in records}):
        if label not in {record.label for record in held_out} & {record.label for record in fitted}:
            groups = len({record.group for record in records if record.label == label})
            raise DataError(
                f"training.validation: no group of class {label!r} is left to fit on or to stop early by (it has "
                f"{groups}, the share held out is {share}); raise the share or bring more images"
            )
    return fitted, held_out
