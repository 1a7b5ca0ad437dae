"""Every row of the table can be built, cut and given weights; pretrained weights are never replaced by random ones."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnClassifier.backbones import BACKBONES, WEIGHTS_DIR_VARIABLE, build_backbone
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.errors import ConfigError, WeightsError
from cnnClassifier.export import export_package
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec
from cnnClassifier.modeling import POOL, build_classifier, cut
from cnnClassifier.onnx_weights import store_in_half
from random_weights import save_random_weights

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens there


def network_of(name: str, weights: str, size: int = 32) -> Any:
    return keras.Model(*build_backbone(name, size, weights))


def same_weights(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.fixture
def mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(WEIGHTS_DIR_VARIABLE, str(tmp_path / "mirror"))
    return tmp_path / "mirror"


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No way out, and nothing downloaded earlier."""
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "keras"))


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_builds_at_its_smallest_size_and_can_be_cut_at_its_freeze_points(name):
    row = BACKBONES[name]
    config = PrepareBaseModelConfig(
        seed=1, backbone=name, weights="none", preprocessing=PreprocessingSpec(image_size=row.smallest)
    )
    model = build_classifier(config, classes=3)
    assert model.input_shape == (None, row.smallest, row.smallest, 3)
    assert model.output_shape == (None, 3)
    assert row.freeze_points
    for layer in row.freeze_points:
        assert cut(model, layer).layer == layer


@pytest.mark.parametrize("name", BACKBONES)
def test_an_image_below_the_smallest_size_is_refused(name):
    smallest = BACKBONES[name].smallest
    with pytest.raises(ConfigError, match=rf"size: {name} takes at least {smallest} pixels. Received: {smallest - 1}"):
        build_backbone(name, smallest - 1, "none")


def test_an_unknown_backbone_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match=r"VGG16, VGG19, .* SmallCNN, .*ViTTiny. Received: 'vgg16'"):
        build_backbone("vgg16", 32, "none")


def test_the_folder_of_weights_is_looked_in_first(mirrored):
    pretrained = save_random_weights(mirrored, "MobileNetV2")
    assert same_weights(network_of("MobileNetV2", "imagenet"), pretrained)


def test_a_file_of_weights_can_be_named(tmp_path):
    pretrained = save_random_weights(tmp_path, "MobileNetV2")
    assert same_weights(network_of("MobileNetV2", str(tmp_path / "mobilenetv2_notop.weights.h5")), pretrained)


def test_no_weights_are_random_ones_from_the_seed():
    keras.utils.set_random_seed(1)
    one = network_of("SmallCNN", "none")
    keras.utils.set_random_seed(2)
    assert not same_weights(one, network_of("SmallCNN", "none"))


@pytest.mark.usefixtures("no_network")
def test_missing_weights_without_a_network_are_one_error_with_both_ways_out(mirrored, caplog):
    with pytest.raises(WeightsError) as caught:
        build_backbone("MobileNetV2", 32, "imagenet")
    message = str(caught.value)
    assert "mobilenetv2_notop.weights.h5" in message
    assert WEIGHTS_DIR_VARIABLE in message
    assert "prepare_base_model.weights" in message
    assert "\n" not in message
    assert "has no mobilenetv2_notop.weights.h5" in caplog.text


@pytest.mark.usefixtures("no_network")
def test_missing_weights_are_an_error_without_a_folder_too():
    with pytest.raises(WeightsError, match="neither here nor to be downloaded"):
        build_backbone("VGG19", 32, "imagenet")


def test_a_named_file_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match=r"mine\.weights\.h5 is not a file"):
        build_backbone("VGG16", 32, str(tmp_path / "mine.weights.h5"))


@pytest.mark.parametrize("content", ["another network", "a truncated file", "no file of weights"])
def test_the_wrong_file_is_an_error_that_says_how_the_right_one_is_made(mirrored, content, recwarn):
    save_random_weights(mirrored, "DenseNet121" if content == "another network" else "MobileNetV2")
    wrong = next(mirrored.iterdir()).rename(mirrored / "mobilenetv2_notop.weights.h5")
    if content == "a truncated file":
        wrong.write_bytes(wrong.read_bytes()[:100_000])
    if content == "no file of weights":
        wrong.write_text("<html>404 Not Found</html>")
    with pytest.raises(WeightsError, match=r"not weights of MobileNetV2 .*keras.applications.MobileNetV2"):
        build_backbone("MobileNetV2", 32, "imagenet")
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_the_small_cnn_has_no_pretrained_weights():
    with pytest.raises(ConfigError, match="SmallCNN has no pretrained weights; use `none`"):
        build_backbone("SmallCNN", 32, "imagenet")


