"""Several devices as one: which there are, and batches dealt among them. With one device nothing of it shows."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

log = logging.getLogger(__name__)


def over_devices() -> Any:
    """A strategy over all GPUs where there are several, else over all logical CPUs, else TensorFlow's own of one.

    Models that are loaded in its `scope()` are fitted on all of them, each batch dealt among them.
    """
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return tf.distribute.get_strategy()
    log.info("fitting on %d devices: %s", len(devices), ", ".join(device.name for device in devices))
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


def strategy_of(model: Any) -> Any:
    """The strategy in whose scope a model was made."""
    return getattr(model.variables[0].value, "distribute_strategy", None) or tf.distribute.get_strategy()


def spread(strategy: Any, step: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """A step for whole batches that deals each among the replicas, and adds up what they return.

    `step` takes its part of every array, and how large a share of the batch that is; it returns two numbers to add.
    """

    def on_all(parts: Sequence[Any]) -> tuple[Any, Any]:
        first, second = strategy.run(step, tuple(parts))
        return strategy.reduce("SUM", first, axis=None), strategy.reduce("SUM", second, axis=None)

    compiled = tf.function(on_all, autograph=False, reduce_retracing=True)
    return lambda *arrays: compiled(_deal(strategy, arrays))


def _deal(strategy: Any, arrays: Sequence[np.ndarray]) -> list[Any]:
    """Each array in as many parts as there are replicas, and each replica's share of the batch.

    Batch normalisation fails on no image at all: a replica for which none is left gets the first, as a share of 0.
    """
    count, whole = strategy.num_replicas_in_sync, len(arrays[0])
    parts = [np.array_split(array, count) for array in arrays]
    shares = [np.float32(len(part) / whole) for part in parts[0]]
    filled = [[part if len(part) else part_of_all[0][:1] for part in part_of_all] for part_of_all in parts]
    return [*(_each_its_own(strategy, part) for part in filled), _each_its_own(strategy, shares)]


def _each_its_own(strategy: Any, part: Sequence[Any]) -> Any:
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(part[context.replica_id_in_sync_group])
    )
