"""Fit the trainable part of a model on cached features: Adam, early stopping, a checkpoint each epoch."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.modeling import STANDARDISE

log = logging.getLogger(__name__)

# Features of the images at these positions, one view each, drawn with this generator: float32 (n, *shape).
ReadBatch = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# Told of each finished epoch, counted from 0, and its metrics.
OnEpoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Examples:
    """Images to fit or to validate on: labels (n,) as class indices, weights (n,), and how to read features."""

    read: ReadBatch
    labels: np.ndarray
    weights: np.ndarray


@dataclass
class FitState:
    """Where a fit stands: enough to go on after a kill. `weights` are all a tail's variables, dropout's seeds too."""

    history: list[dict[str, float]] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    best_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss, counted from 0; without validation, the last."""
        if "val_loss" not in self.history[-1]:
            return len(self.history) - 1
        return int(np.argmin([row["val_loss"] for row in self.history]))

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the best epoch."""
        return self.history[self.best_epoch]


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches for Keras, reshuffled each epoch from [seed, epoch] so that a resumed fit sees the same ones."""

    def __init__(self, examples: Examples, classes: int, batch_size: int, seed: int, *, shuffle: bool) -> None:
        super().__init__()
        self.examples, self.classes, self.batch_size = examples, classes, batch_size
        self.seed, self.shuffle, self.epoch = seed, shuffle, 0
        self._deal()

    def __len__(self) -> int:
        return -(-len(self.examples.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        draw = np.random.default_rng([self.seed, self.epoch, index])
        targets = np.eye(self.classes, dtype=np.float32)[self.examples.labels[rows]]
        return self.examples.read(rows, draw), targets, self.examples.weights[rows]

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self._deal()

    def _deal(self) -> None:
        count = len(self.examples.labels)
        shuffled = np.random.default_rng([self.seed, self.epoch]).permutation(count)
        self.order = shuffled if self.shuffle else np.arange(count)


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: history, best weights, checkpoint, observer, progress, early stopping."""

    def __init__(
        self,
        state: FitState,
        batches: _Batches,
        config: TrainingConfig,
        checkpoint: Path,
        report: OnEpoch,
    ) -> None:
        super().__init__()
        self.state, self.batches, self.config = state, batches, config
        self.checkpoint, self.report = checkpoint, report
        self.progress = tqdm(total=config.epochs, initial=len(state.history), desc="epochs", disable=None)

    def on_epoch_begin(self, epoch: int, _logs: Mapping[str, float] | None = None) -> None:
        self.batches.start_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        _check_finite(metrics, epoch)
        self.state.history.append(metrics)
        self.state.weights = values_of(self.model.variables)
        self.state.optimizer = values_of(self.model.optimizer.variables)
        if self.state.best_epoch == epoch:
            self.state.best_weights = self.state.weights
        save_state(self.state, self.checkpoint)
        self.report(epoch, metrics)
        self.progress.update()
        self.progress.set_postfix(metrics)
        if is_finished(self.state, self.config):
            self.model.stop_training = True

    def on_train_end(self, _logs: Mapping[str, float] | None = None) -> None:
        self.progress.close()


def fit(
    tail: Any,
    train: Examples,
    valid: Examples | None,
    config: TrainingConfig,
    checkpoint: Path,
    on_epoch: OnEpoch = lambda *_: None,
    tensorboard: Path | None = None,
) -> FitState:
    """Fit a tail (features -> logits) until the epochs are over or validation has not improved for `patience`.

    Goes on from `checkpoint` if there is one. Leaves the weights of the best epoch in the tail. Raises ModelError
    when the loss is no longer a number.
    """
    classes = int(tail.output.shape[-1])
    batches = _Batches(train, classes, config.batch_size, config.seed, shuffle=True)
    _compile(tail, config)
    state = _resume(tail, checkpoint)
    callbacks = [_Keeper(state, batches, config, checkpoint, on_epoch)]
    if tensorboard:
        if not state.history:
            shutil.rmtree(tensorboard, ignore_errors=True)
        callbacks.append(keras.callbacks.TensorBoard(str(tensorboard), write_graph=False))
    if not is_finished(state, config):
        tail.fit(
            batches,
            validation_data=valid and _Batches(valid, classes, 4 * config.batch_size, config.seed, shuffle=False),
            initial_epoch=len(state.history),
            epochs=config.epochs,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    restore_best(tail, state)
    return state


def restore_best(tail: Any, state: FitState) -> None:
    """Give a tail the weights of a fit's best epoch."""
    assign(tail.variables, state.best_weights)


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """The values of a model's or an optimizer's variables."""
    return [variable.numpy() for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Give variables the values that `values_of` had from them."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def is_finished(state: FitState, config: TrainingConfig) -> bool:
    """All epochs done, or no better validation loss for `patience` epochs."""
    done = len(state.history)
    return done >= config.epochs or (done > 0 and done - 1 - state.best_epoch >= config.patience)


def save_state(state: FitState, path: Path) -> None:
    """Write a checkpoint under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    arrays = {
        f"{kind}.{index:04d}": array
        for kind in ("weights", "optimizer", "best_weights")
        for index, array in enumerate(getattr(state, kind))
    }
    with partial.open("wb") as file:
        np.savez(file, history=np.array(json.dumps(state.history)), **arrays)
    partial.replace(path)


def load_state(path: Path) -> FitState:
    """Read a checkpoint; an empty state if there is none."""
    if not path.is_file():
        return FitState()
    with np.load(path) as arrays:
        return FitState(
            history=json.loads(str(arrays["history"])),
            **{
                kind: [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{kind}.")]
                for kind in ("weights", "optimizer", "best_weights")
            },
        )


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and take their deterministic kernels."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def history_table(state: FitState) -> str:
    """The history as CSV: epoch from 0, then each metric to six digits."""
    names = list(state.history[0])
    rows = [[str(epoch), *(f"{row[name]:.6f}" for name in names)] for epoch, row in enumerate(state.history)]
    return "".join(",".join(row) + "\n" for row in [["epoch", *names], *rows])


def standardise(tail: Any, features: np.ndarray) -> None:
    """Set the head's standardisation from training features (n, units); a tail without one is left as it is.

    Deviations below a tenth of the median are raised to it: a unit that hardly ever fires in training
    would otherwise shout the loudest when it does. Units that never fire do not count for the median.
    """
    if STANDARDISE not in [layer.name for layer in tail.layers]:
        return
    deviation = features.std(axis=0)
    typical = np.median(deviation[deviation > 0]) if deviation.any() else 1.0
    deviation = np.maximum(deviation, 0.1 * typical)
    tail.get_layer(STANDARDISE).set_weights([features.mean(axis=0), deviation**2])


def balanced_weights(labels: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """A weight for each example, so that each class weighs the same in sum and the mean weight is 1."""
    counts = np.bincount(labels, minlength=classes)
    by_class = (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)
    weights: np.ndarray = by_class[np.asarray(labels)]
    return weights


def _compile(tail: Any, config: TrainingConfig) -> None:
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
    tail.compile(optimizer, loss, weighted_metrics=[], metrics=[keras.metrics.CategoricalAccuracy("accuracy")])


def _resume(tail: Any, checkpoint: Path) -> FitState:
    state = load_state(checkpoint)
    if state.history:
        log.info("going on after epoch %d of a fit that was cut short", len(state.history))
        tail.optimizer.build(tail.trainable_variables)
        assign(tail.variables, state.weights)
        assign(tail.optimizer.variables, state.optimizer)
    return state


def _check_finite(metrics: Mapping[str, float], epoch: int) -> None:
    if not np.isfinite(list(metrics.values())).all():
        raise ModelError(
            f"training diverged in epoch {epoch + 1} ({metrics}); lower training.learning_rate and run it again"
        )
