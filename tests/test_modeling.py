"""Models as they are built, cut in two, frozen, saved and read back."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import (
    STANDARDISE,
    build_classifier,
    count_parameters,
    cut,
    digest_weights,
    forward,
    load_model,
    save_model,
    summarise,
)

VGG16_BLOCKS = [f"block{n}_pool" for n in range(1, 6)]
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)


def config(backbone: str = "SmallCNN", size: int = 32, **changes: Any) -> PrepareBaseModelConfig:
    preprocessing = PreprocessingSpec(image_size=size)
    settings = {"seed": 1, "weights": "none", "freeze": "none", "preprocessing": preprocessing, **changes}
    return PrepareBaseModelConfig(backbone=backbone, **settings)


def build(backbone: str = "SmallCNN", size: int = 32, **changes: Any) -> Any:
    return build_classifier(config(backbone, size, **changes), classes=3)


def spec(size: int = 32) -> ModelSpec:
    return ModelSpec(
        classes=("a", "b", "c"),
        preprocessing=PreprocessingSpec(image_size=size),
        backbone="SmallCNN",
        weights="none",
        freeze="none",
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def vgg16() -> Any:
    return build("VGG16", freeze="all")


@pytest.mark.parametrize("freeze", ["all", "none", *VGG16_BLOCKS])
def test_trunk_and_tail_together_say_what_the_whole_model_says(vgg16, freeze):
    parts = cut(vgg16, freeze)
    in_two_steps = forward(parts.tail)(forward(parts.trunk)(IMAGES))
    np.testing.assert_allclose(in_two_steps, forward(vgg16)(IMAGES), rtol=1e-5, atol=1e-6)


def test_only_cut_at_the_pool_a_trunk_is_the_whole_backbone(vgg16):
    assert [freeze for freeze in ("all", *VGG16_BLOCKS, "none") if cut(vgg16, freeze).is_whole_backbone] == ["all"]


def test_batches_of_all_sizes_share_one_trace():
    traced = []

    class Told(keras.layers.Layer):
        def call(self, inputs):
            traced.append(inputs.shape)
            return 2 * inputs

    image = keras.Input((4,))
    run = forward(keras.Model(image, Told()(image)))
    traced.clear()
    for images in (16, 1, 5):
        np.testing.assert_array_equal(run(np.ones((images, 4), np.float32)), np.full((images, 4), 2))
    assert len(traced) == 1


@pytest.mark.parametrize("freeze", ["all", "none", "block1_pool", "block4_pool"])
def test_what_lies_up_to_the_freeze_point_is_frozen_and_the_rest_is_not(freeze):
    model = build(freeze=freeze)
    parts = cut(model, freeze)
    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert frozen == {layer.name for layer in parts.trunk.layers} | {STANDARDISE} & {
        layer.name for layer in parts.tail.layers
    }
    counts = count_parameters(model)
    assert counts["total"] == counts["trainable"] + counts["frozen"] == model.count_params()
    assert counts["trainable"] == sum(int(np.prod(weight.shape)) for weight in parts.tail.trainable_weights)


def test_only_a_backbone_that_does_not_move_is_standardised():
    assert STANDARDISE in [layer.name for layer in build(freeze="all").layers]
    assert STANDARDISE not in [layer.name for layer in build(freeze="block4_pool").layers]


def test_a_freeze_point_that_is_no_layer_is_refused_with_the_nearest_names():
    with pytest.raises(ConfigError, match=r"freeze: .* such as block4_pool, .* Received: 'block4pool'"):
        build(freeze="block4pool")


def test_a_freeze_point_in_the_head_is_refused():
    with pytest.raises(ConfigError, match="Received: 'logits'"):
        build(freeze="logits")


def test_a_freeze_point_inside_a_branch_is_refused_when_the_model_is_built():
    with pytest.raises(ConfigError, match="'conv2_block1_1_relu' lies inside a branch"):
        build("ResNet50", freeze="conv2_block1_1_relu")


@pytest.mark.parametrize("backbone", ["SmallCNN", "MobileNetV2", "EfficientNetB0", "ConvNeXtTiny"])
def test_a_saved_model_says_the_same_when_it_is_read_back(tmp_path, backbone):
    model = build(backbone, freeze="all")
    save_model(model, spec(), tmp_path)
    again, spec_again = load_model(tmp_path)
    assert spec_again == spec()
    assert digest_weights(again) == digest_weights(model)
    assert count_parameters(again) == count_parameters(model)
    np.testing.assert_array_equal(forward(again)(IMAGES), forward(model)(IMAGES))


@pytest.mark.parametrize(("backbone", "size"), [("SmallCNN", 32), ("Xception", 71)])
def test_equal_models_are_equal_folders_to_the_byte(tmp_path, backbone, size):
    save_model(build(backbone, size), spec(size), tmp_path / "one")
    keras.layers.Add()  # Keras numbers what it builds, across models
    save_model(build(backbone, size), spec(size), tmp_path / "other")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_another_seed_is_another_model():
    assert digest_weights(build(seed=1)) != digest_weights(build(seed=2))


def test_a_folder_that_is_no_model_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ModelError, match=r"model.json: no such file"):
        load_model(tmp_path)


@pytest.mark.parametrize("damage", ["architecture.json", "model.weights.h5"])
@pytest.mark.parametrize("how", ["missing", "cut short", "another model's"])
def test_a_damaged_model_is_one_error_that_names_the_folder(tmp_path, damage, how, recwarn):
    save_model(build(), spec(), tmp_path / "model")
    broken = tmp_path / "model" / damage
    if how == "missing":
        broken.unlink()
    elif how == "cut short":
        broken.write_bytes(broken.read_bytes()[:500])
    else:
        save_model(build(head=HeadConfig(hidden_units=7)), spec(), tmp_path / "other")
        (tmp_path / "other" / damage).replace(broken)
    with pytest.raises(ModelError, match="model: cannot be loaded as a Keras model"):
        load_model(tmp_path / "model")
    assert not [warning for warning in recwarn if warning.category is UserWarning]


@pytest.mark.parametrize(("pooling", "units"), [("mean", 96), ("max", 96), ("grid", 9 * 96)])
def test_the_head_pools_as_configured(pooling, units):
    model = build(size=80, head=HeadConfig(pooling=pooling, grid=3))
    assert model.get_layer("pool").output.shape == (None, units)


def test_a_grid_that_does_not_divide_the_map_has_overlapping_cells():
    model = build(size=80, head=HeadConfig(pooling="grid", grid=2))
    images = np.random.default_rng(1).uniform(0, 255, (1, 80, 80, 3)).astype(np.float32)
    maps = forward(cut(model, "block4_pool").trunk)(images)
    assert maps.shape[1:3] == (5, 5)
    halves = slice(0, 3), slice(2, 5)
    cells = [maps[:, rows, columns].mean(axis=(1, 2)) for rows in halves for columns in halves]
    np.testing.assert_allclose(forward(cut(model, "pool").trunk)(images), np.hstack(cells), rtol=1e-4, atol=1e-5)


def activations(model: Any, layer: str) -> np.ndarray:
    return keras.Model(model.input, model.get_layer(layer).output)(IMAGES).numpy()


@pytest.mark.parametrize("pooling", ["grid", "deviation"])
def test_a_grid_finer_than_the_map_is_an_error_that_says_so(pooling):
    with pytest.raises(ConfigError, match="a grid of 3 does not fit a map of 2 x 2: take a smaller grid"):
        build(size=32, head=HeadConfig(pooling=pooling, grid=3))


@pytest.mark.parametrize("grid", [1, 2])
def test_deviation_is_that_of_each_cell_and_channel(grid):
    model = build(head=HeadConfig(also=[{"layer": "block2_pool", "pooling": "deviation", "grid": grid}]))
    maps = activations(model, "block2_pool")
    n, side, _, channels = maps.shape
    cells = maps.reshape(n, grid, side // grid, grid, side // grid, channels).std(axis=(2, 4))
    pooled = np.asarray(cut(model, "all").trunk(IMAGES))[:, -grid * grid * channels :]
    np.testing.assert_allclose(pooled, cells.reshape(n, -1), atol=2e-3)


def test_inner_layers_follow_the_pooled_end_of_the_backbone():
    model = build(head=HeadConfig(also=[{"layer": "block3_pool"}, {"layer": "block1_pool", "pooling": "max"}]))
    end, third, first = (activations(model, f"block{n}_pool") for n in (4, 3, 1))
    expected = np.hstack([end.mean(axis=(1, 2)), third.mean(axis=(1, 2)), first.max(axis=(1, 2))])
    np.testing.assert_allclose(cut(model, "all").trunk(IMAGES), expected, rtol=1e-5)


def test_a_model_of_several_layers_is_the_same_in_two_and_when_read_back(tmp_path):
    also = HeadConfig(also=[{"layer": "block3_pool", "pooling": "deviation"}])
    model = build("VGG16", head=also, freeze="all")
    parts = cut(model, "all")
    np.testing.assert_allclose(parts.tail(parts.trunk(IMAGES)), model(IMAGES), rtol=1e-5)
    save_model(model, spec(), tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path)[0](IMAGES), model(IMAGES))


def test_a_layer_that_is_not_there_is_refused_with_the_nearest_names():
    with pytest.raises(ConfigError, match=r"prepare_base_model.head.also: .*block2_pool.* Received: 'block2_pol'"):
        build(head=HeadConfig(also=[{"layer": "block2_pol"}]))


def test_a_freeze_point_between_pooled_layers_is_refused():
    with pytest.raises(ConfigError, match="inside a branch"):
        build("VGG16", head=HeadConfig(also=[{"layer": "block3_pool"}]), freeze="block4_pool")


def test_hidden_units_and_dropout_stand_before_the_logits():
    model = build(head=HeadConfig(hidden_units=7, dropout=0.5))
    assert model.get_layer("logits").input.shape == (None, 7)
    assert model.get_layer("dropout").rate == 0.5


def test_the_summary_is_a_table_of_all_layers():
    table = summarise(build())
    assert "block4_pool" in table
    assert "logits" in table
