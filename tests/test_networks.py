"""Each network builds, learns, is saved and read back, and says the same in ONNX and in LiteRT."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnClassifier.backbones import BACKBONES, build_backbone
from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig, TrainingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.export import export_package
from cnnClassifier.fitting import CompiledTail, Examples, fit
from cnnClassifier.formats.kinds import Format
from cnnClassifier.formats.reading import open_format, run_keras
from cnnClassifier.formats.writing import answering, write_format
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import POOL, build_classifier, cut, load_model, save_model
from cnnClassifier.networks import L2

DENSE_HEAD = HeadConfig(pooling="flatten", hidden_units=(64, 64, 32, 16), hidden_dropout=(0.5, 0.3))
# Whole networks of the sister systems, each with the head it has there, in width as far as the time allows.
SYSTEMS = {
    "BasicCNN": ("none", HeadConfig(pooling="flatten", hidden_units=8)),
    "ThreeBlockCNN": ("none", HeadConfig(hidden_units=(32, 16), dropout=0.5)),
    "ViTTiny": ("block5_out", HeadConfig()),
}
SLOW = {
    "VGG16": ("all", HeadConfig()),
    "MobileNetV2": ("all", HeadConfig(hidden_units=32, dropout=0.5)),
    "DenseNet121": ("all", DENSE_HEAD),
    "ResNet50": ("all", HeadConfig()),
    "DenseNet201": ("all", HeadConfig(hidden_units=8, dropout=0.5)),
    "Xception": ("all", HeadConfig(hidden_units=8)),
}
EPOCH = TrainingConfig(seed=1, epochs=1, batch_size=4, learning_rate=1e-3)


def build(name: str, freeze: str, head: HeadConfig, size: int | None = None) -> tuple[Any, ModelSpec]:
    preprocessing = PreprocessingSpec(image_size=size or BACKBONES[name].smallest)
    config = PrepareBaseModelConfig(
        seed=1, backbone=name, weights="none", freeze=freeze, head=head, preprocessing=preprocessing
    )
    spec = ModelSpec(classes=tuple("abc"), preprocessing=preprocessing, backbone=name, weights="none", freeze=freeze)
    return build_classifier(config, classes=3), spec


def pictures(size: int, count: int = 4) -> np.ndarray:
    """Noise, each brighter than the one before."""
    noise = np.random.default_rng(0).uniform(0, 255, (count, size, size, 3))
    return (noise * np.linspace(0.2, 1, count)[:, None, None, None]).astype(np.float32)


def train_a_step(model: Any, freeze: str, images: np.ndarray, folder: Path) -> None:
    parts = cut(model, freeze)
    features = np.asarray(parts.trunk(images))
    before = [weight.numpy() for weight in parts.tail.trainable_weights]
    examples = Examples(lambda rows, _draw: features[rows], np.arange(len(images)) % 3, np.ones(len(images), "f4"))
    fit(CompiledTail(parts.tail, EPOCH), examples, None, EPOCH, folder / "checkpoint")
    assert any(
        not np.array_equal(old, new.numpy()) for old, new in zip(before, parts.tail.trainable_weights, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "freeze", "head"),
    [
        *((name, *how) for name, how in SYSTEMS.items()),
        *(pytest.param(name, *how, marks=pytest.mark.slow) for name, how in SLOW.items()),
    ],
)
def test_a_network_learns_is_read_back_and_says_the_same_everywhere(tmp_path, name, freeze, head):
    model, spec = build(name, freeze, head)
    images = pictures(spec.preprocessing.image_size)
    train_a_step(model, freeze, images, tmp_path)
    kernel, bias = model.get_layer("logits").get_weights()
    spread = np.ptp(model(images).numpy(), axis=0).max()
    # After one step all answers are alike.
    model.get_layer("logits").set_weights([kernel * 2 / max(spread, 1e-3), bias])
    save_model(model, spec, tmp_path / "saved")
    again, read = load_model(tmp_path / "saved")
    assert read == spec
    export_package(again, spec, tmp_path)
    write_format(Format.LITERT, again, tmp_path)
    expected = run_keras(answering(model))(images)
    assert np.ptp(expected[1], axis=0).max() > 0
    for kind in (Format.ONNX, Format.LITERT):
        probabilities, features = open_format(kind, tmp_path)(images)
        assert np.abs(probabilities - expected[0]).max() < 1e-5
        assert np.abs(features - expected[1]).max() < 1e-4 * np.abs(expected[1]).max()


def test_what_l2_is_fined_for_is_learnt_and_not_told(tmp_path):
    model, _ = build("ThreeBlockCNN", "none", HeadConfig(), size=16)
    kernel = model.get_layer("block1_conv").kernel
    fined = L2 * sum(float((model.get_layer(f"block{n}_conv").kernel.numpy() ** 2).sum()) for n in (1, 2, 3))
    np.testing.assert_allclose(float(sum(model.losses)), fined, rtol=1e-5)
    large = kernel.numpy() * 100
    kernel.assign(large)
    blank = np.zeros((4, 16, 16, 3), np.float32)  # nothing but the fine moves the first kernel
    examples = Examples(lambda rows, _draw: blank[rows], np.arange(4) % 3, np.ones(4, np.float32))
    state = fit(CompiledTail(cut(model, "none").tail, EPOCH), examples, None, EPOCH, tmp_path / "checkpoint")
    assert np.abs(kernel.numpy()).sum() < np.abs(large).sum()
    assert state.history[0]["loss"] < 10 < float(sum(model.losses))


def test_the_ultrasound_system_s_dense_head_has_its_parameters():
    """As that system's own summary counts them: on a map of 8 x 8 x 1024."""
    head = HeadConfig(pooling="flatten", hidden_units=(1024, 1024, 512, 128), hidden_dropout=(0.5, 0.3))
    shapes = [(8 * 8 * 1024, 1024), (1024, 1024), (1024, 512), (512, 128), (128, 3)]
    assert sum(rows * columns + columns for rows, columns in shapes) == 68_750_339
    assert list(zip((shapes[0][0], *head.hidden_layers), (*head.hidden_layers, 3), strict=True)) == shapes


