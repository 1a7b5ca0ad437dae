"""Build, cut, save and load classifiers. A model folder is architecture.json, model.weights.h5 and model.json.

Not one .keras file: that is a zip with dates inside, so the same training would give another
hash and DVC would rerun everything after it.
"""

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cnnClassifier.backbones import build_backbone, load_weights
from cnnClassifier.config.network import HeadConfig, PoolConfig
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.model_spec import WEIGHTS_FILE, ModelSpec, read_spec, write_spec

ARCHITECTURE_FILE = "architecture.json"
POOL = "pool"  # the layer between backbone and head: what the model sees of an image, as one vector
STANDARDISE = "standardise"  # the head's layer that scales frozen features
HIDDEN, LOGITS = "hidden", "logits"  # its dense layers; HIDDEN, then "hidden_2" and so on, only where asked for
SMALLEST_VARIANCE = 1e-6  # of activations: the root of nothing has no gradient

CELL_MEANS = (keras.layers.AdaptiveAveragePooling2D, keras.layers.GlobalAveragePooling2D)


@dataclass(frozen=True)
class Cut:
    """A model in two: the frozen `trunk` (images -> activations of `layer`) and the trainable `tail` (-> logits).

    They share their layers with the whole model: fitting the tail fits the model.
    """

    trunk: Any
    tail: Any
    layer: str

    @property
    def is_whole_backbone(self) -> bool:
        """Whether the trunk ends with the pooled features, so that the tail is the head alone."""
        return self.layer == POOL

    @property
    def tail_up_to_pool(self) -> Any:
        """Activations of `layer` -> the pooled features that the head judges by."""
        # From the trunk's output: Keras gives a tail that starts inside a model an input of its own.
        return keras.Model(self.trunk.output, self.tail.get_layer(POOL).output, name="tail_up_to_pool")


@dataclass(frozen=True)
class Pooled:
    """One part of the pooled vector: `activations` (None, h, w, c), and how they became it, as in `PoolConfig`.

    "grid" and "deviation" have grid x grid x c features, "mean" and "max" (grid 1) have c, "flatten" has h x w x c.
    """

    activations: Any
    pooling: str
    grid: int


def build_classifier(config: PrepareBaseModelConfig, classes: int) -> Any:
    """A Keras model: image (None, size, size, 3) RGB 0-255 -> logits (None, classes), frozen as configured.

    The same configuration gives the same model, down to the names that Keras numbers.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    image, feature_map = build_backbone(config.backbone, config.preprocessing.image_size, config.weights)
    pooled = _pool_layers(keras.Model(image, feature_map), config.head)
    logits = _add_head(pooled, config.head, classes, standardise=config.freeze == "all")
    model = keras.Model(image, logits, name=config.backbone.lower())
    _freeze(model, cut(model, config.freeze).layer)
    return model


def cut(model: Any, freeze: str) -> Cut:
    """Cut a model at its freeze point; with "all" after the pooling, with "none" at the image.

    Raises ConfigError for a layer that the backbone does not have, or where the graph is not one tensor wide.
    """
    layer = model.get_layer(_cut_name(model, freeze))
    try:
        tail = keras.Model(layer.output, model.output, name="tail")
    except ValueError:
        raise ConfigError(
            f"prepare_base_model.freeze: {freeze!r} lies inside a branch; choose the end of a block"
        ) from None
    return Cut(keras.Model(model.input, layer.output, name="trunk"), tail, layer.name)


def pooled_parts(model: Any) -> list[Pooled]:
    """What the pooled vector of a classifier is made of, in its order.

    Read off the graph, since a model folder does not keep its HeadConfig.
    """
    end = model.get_layer(POOL).output
    joined = isinstance(_maker(end), keras.layers.Concatenate | keras.layers.Identity)
    return [_read_pool(pooled) for pooled in (_made_of(end) if joined else [end])]


def hidden_name(number: int) -> str:
    """What the hidden layer of this number, counted from 1, is called."""
    return HIDDEN if number == 1 else f"{HIDDEN}_{number}"


def hidden_layers(model: Any) -> list[Any]:
    """The hidden layers of a classifier's head, from the pooled vector to the logits."""
    named = {layer.name: layer for layer in model.layers}
    numbers = takewhile(lambda number: hidden_name(number) in named, count(1))
    return [named[hidden_name(number)] for number in numbers]


