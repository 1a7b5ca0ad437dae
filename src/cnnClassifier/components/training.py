"""training: features of the frozen part from the cache, then the rest fitted on them."""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cnnClassifier.components.base import Component
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.cross_validation import cross_validate
from cnnClassifier.datasets.manifest import ImageRecord, digest_records, read_manifest
from cnnClassifier.datasets.splits import hold_out
from cnnClassifier.distribution import over_devices
from cnnClassifier.features.network import open_features
from cnnClassifier.files import new_folder, write_text
from cnnClassifier.fit_state import FitState, history_table
from cnnClassifier.fitting import make_deterministic, restore_best
from cnnClassifier.fold_cluster import chosen_cluster, fit_on_cluster
from cnnClassifier.folds import Folds, deal_folds
from cnnClassifier.metrics.plots import plot_history
from cnnClassifier.metrics.predictions import write_predictions
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import cut, digest_weights, load_model, save_model
from cnnClassifier.precision import check_precision
from cnnClassifier.recipe import Recipe

log = logging.getLogger(__name__)


class Training(Component[TrainingConfig]):
    """Base model and audited manifest -> trained model, out_of_fold.csv, history.csv, plots, TensorBoard log."""

    def run(self) -> None:
        """Fit with early stopping on held-out groups, cross-validate, fit again on everything if asked."""
        cluster = chosen_cluster(self.config)
        make_deterministic(self.config.seed)
        with over_devices().scope():
            model, spec = load_model(self.paths.base_model)
        records = [record for record in read_manifest(self.paths.audited_manifest) if record.split != "test"]
        fold = deal_folds(records, self.config.folds, self.config.seed)
        parts = cut(model, spec.freeze)
        check_precision(self.config.precision, model, parts)
        recipe = Recipe(parts.tail, open_features(parts, spec, self.paths), spec, self.config)
        key = self._key(model, recipe, records)
        checkpoints = self.paths.cache / "checkpoints" / key

        state = self._search(recipe, records, checkpoints, key)
        epochs = state.best_epoch + 1
        elsewhere = partial(fit_on_cluster, cluster) if cluster else None
        probabilities = cross_validate(recipe, Folds(records, fold, epochs), checkpoints, elsewhere)
        if self.config.refit:
            # On the held-out groups too, for as long as was best (Goodfellow et al., Deep Learning, 7.8).
            log.info("fitting again on all %d images for %d epochs", len(records), epochs)
            recipe.fit_for(records, epochs, checkpoints / "refit.npz")
        else:
            restore_best(recipe.tail, state)
        write_predictions(records, probabilities, spec.classes, self.paths.out_of_fold, fold)
        self._write(model, spec, state)
        shutil.rmtree(checkpoints)

    def _search(self, recipe: Recipe, records: Sequence[ImageRecord], checkpoints: Path, key: str) -> FitState:
        fitted, held_out = hold_out(records, self.config.validation, self.config.seed)
        log.info("fitting on %d images, early stopping on %d of other groups", len(fitted), len(held_out))
        tensorboard = self.paths.tensorboard / key
        state = recipe.search(fitted, held_out, checkpoints / "search.npz", self.epoch_log.log_epoch, tensorboard)
        log.info("best validation loss %.4f in epoch %d", state.best["val_loss"], state.best_epoch + 1)
        return state

    def _write(self, model: Any, spec: ModelSpec, state: FitState) -> None:
        with new_folder(self.paths.model) as folder:
            save_model(model, spec, folder)
        write_text(history_table(state), self.paths.history)
        with new_folder(self.paths.training_plots) as folder:
            plot_history(state.history, state.best_epoch, folder / "history.png")

    def _key(self, model: Any, recipe: Recipe, records: Sequence[ImageRecord]) -> str:
        """Names this training: a checkpoint of another one is never taken up."""
        groups = "".join(f"{record.sha256}{record.group}{record.votes or ''};" for record in records)
        images = f"{digest_records(records)}|{groups}|{recipe.features.space.key}|{recipe.spec.classes}"
        text = f"{self.config.model_dump_json()}|{digest_weights(model)}|{model.to_json()}|{images}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]