def test_mirrored_efficientnet_weights_see_the_image_as_keras_own_download_does(mirrored):
    pretrained = save_random_weights(mirrored, "EfficientNetB0")
    normalisation = next(layer for layer in pretrained.layers if isinstance(layer, keras.layers.Normalization))
    # What Keras' file holds: the deviation where a variance should be.
    normalisation.set_weights([np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225]), np.int32(1)])
    pretrained.save_weights(mirrored / "efficientnetb0_notop.weights.h5")
    network = network_of("EfficientNetB0", "imagenet")
    white = np.full((1, 32, 32, 3), 255, np.float32)
    seen = keras.Model(network.input, network.get_layer("stem_conv_pad").input)(white)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(np.asarray(seen)[0, 0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("VGG16", [-103.939, -116.779, 131.32]),
        ("MobileNetV2", [1, -1, -1]),
        ("DenseNet121", [2.2489, -2.0357, -1.8044]),
    ],
)
def test_a_network_takes_raw_red_green_blue_and_does_its_own_preprocessing(name, seen):
    network = keras.Model(*build_backbone(name, 32, "none"))
    first = {"VGG16": "block1_conv1", "MobileNetV2": "Conv1", "DenseNet121": "zero_padding2d"}[name]
    layer = next(layer for layer in network.layers if layer.name.startswith(first))
    red = np.zeros((1, 32, 32, 3), np.float32)
    red[..., 0] = 255
    np.testing.assert_allclose(np.asarray(keras.Model(network.input, layer.input)(red))[0, 0, 0], seen, atol=1e-3)


SMALL_VGG = PrepareBaseModelConfig(
    seed=3, backbone="VGG16", weights="none", preprocessing=PreprocessingSpec(image_size=32, body_crop=False)
)


@pytest.fixture(scope="module")
def release_of_vgg(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with models/chest_ct in it, exported and halved as a release is, and the Keras model it was."""
    root = tmp_path_factory.mktemp("project")
    model = build_classifier(SMALL_VGG, classes=4)
    for weight in model.weights:
        if "bias" in weight.path:  # a new network's are zeros, a trained one's are not
            weight.assign(np.linspace(-0.1, 0.1, weight.shape[0]))
    described = {key: getattr(SMALL_VGG, key) for key in ("backbone", "weights", "freeze", "preprocessing")}
    whole, folder = root / "package", root / "models/chest_ct"
    whole.mkdir()
    folder.mkdir(parents=True)
    export_package(model, ModelSpec(classes=tuple("abcd"), **described), whole)
    store_in_half(whole / ONNX_FILE, folder / ONNX_FILE)
    (folder / "model.json").write_bytes((whole / "model.json").read_bytes())
    return root, model


def test_bundled_features_are_those_of_the_weights_in_half_precision(release_of_vgg, monkeypatch):
    root, source = release_of_vgg
    monkeypatch.chdir(root)
    bundled = build_classifier(SMALL_VGG.model_copy(update={"weights": "bundled", "seed": 4}), classes=4)
    rounded = keras.models.clone_model(source)
    rounded.set_weights([_halved(weight) for weight in source.get_weights()])
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    features = [keras.Model(each.input, each.get_layer(POOL).output)(image).numpy() for each in (bundled, rounded)]
    assert np.array_equal(*features)
    assert features[0].any()


def test_bundled_weights_are_those_of_one_backbone_only(release_of_vgg, monkeypatch):
    monkeypatch.chdir(release_of_vgg[0])
    with pytest.raises(WeightsError, match="has weights of VGG16, not of VGG19"):
        build_backbone("VGG19", 32, "bundled")


def test_missing_bundled_weights_are_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"not to be had: models/chest_ct/model\.json: no such file"):
        build_backbone("VGG16", 32, "bundled")


def test_a_bundled_file_of_another_network_is_an_error(release_of_vgg, tmp_path, monkeypatch):
    folder = tmp_path / "models/chest_ct"
    folder.mkdir(parents=True)
    small = build_classifier(SMALL_VGG.model_copy(update={"backbone": "SmallCNN"}), classes=4)
    described = {key: getattr(SMALL_VGG, key) for key in ("backbone", "weights", "freeze", "preprocessing")}
    export_package(small, ModelSpec(classes=tuple("abcd"), **described), folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"not those of VGG16|not one of a stored kernel"):
        build_backbone("VGG16", 32, "bundled")


def _halved(weight: np.ndarray) -> np.ndarray:
    """Kernels as a release stores them; biases stay."""
    return weight.astype(np.float16).astype(np.float32) if weight.ndim > 1 and weight.size >= 1024 else weight
