"""A head that is fitted in a moment, and examples it can learn."""

from typing import Any

import keras
import numpy as np

from cnnClassifier import fitting
from cnnClassifier.compiled_tail import CompiledTail
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.fit_state import FitState
from cnnClassifier.fitting import Examples, make_deterministic
from cnnClassifier.modeling import STANDARDISE

UNITS, CLASSES = 6, 3


def tail_of(dropout: float = 0.5, seed: int = 3) -> Any:
    make_deterministic(seed)
    x = features = keras.Input((UNITS,))
    x = keras.layers.BatchNormalization(center=False, scale=False, epsilon=1e-12, name=STANDARDISE, trainable=False)(x)
    x = keras.layers.Dense(8, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(features, keras.layers.Dense(CLASSES)(x))


def examples(count: int = 40, seed: int = 0, learnable: bool = True) -> Examples:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(count, UNITS)).astype(np.float32)
    labels = features[:, :CLASSES].argmax(axis=1) if learnable else draw.integers(CLASSES, size=count)
    return Examples(lambda rows, _draw: features[rows], labels, np.ones(count, np.float32))


def recipe(**changes: Any) -> TrainingConfig:
    settings = {"seed": 1, "epochs": 6, "batch_size": 16, "learning_rate": 0.02, "weight_decay": 0.01, "patience": 50}
    return TrainingConfig(**{**settings, **changes})


def fit(
    tail: Any, train: Examples, valid: Examples | None, config: TrainingConfig, *rest: Any, **more: Any
) -> FitState:
    return fitting.fit(CompiledTail(tail, config), train, valid, config, *rest, **more)
