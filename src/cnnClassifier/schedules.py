"""The learning rate of each epoch, from the settings and the history: a resumed fit needs nothing else."""

import math
from collections.abc import Mapping, Sequence

from cnnClassifier.config.types import TrainingConfig

History = Sequence[Mapping[str, float]]


def changes(config: TrainingConfig) -> bool:
    """Whether the learning rate varies."""
    return config.schedule != "constant" or config.warmup > 0


def learning_rate(config: TrainingConfig, history: History) -> float:
    """The rate of the epoch that follows a history."""
    factor = {"constant": _constant, "cosine": _cosine, "plateau": _plateau}[config.schedule](config, history)
    return config.learning_rate * factor * min(1.0, (len(history) + 1) / (config.warmup + 1))


def _constant(_config: TrainingConfig, _history: History) -> float:
    return 1.0


def _cosine(config: TrainingConfig, history: History) -> float:
    """Half a cosine over the epochs after the warm-up (Loshchilov and Hutter 2017, SGDR, without restarts)."""
    done = max(0, len(history) - config.warmup) / max(1, config.epochs - config.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _plateau(config: TrainingConfig, history: History) -> float:
    """Halved each time the loss has not fallen for a third of the patience; training's loss where none is held out."""
    factor, lowest, waited = 1.0, math.inf, 0
    for row in history:
        loss = row.get("val_loss", row["loss"])
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited == max(1, config.patience // 3):
            factor, waited = factor / 2, 0
    return factor