def forward(model: Any) -> Any:
    """A compiled inference function of a model: float32 batch in, numpy out; faster than `predict` on batches."""
    # One trace for batches of all sizes: the last one of a pass is mostly smaller.
    batches = tf.TensorSpec((None, *model.input.shape[1:]), tf.float32)
    call = tf.function(lambda batch: model(batch, training=False), input_signature=[batches])
    return lambda batch: call(tf.convert_to_tensor(batch)).numpy()


def digest_weights(model: Any) -> str:
    """sha256 over all weights in order: names a network by what it computes with, not by its file."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()


def count_parameters(model: Any) -> dict[str, int]:
    """Total, trainable and frozen parameter counts."""
    total = int(sum(np.prod(weight.shape) for weight in model.weights))
    trainable = int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
    return {"total": total, "trainable": trainable, "frozen": total - trainable}


def summarise(model: Any) -> str:
    """Keras' table of layers, as text."""
    lines: list[str] = []
    model.summary(print_fn=lambda line: lines.append(line), line_length=100, show_trainable=True)
    return "\n".join(lines) + "\n"


def save_model(model: Any, spec: ModelSpec, folder: Path) -> None:
    """Write a model folder; byte-equal for equal models."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARCHITECTURE_FILE).write_text(model.to_json(indent=1) + "\n", encoding="utf-8")
    model.save_weights(folder / WEIGHTS_FILE)
    write_spec(spec, folder)


def load_model(folder: Path) -> tuple[Any, ModelSpec]:
    """Read a model folder; raise ModelError naming the file that is missing or damaged."""
    spec = read_spec(folder)
    try:
        model = keras.models.model_from_json((folder / ARCHITECTURE_FILE).read_text(encoding="utf-8"))
        load_weights(model, folder / WEIGHTS_FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: cannot be loaded as a Keras model: {str(error)[:200]}") from None
    return model, spec


def _add_head(x: Any, head: HeadConfig, classes: int, *, standardise: bool) -> Any:
    """Standardise the pooled vector if the backbone does not move under it, then dense layers to logits."""
    if standardise:
        # Frozen batch normalisation is (x - mean) / deviation with both set from the training features.
        x = keras.layers.BatchNormalization(center=False, scale=False, epsilon=1e-12, name=STANDARDISE)(x)
    if head.dropout:
        x = keras.layers.Dropout(head.dropout, name="dropout")(x)
    for number, units in enumerate(head.hidden_layers, start=1):
        x = keras.layers.Dense(units, activation="relu", name=hidden_name(number))(x)
        if number <= len(head.hidden_dropout) and head.hidden_dropout[number - 1]:
            x = keras.layers.Dropout(head.hidden_dropout[number - 1], name=f"{hidden_name(number)}_dropout")(x)
    return keras.layers.Dense(classes, name=LOGITS)(x)


def _pool_layers(backbone: Any, head: HeadConfig) -> Any:
    """The backbone's end and the inner layers asked for, pooled, one after the other; the layer is called POOL."""
    pooled = [_pool(backbone.output, head)]
    pooled += [_pool(_inner_layer(backbone, pool.layer).output, pool) for pool in head.also]
    if len(pooled) == 1:
        return keras.layers.Identity(name=POOL)(pooled[0])
    return keras.layers.Concatenate(name=POOL)(pooled)


