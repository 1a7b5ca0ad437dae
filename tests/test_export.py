"""A served package says what the Keras model says."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from PIL import Image
from scipy.special import softmax

from cnnClassifier.attribution import typical_maps
from cnnClassifier.config.network import HeadConfig, LayerPoolConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.decision import DecisionSpec, OutlierRule
from cnnClassifier.errors import ModelError
from cnnClassifier.export import check_equal, export_package, largest_difference
from cnnClassifier.formats.kinds import Format
from cnnClassifier.formats.reading import open_format, run_keras
from cnnClassifier.formats.writing import answering, write_format
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec
from cnnClassifier.modeling import build_classifier
from cnnClassifier.onnx_weights import store_in_half
from cnnClassifier.outliers import build_reference, save_reference
from cnnClassifier.preprocessing import preprocess

TOLERANCE = 1e-4
ALSO = (
    LayerPoolConfig(layer="block2_pool", pooling="max"),
    LayerPoolConfig(layer="block3_pool", pooling="deviation", grid=2),
)


def build(backbone: str, size: int, head: HeadConfig) -> tuple[Any, ModelSpec]:
    preprocessing = PreprocessingSpec(image_size=size, body_crop=False)
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


def build_of_everything_hard() -> tuple[Any, ModelSpec]:
    """What gave tf2onnx trouble in whole backbones, tiny: constants of VGG16's preprocessing, the normalisation of
    EfficientNet, the depthwise convolution and GELU of ConvNeXt.
    """
    image = keras.Input((32, 32, 3), name="image")
    x = keras.applications.vgg16.preprocess_input(image)
    x = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[900.0, 1600.0, 2500.0], name="normalise")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, name="stem")(x)
    x = keras.layers.Conv2D(8, 7, padding="same", groups=8, dilation_rate=2, activation="relu", name="depthwise")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="plain_depthwise")(x)
    x = keras.layers.Dense(16, name="pointwise")(x)
    x = keras.layers.Activation("gelu", name="gelu")(x)
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    return model, build("SmallCNN", 32, HeadConfig())[1]


def assert_says_the_same(model: Any, spec: ModelSpec, folder: Path, images: list[Path]) -> None:
    export_package(model, spec, folder)
    assert check_equal(model, folder, images, TOLERANCE) <= TOLERANCE
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])
    assert [tensor.name for tensor in session.get_inputs()] == ["image"]
    assert {tensor.name for tensor in session.get_outputs()} == {"features", "maps", "probabilities"}
    size = spec.preprocessing.image_size
    batch = np.random.default_rng(0).uniform(0, 255, (3, size, size, 3)).astype(np.float32)
    served = Classifier.load(folder, "tiny", "1")
    probabilities, features = served.classify_pixels(batch), served.features_of_pixels(batch)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 0
    assert features.shape == (3, model.get_layer("pool").output.shape[1])


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (32, HeadConfig(pooling="mean", dropout=0.3)),
        (64, HeadConfig(pooling="grid", grid=2)),
        (80, HeadConfig(pooling="grid", grid=3, hidden_units=5, dropout=0.3)),  # 5 x 5 into 3 x 3
        (80, HeadConfig(pooling="max", also=ALSO)),
    ],
)
def test_an_exported_model_says_the_same(tmp_path, images, size, head):
    assert_says_the_same(*build("SmallCNN", size, head), tmp_path, images)


def test_what_tf2onnx_has_no_form_for_is_exported_too(tmp_path, images):
    model, spec = build_of_everything_hard()
    before = [weight.numpy() for weight in model.weights]
    assert_says_the_same(model, spec, tmp_path, images)
    assert all(np.array_equal(old, new.numpy()) for old, new in zip(before, model.weights, strict=True))


def test_what_litert_has_no_form_for_is_exported_too(tmp_path):
    model, _ = build_of_everything_hard()
    write_format(Format.LITERT, model, tmp_path)
    batch = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    probabilities, features = open_format(Format.LITERT, tmp_path)(batch)
    expected = run_keras(answering(model))(batch)
    assert np.ptp(probabilities, axis=0).max() > 1e-3
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-5)
    np.testing.assert_allclose(features, expected[1], atol=1e-4 * np.abs(expected[1]).max())


def test_a_package_says_where_the_evidence_lies(tmp_path, images):
    model, spec = build("SmallCNN", 80, HeadConfig(pooling="max", also=ALSO))
    export_package(model, spec, tmp_path)
    served = Classifier.load(tmp_path, "tiny", "1")
    batch = np.stack([preprocess(image.read_bytes(), spec.preprocessing) for image in images])
    probabilities, maps = served.explain_pixels(batch)
    assert maps.shape == (3, 3, 20, 20)
    np.testing.assert_allclose(probabilities, served.classify_pixels(batch), rtol=1e-5)
    logits = maps.sum(axis=(2, 3)) + model.get_layer("logits").bias.numpy()
    assert np.abs(softmax(logits, axis=1) - probabilities).max() < TOLERANCE


def test_typical_maps_are_taken_off_in_the_package_too(tmp_path, images):
    model, spec = build("SmallCNN", 32, HeadConfig())
    batch = np.stack([preprocess(image.read_bytes(), spec.preprocessing) for image in images])
    typical = typical_maps(model, [batch])
    export_package(model, spec, tmp_path, typical=typical)
    assert check_equal(model, tmp_path, images, TOLERANCE, typical) <= TOLERANCE
    _, maps = Classifier.load(tmp_path, "tiny", "1").explain_pixels(batch)
    assert np.abs(maps.mean(axis=0)).max() < 1e-4 * np.abs(typical).max()


def test_maps_in_half_precision_still_sum_to_what_the_package_says(tmp_path, images):
    model, spec = build("SmallCNN", 80, HeadConfig(pooling="max", also=ALSO))
    export_package(model, spec, tmp_path)
    store_in_half(tmp_path / ONNX_FILE, tmp_path / ONNX_FILE)
    batch = np.stack([preprocess(image.read_bytes(), spec.preprocessing) for image in images])
    probabilities, maps = Classifier.load(tmp_path, "tiny", "1").explain_pixels(batch)
    # Slices of the last kernel that are too small to be rounded leave the maps more exact than the answer.
    assert (
        np.abs(softmax(maps.sum(axis=(2, 3)) + model.get_layer("logits").bias.numpy(), axis=1) - probabilities).max()
        < 1e-3
    )


def test_other_maps_are_noticed_even_where_probabilities_and_features_are_equal(tmp_path, images):
    model, spec = build("SmallCNN", 32, HeadConfig())
    export_package(model, spec, tmp_path)
    kernel, bias = model.get_layer("logits").get_weights()
    # The same to every class: it leaves the probabilities as they are.
    model.get_layer("logits").set_weights([kernel + np.float32(0.1), bias])
    with pytest.raises(ModelError, match=r"differs .* in a probability, a feature or a map"):
        check_equal(model, tmp_path, images, TOLERANCE)


def test_features_are_taken_before_they_are_standardised(tmp_path):
    model, spec = build("SmallCNN", 32, HeadConfig())
    model.get_layer("standardise").set_weights([np.full(96, 5, np.float32), np.full(96, 9, np.float32)])
    export_package(model, spec, tmp_path)
    pixels = np.full((1, 32, 32, 3), 200, dtype=np.float32)
    pooled = keras.Model(model.input, model.get_layer("pool").output)(pixels).numpy()
    np.testing.assert_allclose(
        Classifier.load(tmp_path, "tiny", "1").features_of_pixels(pixels), pooled, rtol=1e-4, atol=1e-7
    )


def test_the_outlier_rule_s_file_goes_with_the_model(tmp_path):
    model, spec = build("SmallCNN", 32, HeadConfig())
    spec = spec.model_copy(update={"decision": DecisionSpec(outliers=OutlierRule(threshold=0.1))})
    random = np.random.default_rng(0).normal(size=(20, 96)).astype(np.float32)
    save_reference(build_reference(random, [str(row) for row in range(20)], seed=0), tmp_path / "fitted.npz")
    (tmp_path / "package").mkdir()
    export_package(model, spec, tmp_path / "package", tmp_path / "fitted.npz")
    Classifier.load(tmp_path / "package", "tiny", "1").self_test()
    with pytest.raises(ModelError, match=r"its outliers\.npz is missing: .*gone"):
        export_package(model, spec, tmp_path / "package", tmp_path / "gone.npz")


def test_other_features_are_noticed_even_where_the_probabilities_are_equal(tmp_path, images):
    model, spec = build("SmallCNN", 32, HeadConfig())
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * 0, bias])
    export_package(model, spec, tmp_path)
    first = next(layer for layer in model.layers if layer.weights)
    first.set_weights([weights * 2 for weights in first.get_weights()])
    with pytest.raises(ModelError, match="differs"):
        check_equal(model, tmp_path, images, TOLERANCE)


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