def test_flattening_keeps_every_place():
    model, _ = build("SmallCNN", "all", HeadConfig(pooling="flatten"), size=32)
    images = pictures(32)
    feature_map = np.asarray(keras.Model(model.input, model.get_layer("block4_pool").output)(images))
    assert feature_map.shape == (4, 2, 2, 96)
    pooled = np.asarray(keras.Model(model.input, model.get_layer(POOL).output)(images))
    np.testing.assert_array_equal(pooled, feature_map.reshape(4, -1))


def test_hidden_layers_stand_in_the_order_given_each_with_its_dropout():
    model, _ = build("SmallCNN", "all", HeadConfig(hidden_units=(7, 5, 3), hidden_dropout=(0.5, 0.25)))
    names = [layer.name for layer in model.layers]
    expected = ["hidden", "hidden_dropout", "hidden_2", "hidden_2_dropout", "hidden_3", "logits"]
    assert names[names.index("hidden") :] == expected
    assert [model.get_layer(name).units for name in ("hidden", "hidden_2", "hidden_3")] == [7, 5, 3]
    assert model.get_layer("hidden_2_dropout").rate == 0.25


def test_one_hidden_layer_may_be_a_number_as_before():
    assert HeadConfig(hidden_units=9).hidden_layers == HeadConfig(hidden_units=(9,)).hidden_layers == (9,)
    assert HeadConfig().hidden_layers == ()


def test_dropout_without_its_hidden_layer_is_refused():
    with pytest.raises(ValueError, match="hidden_dropout has 2 shares for 1 hidden layers"):
        HeadConfig(hidden_units=9, hidden_dropout=(0.5, 0.3))


def test_a_transformer_takes_whole_patches_only():
    with pytest.raises(ConfigError, match=r"ViTTiny takes a multiple of 16 pixels. Received: 40"):
        build_backbone("ViTTiny", 40, "none")


def test_a_transformer_knows_where_a_patch_is():
    model, _ = build("ViTTiny", "none", HeadConfig())
    image = np.zeros((1, 32, 32, 3), np.float32)
    image[:, :16, :16] = 255
    moved = np.roll(image, 16, axis=2)
    assert np.abs(model(image).numpy() - model(moved).numpy()).max() > 1e-3
