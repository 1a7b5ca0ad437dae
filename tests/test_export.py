"""A served package says what the Keras model says."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from cnnClassifier.config.types import HeadConfig, PrepareBaseModelConfig, PreprocessingSpec
from cnnClassifier.errors import ModelError
from cnnClassifier.export import check_equal, export_package, largest_difference
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec
from cnnClassifier.modeling import build_classifier

TOLERANCE = 1e-4


def build(backbone: str, size: int, head: HeadConfig) -> tuple[Any, ModelSpec]:
    preprocessing = PreprocessingSpec(size=size, body_crop=False)
    config = PrepareBaseModelConfig(
        seed=1, backbone=backbone, weights="none", freeze="all", head=head, preprocessing=preprocessing
    )
    model = build_classifier(config, classes=3)
    # Random logits are small; make the answers differ from image to image as a trained model's do.
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * 20, bias])
    spec = ModelSpec(
        classes=("a", "b", "c"), preprocessing=preprocessing, backbone=backbone, weights="none", freeze="all"
    )
    return model, spec


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for number in range(3):
        smooth = draw.integers(0, 256, (6, 7), dtype=np.uint8)
        Image.fromarray(smooth).resize((60, 50), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.mark.parametrize(
    ("backbone", "size", "head"),
    [
        ("SmallCNN", 32, HeadConfig(pooling="mean", dropout=0.3)),
        ("SmallCNN", 32, HeadConfig(pooling="max", hidden_units=5)),
        ("SmallCNN", 64, HeadConfig(pooling="grid", grid=2)),
        ("SmallCNN", 80, HeadConfig(pooling="grid", grid=3, hidden_units=5, dropout=0.3)),  # 5 x 5 into 3 x 3
        ("VGG16", 32, HeadConfig()),
        ("MobileNetV2", 32, HeadConfig()),
        ("EfficientNetB0", 32, HeadConfig()),
    ],
)
def test_an_exported_model_says_the_same(tmp_path, images, backbone, size, head):
    model, spec = build(backbone, size, head)
    export_package(model, spec, tmp_path)
    assert check_equal(model, tmp_path, images, TOLERANCE) <= TOLERANCE
    session = onnxruntime.InferenceSession(tmp_path / ONNX_FILE, providers=["CPUExecutionProvider"])
    assert [tensor.name for tensor in session.get_inputs()] == ["image"]
    assert [tensor.name for tensor in session.get_outputs()] == ["probabilities"]
    batch = np.random.default_rng(0).uniform(0, 255, (3, size, size, 3)).astype(np.float32)
    probabilities = Classifier.load(tmp_path, "tiny", "1").classify_pixels(batch)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 0 or backbone != "SmallCNN"


def test_depthwise_convolutions_and_gelu_as_in_convnext_are_exported_too(tmp_path, images):
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, name="stem")(image / 127.5 - 1)
    x = keras.layers.Conv2D(8, 7, padding="same", groups=8, name="depthwise")(x)
    x = keras.layers.Dense(16, name="pointwise")(x)
    x = keras.layers.Activation("gelu", name="gelu")(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    _, spec = build("SmallCNN", 32, HeadConfig())
    export_package(model, spec, tmp_path)
    assert check_equal(model, tmp_path, images, TOLERANCE) <= TOLERANCE


def test_another_models_package_is_refused(tmp_path, images):
    model, spec = build("SmallCNN", 32, HeadConfig())
    export_package(model, spec, tmp_path)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + np.float32([1, 0, 0])])
    assert largest_difference(model, tmp_path, images) > TOLERANCE
    with pytest.raises(
        ModelError, match=r"model.onnx differs .* registration.tolerance 0.0001; nothing was registered"
    ):
        check_equal(model, tmp_path, images, TOLERANCE)


def test_a_model_that_gives_no_numbers_is_refused(tmp_path, images):
    model, spec = build("SmallCNN", 32, HeadConfig())
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * np.nan, bias])
    export_package(model, spec, tmp_path)
    with pytest.raises(ModelError, match="differs"):
        check_equal(model, tmp_path, images, TOLERANCE)


def test_the_conversion_says_nothing_on_the_terminal(tmp_path, capfd):
    model, spec = build("SmallCNN", 32, HeadConfig())
    export_package(keras.models.clone_model(model), spec, tmp_path)
    said = capfd.readouterr()
    assert said.out + said.err == ""
