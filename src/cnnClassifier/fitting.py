"""Fit the trainable part of a model on cached features: AdamW, early stopping, checkpoints."""

import json
import logging
import shutil
import time
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

CHECKPOINT_SECONDS = 1.0  # between checkpoints: what a kill can cost, beside the epoch it comes in

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


class CompiledTail:
    """A tail (features -> logits) with its optimizer and its steps, compiled once for all fits that follow."""

    def __init__(self, tail: Any, config: TrainingConfig) -> None:
        self.tail = tail
        self.optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(tail.trainable_variables)
        self.loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
        self._fresh = values_of(self.optimizer.variables)
        features = tf.TensorSpec((None, *tail.input.shape[1:]), tf.float32)
        batch = [features, tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.float32)]
        # Features, labels and weights of a batch -> its mean loss, and how many are right. Concrete: that a call need
        # not be matched with a trace saves a third of what a small batch costs.
        self.learn = tf.function(self._learn, autograph=False).get_concrete_function(*batch)
        self.judge = tf.function(self._judge, autograph=False).get_concrete_function(*batch)

    def forget(self) -> None:
        """Make the optimizer as new; the tail stays as it is."""
        assign(self.optimizer.variables, self._fresh)

    def _learn(self, features: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        variables = self.tail.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.tail(features, training=True)
            loss = self._loss(logits, labels, weights)
            # What layers are fined for (L2) is learnt from, and not part of the loss that is told and compared.
            learnt = loss + sum(self.tail.losses)
        self.optimizer.apply(tape.gradient(learnt, variables), variables)
        return loss, _count_right(logits, labels)

    def _judge(self, features: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        logits = self.tail(features, training=False)
        return self._loss(logits, labels, weights), _count_right(logits, labels)

    def _loss(self, logits: Any, labels: Any, weights: Any) -> Any:
        return self.loss(tf.one_hot(labels, logits.shape[-1]), logits, sample_weight=weights)


def fit(
    model: CompiledTail,
    train: Examples,
    valid: Examples | None,
    config: TrainingConfig,
    checkpoint: Path,
    on_epoch: OnEpoch = lambda *_: None,
    tensorboard: Path | None = None,
) -> FitState:
    """Fit a tail, as it is now, until the epochs are over or validation has not improved for `patience`.

    Goes on from `checkpoint` if there is one. Leaves the weights of the best epoch in the tail. Raises ModelError
    when the loss is no longer a number.
    """
    state = _start_or_resume(model, checkpoint)
    curves = _tensorboard_log(tensorboard, fresh=not state.history) if tensorboard else lambda *_: None
    saved = time.monotonic()
    with tqdm(total=config.epochs, initial=len(state.history), desc="epochs", disable=None) as progress:
        while not is_finished(state, config):
            epoch = len(state.history)
            metrics = _run_epoch(model, train, valid, config, epoch)
            _check_finite(metrics, epoch)
            state.history.append(metrics)
            if state.best_epoch == epoch:
                state.best_weights = values_of(model.tail.variables)
            if is_finished(state, config) or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                _save(model, state, checkpoint)
                saved = time.monotonic()
            for tell in (on_epoch, curves):
                tell(epoch, metrics)
            progress.update()
            progress.set_postfix(metrics, refresh=False)
    restore_best(model.tail, state)
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


def _start_or_resume(model: CompiledTail, checkpoint: Path) -> FitState:
    state = load_state(checkpoint)
    if state.history:
        log.info("going on after epoch %d of a fit that was cut short", len(state.history))
        assign(model.tail.variables, state.weights)
        assign(model.optimizer.variables, state.optimizer)
    else:
        model.forget()
    return state


def _save(model: CompiledTail, state: FitState, checkpoint: Path) -> None:
    state.weights, state.optimizer = values_of(model.tail.variables), values_of(model.optimizer.variables)
    save_state(state, checkpoint)


def _run_epoch(
    model: CompiledTail, train: Examples, valid: Examples | None, config: TrainingConfig, epoch: int
) -> dict[str, float]:
    # Shuffled from [seed, epoch], so that a resumed fit sees the same batches.
    order = np.random.default_rng([config.seed, epoch]).permutation(len(train.labels))
    metrics = _pass(model.learn, train, order, config.batch_size, [config.seed, epoch])
    if valid:
        found = _pass(model.judge, valid, np.arange(len(valid.labels)), 4 * config.batch_size, [config.seed, 0])
        metrics |= {f"val_{name}": value for name, value in found.items()}
    return metrics


def _pass(step: Any, examples: Examples, order: np.ndarray, batch_size: int, seed: list[int]) -> dict[str, float]:
    """A step for each batch of the order; accuracy and mean loss over all examples."""
    loss = right = 0.0
    for index, start in enumerate(range(0, len(order), batch_size)):
        rows = order[start : start + batch_size]
        features = examples.read(rows, np.random.default_rng([*seed, index]))
        its_loss, its_right = step(features, examples.labels[rows], examples.weights[rows])
        loss += float(its_loss) * len(rows)
        right += float(its_right)
    return {"accuracy": right / len(order), "loss": loss / len(order)}


def _count_right(logits: Any, labels: Any) -> Any:
    return tf.math.count_nonzero(tf.argmax(logits, axis=1) == labels)


def _tensorboard_log(folder: Path, *, fresh: bool) -> OnEpoch:
    """Writes each epoch's metrics for TensorBoard; a fresh fit first clears what another one left."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    writers = {part: tf.summary.create_file_writer(str(folder / part)) for part in ("train", "validation")}

    def write(epoch: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            with writers["validation" if name.startswith("val_") else "train"].as_default(step=epoch):
                tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value)
        for writer in writers.values():
            writer.flush()

    return write


def _check_finite(metrics: Mapping[str, float], epoch: int) -> None:
    if not np.isfinite(list(metrics.values())).all():
        raise ModelError(
            f"training diverged in epoch {epoch + 1} ({metrics}); lower training.learning_rate and run it again"
        )
