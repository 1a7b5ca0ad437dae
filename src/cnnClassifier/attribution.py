"""Where in an image the evidence for each class lies: the logit of a class, laid out over the finest pooled layer.

For a linear head it is exact: a map's sum and the class's bias are the logit. docs/explain.md says what each
pooling makes of a place. Forward operations only, so that the maps can be an output of the ONNX model.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from cnnClassifier.modeling import (
    LOGITS,
    POOL,
    SMALLEST_VARIANCE,
    STANDARDISE,
    forward,
    hidden_layers,
    pooled_parts,
)

NEAR_TIE = 0.01  # places this share below the maximum have no part in it, nearer ones by how near they come
LEAST = 1e-6  # of the same, where the maximum is 0

Maps = NDArray[np.float32]
Cell = tuple[slice, slice]  # rows and columns of a layer's activations


def class_maps(model: Any, typical: Maps | None = None) -> Any:
    """The maps of a classifier as a tensor (None, classes, h, w) of its graph.

    h x w is the size of the finest pooled layer; what coarser ones give is spread smoothly over it, its sum kept.
    `typical`, maps (classes, h, w) of images as they mostly are, is taken off: what every image has explains none.
    """
    parts = pooled_parts(model)
    head = {layer.name: layer for layer in model.layers if layer.name in (STANDARDISE, LOGITS)}
    judged = head[STANDARDISE] if STANDARDISE in head else model.get_layer(POOL)
    hidden = hidden_layers(model)
    maps = ClassMaps([(part.pooling, part.grid) for part in parts], head, hidden, typical, name="maps")
    return maps([*(part.activations for part in parts), judged.output, *(layer.output for layer in hidden)])


def typical_maps(model: Any, batches: Iterable[NDArray[np.float32]]) -> Maps:
    """The mean of the maps of many images, (classes, h, w); ValueError if there is no image."""
    run = forward(keras.Model(model.input, class_maps(model)))
    total, count = np.zeros(1), 0
    for batch in batches:
        total = total + run(batch).sum(axis=0, dtype=np.float64)
        count += len(batch)
    if not count:
        raise ValueError("typical maps are a mean over images; none was given")
    typical: Maps = (total / count).astype(np.float32)
    return typical


def is_exact(model: Any) -> bool:
    """Whether the head is linear, so that the sum of a map, of the typical one and of the bias are the logit."""
    return not hidden_layers(model)


class ClassMaps(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped here
    """Activations of every part, the vector that the dense layers judge and each hidden layer's answer -> maps.

    `parts` are pooling and grid of each, `head` the model's own layers by name, `hidden` its hidden ones in order,
    `typical` what is taken off. Made for a model at hand, never saved. One layer, since Keras numbers operations by
    themselves without regard to a loaded model's.
    """

    def __init__(
        self,
        parts: Sequence[tuple[str, int]],
        head: dict[str, Any],
        hidden: Sequence[Any],
        typical: Maps | None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.parts, self.head, self.hidden, self.typical = parts, head, hidden, typical

    def call(self, inputs: Sequence[Any]) -> Any:
        """[(n, h, w, c) for each part, (n, d), (n, units) for each hidden layer] -> (n, classes, h, w)."""
        layers, (judged, *answers) = inputs[: len(self.parts)], inputs[len(self.parts) :]
        gains = self._gains(answers)
        finest = tuple(max(layer.shape[axis] for layer in layers) for axis in (1, 2))
        total, first = 0, 0
        for (pooling, grid), layer in zip(self.parts, layers, strict=True):
            for cell in cells(layer.shape[1:3], grid):
                activations = layer[:, cell[0], cell[1]]
                of_cell = slice(first, first + _features(pooling, activations))
                evidence = self._evidence(pooling, activations, judged, gains, of_cell)
                total += _spread(evidence, cell, layer.shape[1:3], finest)
                first = of_cell.stop
        return total if self.typical is None else total - self.typical

    def _evidence(self, pooling: str, activations: Any, judged: Any, gains: Any, features: slice) -> Any:
        """What each place of a cell (n, h, w, c) gives to the classes: (n, h, w, classes)."""
        gain = gains[:, features]
        if pooling == "flatten":
            return _placed(judged[:, features], gain, activations.shape[1:])
        if pooling == "max":
            return _shared(_nearness(activations), judged[:, features], gain)
        return _laid_out(self._standardise(_terms(pooling, activations), features), gain)

    def _gains(self, answers: Sequence[Any]) -> Any:
        """What a logit gains by each judged feature: (1, d, classes), or of each image (n, d, classes)."""
        gains = ops.expand_dims(self.head[LOGITS].kernel, 0)
        for layer, answer in zip(self.hidden[::-1], answers[::-1], strict=True):
            # The chain rule through ReLU in forward operations: ONNX has none for gradients.
            is_open = ops.cast(answer > 0, gains.dtype)
            gains = ops.matmul(layer.kernel, ops.expand_dims(is_open, -1) * gains)
        return gains

    def _standardise(self, terms: Any, features: slice) -> Any:
        """Terms whose mean is a feature -> terms whose sum is the feature as the dense layers judge it."""
        places = terms.shape[1] * terms.shape[2]
        if STANDARDISE not in self.head:
            return terms / places
        layer = self.head[STANDARDISE]
        scale = ops.rsqrt(layer.moving_variance[features] + layer.epsilon) / places
        return (terms - layer.moving_mean[features]) * scale


def cells(shape: Sequence[int], grid: int) -> Iterator[Cell]:
    """Rows and columns of each of `grid` x `grid` cells of a layer (h, w), as adaptive pooling cuts it."""
    for row in range(grid):
        for column in range(grid):
            yield _interval(shape[0], grid, row), _interval(shape[1], grid, column)


def shares(fine: int, coarse: int) -> NDArray[np.float32]:
    """What each of `fine` places of a line gets of each of `coarse` ones, linear between their middles: (fine, coarse).

    A coarse place's shares sum to 1: spread out, evidence neither grows nor shrinks.
    """
    middles = ((np.arange(fine) + 0.5) * coarse / fine - 0.5).clip(0, coarse - 1)
    tents = (1 - np.abs(middles[:, None] - np.arange(coarse))).clip(0)
    spread: NDArray[np.float32] = (tents / tents.sum(axis=0)).astype(np.float32)
    return spread


def _interval(length: int, grid: int, number: int) -> slice:
    return slice(number * length // grid, -(-(number + 1) * length // grid))


def _features(pooling: str, activations: Any) -> int:
    """How many features a cell's activations (n, h, w, c) become."""
    return math.prod(activations.shape[1:]) if pooling == "flatten" else activations.shape[-1]