def _inner_layer(backbone: Any, name: str) -> Any:
    maps = [layer.name for layer in backbone.layers if len(layer.output.shape) == 4]
    if name not in maps:
        nearest = ", ".join(get_close_matches(name, maps, n=5, cutoff=0.0))
        raise ConfigError(f"prepare_base_model.head.also: expected a layer such as {nearest}. Received: {name!r}")
    return backbone.get_layer(name)


def _pool(activations: Any, how: PoolConfig) -> Any:
    if how.pooling == "mean":
        return keras.layers.GlobalAveragePooling2D()(activations)
    if how.pooling == "max":
        return keras.layers.GlobalMaxPooling2D()(activations)
    if how.pooling == "flatten":
        return keras.layers.Flatten()(activations)
    means = _cell_means(activations, how.grid)
    if how.pooling == "grid":
        return keras.layers.Flatten()(means)
    # Rounding can leave a constant cell a variance below 0.
    variance = keras.ops.relu(_cell_means(activations * activations, how.grid) - means * means)
    return keras.layers.Flatten()(keras.ops.sqrt(variance + SMALLEST_VARIANCE))


def _read_pool(pooled: Any) -> Pooled:
    """What `_pool` was asked for when it gave this tensor."""
    above = _made_of(pooled)[0]
    if isinstance(_maker(pooled), keras.layers.GlobalMaxPooling2D):
        return Pooled(above, "max", 1)
    if isinstance(_maker(pooled), keras.layers.GlobalAveragePooling2D):
        return Pooled(above, "mean", 1)
    grid = above.shape[1]
    if isinstance(_maker(above), CELL_MEANS):
        return Pooled(_made_of(above)[0], "grid", grid)
    if isinstance(_maker(above), keras.layers.Layer):  # a deviation comes from an operation, not from a layer
        return Pooled(above, "flatten", 1)
    while not isinstance(_maker(above), CELL_MEANS):
        above = _made_of(above)[0]
    squares = _made_of(above)[0]
    return Pooled(_made_of(squares)[0], "deviation", grid)


def _maker(tensor: Any) -> Any:
    """The layer or operation that a tensor comes from."""
    return tensor._keras_history.operation


def _made_of(tensor: Any) -> list[Any]:
    """The tensors that a tensor is made of."""
    made = tensor._keras_history
    return list(made.operation._inbound_nodes[made.node_index].input_tensors)


def _cell_means(activations: Any, grid: int) -> Any:
    """The mean of each of `grid` x `grid` cells, (n, grid, grid, channels); ConfigError for more cells than pixels."""
    height, width = activations.shape[1:3]
    if grid > min(height, width):
        raise ConfigError(
            f"prepare_base_model.head: a grid of {grid} does not fit a map of {height} x {width}: take a smaller grid, "
            "an earlier layer or a larger preprocessing.image_size"
        )
    if grid == 1:  # AdaptiveAveragePooling2D fails on that
        return keras.layers.GlobalAveragePooling2D(keepdims=True)(activations)
    return keras.layers.AdaptiveAveragePooling2D(grid)(activations)


def _freeze(model: Any, last: str) -> None:
    """Everything up to and including the layer `last` keeps its weights."""
    boundary = model.layers.index(model.get_layer(last))
    for position, layer in enumerate(model.layers):
        layer.trainable = position > boundary and layer.name != STANDARDISE


def _cut_name(model: Any, freeze: str) -> str:
    """The layer that a freeze point names: the image, the pooling, or what lies between."""
    name = {"all": POOL, "none": "image"}.get(freeze, freeze)
    names = [layer.name for layer in model.layers]
    names = names[: names.index(POOL) + 1]
    if name not in names:
        nearest = ", ".join(get_close_matches(name, names, n=5, cutoff=0.0))
        raise ConfigError(
            f"prepare_base_model.freeze: expected `all`, `none` or a layer of {model.name} such as {nearest} "
            f"(summary.txt beside a base model lists all). Received: {freeze!r}"
        )
    return name
