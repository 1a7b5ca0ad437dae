"""What the trainable part computes in while it learns: float32, or half precision where that is faster.

Only the learning step is compiled in half precision. Variables, validation, what is saved and what is exported stay
float32, so nothing after the fit can tell the difference.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from cnnClassifier.distribution import has_gpu
from cnnClassifier.errors import ConfigError
from cnnClassifier.modeling import LOGITS, Cut, pooled_parts

FLOAT32, FLOAT16 = "float32", "mixed_float16"

log = logging.getLogger(__name__)


def check_precision(precision: str, model: Any, parts: Cut) -> None:
    """Warn where half precision brings nothing; ConfigError where its range is too small for what is computed."""
    if precision == FLOAT32:
        return
    if parts.is_whole_backbone:
        log.warning("training.precision: %s brings nothing with `freeze: all`, where the head alone learns", precision)
    elif not has_gpu():
        log.warning("training.precision: %s makes nothing faster here: there is no GPU", precision)
    pooled = [part.pooling for part in pooled_parts(model)]
    if precision == FLOAT16 and "deviation" in pooled and not parts.is_whole_backbone:
        raise ConfigError(
            "training.precision: float16 ends at 65504, and pooling by `deviation` squares activations; "
            "use mixed_bfloat16. Received: 'mixed_float16'"
        )


@contextmanager
def computing_in(precision: str, tail: Any) -> Iterator[None]:
    """In this block a tail's layers compute in that precision, but for the logits; what is compiled here stays so."""
    if precision == FLOAT32:
        yield
        return
    halved = [layer for layer in tail.layers if layer.name != LOGITS and not isinstance(layer, keras.layers.InputLayer)]
    before = [layer.dtype_policy for layer in halved]
    try:
        for layer in halved:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in zip(halved, before, strict=True):
            layer.dtype_policy = policy


def with_loss_scale(optimizer: Any, precision: str) -> Any:
    """For float16 an optimizer that scales the loss, so that small gradients do not become 0."""
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == FLOAT16 else optimizer
