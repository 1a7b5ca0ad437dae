"""Fit the trainable part of a model on cached features: epochs, early stopping, checkpoints, learning rates."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cnnClassifier import schedules
from cnnClassifier.batching import batches
from cnnClassifier.compiled_tail import CompiledTail, Pass
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.fit_state import LEARNING_RATE, FitState, assign, load_state, save_state, values_of
from cnnClassifier.modeling import STANDARDISE

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 1.0  # between checkpoints: what a kill can cost, beside the epoch it comes in

# Features of the images at these positions, one view each, drawn with this generator: float32 (n, *shape).
ReadBatch = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# Told of each finished epoch, counted from 0, and its metrics.
OnEpoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Examples:
    """Images to fit or to validate on: labels (n,) as class indices, weights (n,), and how to read features.

    With `soft_labels` in the settings, labels are shares of the classes, float32 (n, classes).
    """

    read: ReadBatch
    labels: np.ndarray
    weights: np.ndarray


def fit(
    model: CompiledTail,
    train: Examples,
    valid: Examples | None,
    config: TrainingConfig,
    checkpoint: Path,
    on_epoch: OnEpoch = lambda *_: None,
    tensorboard: Path | None = None,
    rates: Sequence[float] = (),
) -> FitState:
    """Fit a tail, as it is now, until the epochs are over or validation has not improved for `patience`.

    `rates` are learning rates by epoch, those of an earlier fit; without any the tail's own schedule gives them.
    Goes on from `checkpoint` if there is one. Leaves the weights of the best epoch in the tail. Raises ModelError
    when the loss is no longer a number.
    """
    state = _start_or_resume(model, checkpoint)
    curves = _tensorboard_log(tensorboard, fresh=not state.history) if tensorboard else lambda *_: None
    saved = time.monotonic()
    with tqdm(total=config.epochs, initial=len(state.history), desc="epochs", disable=None) as progress:
        while not is_finished(state, config):
            epoch = len(state.history)
            rate = _next_rate(model, state, rates)
            metrics = _run_epoch(model, train, valid, config, epoch) | rate
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


def is_finished(state: FitState, config: TrainingConfig) -> bool:
    """All epochs done, or no better validation loss for `patience` epochs."""
    done = len(state.history)
    return done >= config.epochs or (done > 0 and done - 1 - state.best_epoch >= config.patience)


def make_deterministic(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and take their deterministic kernels."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


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


def _next_rate(model: CompiledTail, state: FitState, rates: Sequence[float]) -> dict[str, float]:
    """Set the coming epoch's learning rate, for the history to tell; nothing where it never changes."""
    if not schedules.changes(model.config):
        return {}
    epoch = len(state.history)
    rate = rates[epoch] if epoch < len(rates) else schedules.learning_rate(model.config, state.history)
    model.set_learning_rate(rate)
    return {LEARNING_RATE: rate}


def _run_epoch(
    model: CompiledTail, train: Examples, valid: Examples | None, config: TrainingConfig, epoch: int
) -> dict[str, float]:
    # Shuffled from [seed, epoch], so that a resumed fit sees the same batches.
    order = np.random.default_rng([config.seed, epoch]).permutation(len(train.labels))
    metrics = _pass(model.learn, train, order, [config.seed, epoch])
    if valid:
        found = _pass(model.judge, valid, np.arange(len(valid.labels)), [config.seed, 0])
        metrics |= {f"val_{name}": value for name, value in found.items()}
    return metrics


def _pass(over: Pass, examples: Examples, order: np.ndarray, seed: list[int]) -> dict[str, float]:
    """A step for each batch of the order; accuracy and mean loss over all examples."""
    loss = right = 0.0
    numbered = enumerate(order[start : start + over.batch_size] for start in range(0, len(order), over.batch_size))
    for call in batches(numbered, over.batches_in_a_call):
        features = [examples.read(rows, np.random.default_rng([*seed, index])) for index, rows in call]
        rows = np.concatenate([rows for _, rows in call])
        its_loss, its_right = over.call(np.concatenate(features), examples.labels[rows], examples.weights[rows])
        loss += float(its_loss)
        right += float(its_right)
    return {"accuracy": right / len(order), "loss": loss / len(order)}


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