def _nearness(activations: Any) -> Any:
    """How near each place (n, h, w, c) comes to its channel's maximum: 1 there, 0 for most."""
    largest = ops.amax(activations, axis=(1, 2), keepdims=True)
    return ops.relu(1 - (largest - activations) / (NEAR_TIE * ops.abs(largest) + LEAST))


def _terms(pooling: str, activations: Any) -> Any:
    """What each place (n, h, w, c) has to do with a mean or a deviation, which is the mean of these terms."""
    if pooling in ("mean", "grid"):
        return activations
    squares = ops.square(activations - ops.mean(activations, axis=(1, 2), keepdims=True)) + SMALLEST_VARIANCE
    return squares * ops.rsqrt(ops.mean(squares, axis=(1, 2), keepdims=True))


def _shared(nearness: Any, judged: Any, gain: Any) -> Any:
    """What maxima (n, c) give to the classes, dealt to places by how near these come: (n, h, w, classes)."""
    portion = judged / ops.sum(nearness, axis=(1, 2))
    return _laid_out(nearness, ops.expand_dims(portion, -1) * gain)


def _placed(judged: Any, gain: Any, shape: Sequence[int]) -> Any:
    """What the features of every place (n, h x w x c) give by (1 or n, h x w x c, classes): (n, h, w, classes)."""
    height, width, channels = shape
    of_place = ops.reshape(judged, (-1, height * width, 1, channels))
    gain_there = ops.reshape(gain, (-1, height * width, channels, gain.shape[-1]))
    return ops.reshape(ops.matmul(of_place, gain_there), (-1, height, width, gain.shape[-1]))


def _laid_out(values: Any, gain: Any) -> Any:
    """(n, h, w, c) by (1 or n, c, classes) -> (n, h, w, classes)."""
    height, width, channels = values.shape[1:]
    evidence = ops.matmul(ops.reshape(values, (-1, height * width, channels)), gain)
    return ops.reshape(evidence, (-1, height, width, gain.shape[-1]))


def _spread(evidence: Any, cell: Cell, shape: Sequence[int], finest: Sequence[int]) -> Any:
    """Evidence of a layer's cell (n, h, w, classes) -> its share of the maps (n, classes, *finest)."""
    margins = [[part.start, length - part.stop] for part, length in zip(cell, shape, strict=True)]
    maps = ops.transpose(ops.pad(evidence, [[0, 0], *margins, [0, 0]]), (0, 3, 1, 2))
    if tuple(shape) == tuple(finest):
        return maps
    down, across = (shares(fine, coarse) for fine, coarse in zip(finest, shape, strict=True))
    return ops.matmul(ops.matmul(down, maps), across.T)
