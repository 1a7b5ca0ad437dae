"""The maps of each class against what they are said to be: the logit, laid out."""

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnClassifier.attribution import cells, class_maps, is_exact, shares, typical_maps
from cnnClassifier.config.network import HeadConfig, LayerPoolConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import (
    LOGITS,
    POOL,
    STANDARDISE,
    build_classifier,
    cut,
    load_model,
    pooled_parts,
    save_model,
)

SIZE = 80  # the last layer of the small network is 5 x 5
ALSO = (
    LayerPoolConfig(layer="block2_pool", pooling="max"),  # 20 x 20
    LayerPoolConfig(layer="block3_pool", pooling="deviation", grid=2),  # 10 x 10
    LayerPoolConfig(layer="block4_pool", pooling="grid", grid=3),  # 5 x 5 in cells that overlap
)
HEADS = {
    "mean": HeadConfig(pooling="mean"),
    "max": HeadConfig(pooling="max"),
    "grid": HeadConfig(pooling="grid", grid=2),
    "deviation": HeadConfig(pooling="deviation", grid=1),
    "deviation of cells": HeadConfig(pooling="deviation", grid=3, dropout=0.3),
    "several layers": HeadConfig(pooling="mean", also=ALSO),
    "flatten": HeadConfig(pooling="flatten", also=(LayerPoolConfig(layer="block3_pool", pooling="max"),)),
}


