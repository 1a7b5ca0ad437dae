"""A tail with its optimizer and the two passes that a fit is made of, compiled once, on one device or on several."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.distribution import spread, strategy_of
from cnnClassifier.fit_state import assign, values_of
from cnnClassifier.precision import FLOAT32, computing_in, with_loss_scale

IN_A_CALL = 64 * 2**20  # bytes of features: a call costs more than a small head computes for a batch

# Features, labels and weights of some images -> their mean loss, and how many are right.
Step = Callable[..., tuple[Any, Any]]


@dataclass(frozen=True)
class Pass:
    """A step for each batch of images, many batches in a call where their features are small.

    `call` takes features, labels and weights of any number of images; it gives the sum of their losses, a loss a batch
    taken as that of each of its images, and how many are right.
    """

    call: Callable[[Any, Any, Any], tuple[Any, Any]]
    batch_size: int
    batches_in_a_call: int


class CompiledTail:
    """A tail (features -> logits) with its optimizer and its passes, compiled once for all fits that follow."""

    def __init__(self, tail: Any, config: TrainingConfig) -> None:
        self.tail = tail
        self.config = config
        self.strategy = strategy_of(tail)
        with self.strategy.scope():
            optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
            self.optimizer = with_loss_scale(optimizer, config.precision)
            self.optimizer.build(tail.trainable_variables)
        self.soft = config.soft_labels
        self.loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)
        self._fresh = values_of(self.optimizer.variables)
        self.learn = self._compile(self._learn, config.batch_size, config.precision)
        self.judge = self._compile(self._judge, 4 * config.batch_size, FLOAT32)

    def forget(self) -> None:
        """Make the optimizer as new; the tail stays as it is."""
        assign(self.optimizer.variables, self._fresh)

    def set_learning_rate(self, rate: float) -> None:
        """Take steps of this size from now on."""
        self.optimizer.learning_rate = rate

    def _compile(self, step: Step, batch_size: int, precision: str) -> Pass:
        if self.strategy.num_replicas_in_sync > 1:
            # TensorFlow deals a batch among devices from outside of what it compiles.
            return Pass(_one_batch(self._in_precision(spread(self.strategy, step), precision)), batch_size, 1)
        features = tf.TensorSpec((None, *self.tail.input.shape[1:]), tf.float32)
        hard, soft = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, self.tail.output.shape[-1]), tf.float32)
        images = [features, soft if self.soft else hard, tf.TensorSpec((None,), tf.float32)]
        # Concrete: that a call need not be matched with a trace saves a third of what a small batch costs.
        passes = tf.function(_batch_after_batch(step, batch_size), autograph=False)
        compiled = self._in_precision(passes.get_concrete_function, precision)(*images)
        batch_bytes = 4 * batch_size * math.prod(features.shape[1:])
        return Pass(compiled, batch_size, max(1, IN_A_CALL // batch_bytes))

    def _in_precision(self, call: Callable[..., Any], precision: str) -> Callable[..., Any]:
        """A call during which the tail computes in that precision: whatever is compiled meanwhile stays so."""

        def called(*arrays: Any) -> Any:
            with computing_in(precision, self.tail):
                return call(*arrays)

        return called

    def _learn(self, features: Any, labels: Any, weights: Any, share: Any) -> tuple[Any, Any]:
        variables = self.tail.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.tail(features, training=True)
            loss = self._loss(logits, labels, weights, share)
            # What layers are fined for (L2) is learnt from, and not part of the loss that is told and compared.
            fines = sum(self.tail.losses) * (1 if share is None else share)
            scaled = self.optimizer.scale_loss(loss + fines)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss, _count_right(logits, labels, share)

    def _judge(self, features: Any, labels: Any, weights: Any, share: Any) -> tuple[Any, Any]:
        logits = self.tail(features, training=False)
        return self._loss(logits, labels, weights, share), _count_right(logits, labels, share)

    def _loss(self, logits: Any, labels: Any, weights: Any, share: Any) -> Any:
        """The mean over the images here; of a batch dealt among devices, this one's part of the mean over all."""
        targets = labels if self.soft else tf.one_hot(labels, logits.shape[-1])
        loss = self.loss(targets, logits, sample_weight=weights)
        # Keras has divided it by the number of replicas, as if all had equal parts.
        return loss if share is None else loss * share * self.strategy.num_replicas_in_sync


def _batch_after_batch(step: Step, batch_size: int) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """A pass over all images that it is given, as a graph."""

    def on_all(*images: Any) -> tuple[Any, Any]:
        count = tf.shape(images[0])[0]

        def take(start: Any, loss: Any, right: Any) -> tuple[Any, Any, Any]:
            batch = [part[start : start + batch_size] for part in images]
            its_loss, its_right = step(*batch, share=None)
            size = tf.cast(tf.shape(batch[0])[0], tf.float64)
            return start + batch_size, loss + tf.cast(its_loss, tf.float64) * size, right + its_right

        nothing = (0, tf.constant(0.0, tf.float64), tf.constant(0, tf.int64))
        _, loss, right = tf.while_loop(lambda start, *_: start < count, take, nothing, parallel_iterations=1)
        return loss, right

    return on_all


def _one_batch(step: Step) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """A pass over no more images than are a batch."""

    def on_one(features: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        loss, right = step(features, labels, weights)
        return float(loss) * len(features), right

    return on_one


def _count_right(logits: Any, labels: Any, share: Any) -> Any:
    classes = tf.argmax(labels, axis=1) if len(labels.shape) == 2 else labels  # of soft ones, the class of most votes
    right = tf.math.count_nonzero(tf.argmax(logits, axis=1) == classes)
    return right if share is None else tf.where(share > 0, right, 0)