def images(count: int, seed: int) -> np.ndarray:
    """Noise, the left half of the first plain: there a deviation is 0 and a maximum is everywhere."""
    drawn = np.random.default_rng(seed).uniform(0, 255, (count, SIZE, SIZE, 3)).astype(np.float32)
    drawn[0, :, : SIZE // 2] = 0
    return drawn


def build(head: HeadConfig, freeze: str = "all", backbone: str = "SmallCNN", size: int = SIZE) -> Any:
    """A random network; if frozen, standardised by images as in training."""
    preprocessing = PreprocessingSpec(image_size=size)
    config = PrepareBaseModelConfig(
        seed=1, backbone=backbone, weights="none", freeze=freeze, head=head, preprocessing=preprocessing
    )
    model = build_classifier(config, classes=3)
    if freeze == "all":
        features = np.asarray(cut(model, "all").trunk(images(20, seed=1)[:, :size, :size]))
        # A channel that is 0 in every one of few images would be scaled by a million.
        model.get_layer(STANDARDISE).set_weights([features.mean(axis=0), features.var(axis=0) + 1e-2])
    return model


def pool_alone(kernel: np.ndarray) -> Any:
    """A classifier whose activations (3, 3, 2) are its input: their maxima by `kernel`."""
    image = keras.Input((3, 3, 2))
    pooled = keras.layers.GlobalMaxPooling2D(name=POOL)(image)
    model = keras.Model(image, keras.layers.Dense(2, name=LOGITS)(pooled))
    model.get_layer(LOGITS).set_weights([kernel, np.zeros(2)])
    return model


@cache
def frozen(name: str) -> Any:
    return build(HEADS[name])


def explain(model: Any, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and maps."""
    logits, maps = keras.Model(model.input, [model.output, class_maps(model)])(batch)
    return logits.numpy(), maps.numpy()


def assert_sums_to_the_logits(model: Any, batch: np.ndarray) -> None:
    logits, maps = explain(model, batch)
    assert maps.shape[:2] == logits.shape
    np.testing.assert_allclose(
        maps.sum(axis=(2, 3)) + model.get_layer(LOGITS).bias.numpy(), logits, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", HEADS)
def test_a_map_and_the_bias_of_a_linear_head_are_the_logit(name):
    assert is_exact(frozen(name))
    assert_sums_to_the_logits(frozen(name), images(4, seed=2))


@pytest.mark.parametrize("head", [HEADS["mean"], HEADS["several layers"]])
def test_so_they_are_where_the_backbone_was_trained_too(head):
    assert_sums_to_the_logits(build(head, freeze="block2_pool"), images(4, seed=2))


def test_so_they_are_in_a_network_of_another_kind():
    head = HeadConfig(pooling="max", also=(LayerPoolConfig(layer="conv2_block3_out", pooling="deviation", grid=2),))
    model = build(head, backbone="ResNet50", size=64)
    assert_sums_to_the_logits(model, images(2, seed=2)[:, :64, :64])


def test_maps_are_as_fine_as_the_finest_layer_pooled():
    assert explain(frozen("mean"), images(2, seed=2))[1].shape == (2, 3, 5, 5)
    assert explain(frozen("several layers"), images(2, seed=2))[1].shape == (2, 3, 20, 20)


def test_of_a_pooled_mean_they_are_the_class_activation_map():
    """Zhou et al., CVPR 2016: activations weighted by the weights of the class, here of the standardised feature."""
    model, batch = frozen("mean"), images(3, seed=2)
    activations = np.asarray(keras.Model(model.input, model.get_layer("block4_pool").output)(batch))
    standardise, kernel = model.get_layer(STANDARDISE), model.get_layer(LOGITS).kernel.numpy()
    weights = kernel / np.sqrt(standardise.moving_variance.numpy() + standardise.epsilon)[:, None]
    above_the_mean = activations - standardise.moving_mean.numpy()  # the same everywhere: it moves no peak
    expected = np.einsum("nhwc,ck->nkhw", above_the_mean, weights) / 25
    np.testing.assert_allclose(explain(model, batch)[1], expected, rtol=1e-3, atol=1e-5)


def test_a_maximum_counts_where_it_is_and_equal_ones_share_it():
    activations = np.zeros((1, 3, 3, 2), dtype=np.float32)
    activations[0, 0, 1, 0] = 4
    activations[0, 1, 1, 0] = 3.9  # all but the maximum is not the maximum
    activations[0, 2, :2, 1] = 6
    maps = explain(pool_alone(np.array([[1, 2], [-1, 1]])), activations)[1][0]
    assert maps[0].tolist() == [[0, 4, 0], [0, 0, 0], [-3, -3, 0]]
    assert maps[1].tolist() == [[0, 8, 0], [0, 0, 0], [3, 3, 0]]


def test_rounding_does_not_decide_where_a_maximum_is():
    activations = np.full((1, 3, 3, 2), 5, dtype=np.float32)
    model = pool_alone(np.eye(2))
    rounded = activations * (1 + np.random.default_rng(0).uniform(-3e-7, 3e-7, activations.shape).astype(np.float32))
    np.testing.assert_allclose(explain(model, rounded)[1], explain(model, activations)[1], rtol=1e-3)


def test_of_a_deviation_places_count_by_their_squared_distance_from_the_mean():
    model, batch = frozen("deviation"), images(3, seed=2)
    activations = np.asarray(keras.Model(model.input, model.get_layer("block4_pool").output)(batch))
    squares = np.square(activations - activations.mean(axis=(1, 2), keepdims=True))
    terms = squares / np.sqrt(squares.mean(axis=(1, 2), keepdims=True) + 1e-6)  # their mean is the deviation
    standardise, kernel = model.get_layer(STANDARDISE), model.get_layer(LOGITS).kernel.numpy()
    weights = kernel / np.sqrt(standardise.moving_variance.numpy() + standardise.epsilon)[:, None]
    expected = np.einsum("nhwc,ck->nkhw", terms - standardise.moving_mean.numpy(), weights) / 25
    np.testing.assert_allclose(explain(model, batch)[1], expected, rtol=1e-3, atol=1e-3)


def test_less_the_typical_maps_a_map_sums_to_what_its_logit_is_above_the_typical_one():
    model, others = frozen("several layers"), images(9, seed=3)
    typical = typical_maps(model, [others[:4], others[4:]])
    batch = images(4, seed=2)
    logits, maps = (
        np.asarray(out) for out in keras.Model(model.input, [model.output, class_maps(model, typical)])(batch)
    )
    usual = np.asarray(model(others)).mean(axis=0)
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), logits - usual, rtol=1e-4, atol=1e-3)


def test_typical_maps_of_no_image_are_an_error():
    with pytest.raises(ValueError, match="mean over images"):
        typical_maps(frozen("mean"), [])


@pytest.mark.parametrize("freeze", ["all", "none"])
@pytest.mark.parametrize(
    "head",
    [
        HeadConfig(pooling="mean", hidden_units=9, dropout=0.3),
        HeadConfig(pooling="mean", hidden_units=(9, 8, 7), hidden_dropout=(0.5,)),
    ],
)
def test_behind_a_hidden_layer_places_count_by_the_logit_s_gradient(freeze, head):
    """Of a mean that is Grad-CAM (Selvaraju et al., ICCV 2017) before its ReLU, with TensorFlow's own gradient."""
    model, batch = build(head, freeze), images(3, seed=2)
    inner = keras.Model(model.input, model.get_layer("block4_pool").output)
    tail = keras.Model(inner.output, model.output)
    with tf.GradientTape(persistent=True) as tape:
        activations = tf.convert_to_tensor(inner(batch))
        tape.watch(activations)
        logits = tf.unstack(tail(activations), axis=1)
    gradients = [tape.gradient(logit, activations).numpy() for logit in logits]
    above = activations.numpy() - (model.get_layer(STANDARDISE).moving_mean.numpy() if freeze == "all" else 0)
    expected = [(gradient * above).sum(axis=-1) for gradient in gradients]
    np.testing.assert_allclose(explain(model, batch)[1], np.stack(expected, axis=1), rtol=1e-3, atol=1e-4)


def test_behind_flattened_places_and_hidden_layers_too():
    """There it is gradient times activation, without a mean to be above: the head was not standardised."""
    head = HeadConfig(pooling="flatten", hidden_units=(9, 8), hidden_dropout=(0.5,))
    model, batch = build(head, freeze="none"), images(3, seed=2)
    inner = keras.Model(model.input, model.get_layer("block4_pool").output)
    tail = keras.Model(inner.output, model.output)
    with tf.GradientTape(persistent=True) as tape:
        activations = tf.convert_to_tensor(inner(batch))
        tape.watch(activations)
        logits = tf.unstack(tail(activations), axis=1)
    expected = [(tape.gradient(logit, activations) * activations).numpy().sum(axis=-1) for logit in logits]
    np.testing.assert_allclose(explain(model, batch)[1], np.stack(expected, axis=1), rtol=1e-3, atol=1e-5)


def test_maps_behind_a_hidden_layer_are_not_called_exact():
    assert not is_exact(build(HeadConfig(hidden_units=9)))


def test_a_model_read_back_from_its_folder_has_the_same_maps(tmp_path):
    model = frozen("several layers")
    preprocessing = PreprocessingSpec(image_size=SIZE)
    spec = ModelSpec(
        classes=("a", "b", "c"), preprocessing=preprocessing, backbone="SmallCNN", weights="none", freeze="all"
    )
    save_model(model, spec, tmp_path)
    expected = explain(model, images(2, seed=2))[1]
    keras.utils.clear_session()  # as in another process: Keras begins to count its names anew
    again, _ = load_model(tmp_path)
    maps = keras.Model(again.input, class_maps(again, np.ones_like(expected[0])))(images(2, seed=2))
    np.testing.assert_allclose(maps, expected - 1, rtol=1e-5, atol=1e-5)


def test_what_was_pooled_and_how_is_read_off_the_graph():
    parts = [(part.activations.shape[1:], part.pooling, part.grid) for part in pooled_parts(frozen("several layers"))]
    assert parts == [
        ((5, 5, 96), "mean", 1),
        ((20, 20, 32), "max", 1),
        ((10, 10, 64), "deviation", 2),
        ((5, 5, 96), "grid", 3),
    ]


def test_a_pooling_layer_that_is_itself_the_pool_is_read_too():
    assert [part.pooling for part in pooled_parts(pool_alone(np.eye(2)))] == ["max"]


@pytest.mark.parametrize(("length", "grid"), [(6, 3), (5, 2), (5, 3), (7, 4)])
def test_cells_are_those_of_adaptive_pooling(length, grid):
    line = np.random.default_rng(0).normal(size=(1, length, length, 1)).astype(np.float32)
    pooled = np.asarray(keras.layers.AdaptiveAveragePooling2D(grid)(line)).ravel()
    means = [line[0, rows, columns].mean() for rows, columns in cells((length, length), grid)]
    np.testing.assert_allclose(means, pooled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("fine", "coarse"), [(6, 3), (17, 8), (35, 17), (5, 1), (4, 4)])
def test_spreading_keeps_the_sum_and_the_order(fine, coarse):
    spread = shares(fine, coarse)
    assert spread.shape == (fine, coarse)
    assert spread.min() >= 0
    np.testing.assert_allclose(spread.sum(axis=0), 1, rtol=1e-6)
    middles = (np.arange(fine) @ spread + 0.5) / fine
    np.testing.assert_allclose(middles, (np.arange(coarse) + 0.5) / coarse, atol=0.25 / fine)


def test_spreading_has_no_steps_within_a_place():
    """A peak of a coarse layer is a peak of the map, not a square of equal values: the first of these would win."""
    one, neighbour = [0, 4, 2], [0, 0, 0]
    spread = shares(12, 3) @ np.array([one, neighbour], np.float32).T
    assert np.unique(spread[4:8, 0]).size == 4
    assert spread[:, 0].argmax() == 6, "towards the place that has more"
    assert not spread[:, 1].any()
