"""A Keras classifier as ONNX, and the proof on real images that it still says the same."""

import contextlib
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from cnnClassifier.attribution import Maps, class_maps
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import FEATURES, INPUT, MAPS, OUTPUT, Classifier
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, ModelSpec, write_spec
from cnnClassifier.modeling import POOL
from cnnClassifier.preprocessing import preprocess


def export_package(
    model: Any, spec: ModelSpec, folder: Path, outliers: Path | None = None, typical: Maps | None = None
) -> None:
    """Write a served package: model.onnx (image RGB 0-255 -> probabilities, features, maps) and model.json.

    `outliers`, the file of the rule against other kinds of image, goes with it where the spec has that rule.
    `typical` is taken off the maps, as in `attribution.class_maps`.
    """
    import tf2onnx

    image = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    with _quiet_conversion():
        frozen = freeze(convertible(_all_outputs(model, typical)), image)
        answer = tf.function(lambda image: dict(zip((OUTPUT, FEATURES, MAPS), frozen(image), strict=True)))
        tf2onnx.convert.from_function(answer, [image], output_path=str(folder / ONNX_FILE))
    write_spec(spec, folder)
    if spec.decision.outliers is not None:
        _copy_outliers(outliers, folder)


def largest_difference(model: Any, package: Path, images: Iterable[Path], typical: Maps | None = None) -> float:
    """The largest |ONNX Runtime - Keras| over encoded image files: of any probability, of any feature as a share of the
    image's largest, and of any place of a map as a share of the image's strongest, that in half of the images or more.
    """
    served = Classifier.load(package, package.name, "unregistered")
    keras_model = tf.function(_all_outputs(model, typical))
    differences, of_maps = [0.0], []
    for image in images:
        pixels = preprocess(image.read_bytes(), served.spec.preprocessing)[np.newaxis]
        probabilities, features, maps = (output.numpy() for output in keras_model(pixels, training=False))
        answer, served_maps = served.explain_pixels(pixels)
        differences.append(np.abs(answer - probabilities).max())
        differences.append(_relative(served.features_of_pixels(pixels), features))
        of_maps.append(_relative(served_maps, maps))
    # Half: at a unit that is all but 0, the maps of a hidden ReLU layer jump, and rounding decides which way.
    # Unlike Python's max, NumPy's is not a number where any difference is none.
    return float(np.max([*differences, np.median(of_maps or [0.0])]))


def check_equal(
    model: Any, package: Path, images: Iterable[Path], tolerance: float, typical: Maps | None = None
) -> float:
    """The largest difference, as above; ModelError if it is more than the tolerance."""
    difference = largest_difference(model, package, images, typical)
    if not difference <= tolerance:
        raise ModelError(
            f"{package / ONNX_FILE} differs from the Keras model by {difference:.2g} in a probability, a feature or a "
            f"map, more than registration.tolerance {tolerance:.2g}; nothing was registered"
        )
    return difference


def freeze(model: Any, image: Any) -> Any:
    """A model, on images of a TensorSpec, as a function that captures nothing: tf2onnx would take captured tensors
    (ImageNet means, for one) for further inputs of the network. `model.export(format="onnx")` does not see to that.
    """
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    return convert_variables_to_constants_v2(traced)


def _all_outputs(model: Any, typical: Maps | None) -> Any:
    """The classifier (images -> logits) as images -> probabilities, pooled features, class maps."""
    probabilities = keras.layers.Softmax()(model.output)
    return keras.Model(model.input, [probabilities, model.get_layer(POOL).output, class_maps(model, typical)])


def _relative(values: np.ndarray, reference: np.ndarray) -> float:
    largest = max(float(np.abs(reference).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(values - reference).max()) / largest


def _copy_outliers(outliers: Path | None, folder: Path) -> None:
    if outliers is None or not outliers.is_file():
        raise ModelError(f"the model refuses images of other kinds, but its {OUTLIERS_FILE} is missing: {outliers}")
    shutil.copyfile(outliers, folder / OUTLIERS_FILE)


def convertible(model: Any) -> Any:
    """A model of equal answers, made of the same layers, but for those that tf2onnx or LiteRT has no form for."""
    clone = keras.models.clone_model(model, clone_function=_convertible_layer)
    for layer in filter(_is_depthwise, model.layers):
        new = clone.get_layer(layer.name)
        new.set_weights([old.numpy().reshape(mine.shape) for old, mine in zip(layer.weights, new.weights, strict=True)])
    return clone


def _convertible_layer(layer: Any) -> Any:
    if _is_depthwise(layer):  # as a grouped convolution TensorFlow hands it to XLA
        kept = ("name", "kernel_size", "strides", "padding", "dilation_rate", "use_bias", "activation")
        return keras.layers.DepthwiseConv2D(**{key: layer.get_config()[key] for key in kept})
    if _is_gelu(layer):
        return keras.layers.Activation(_gelu, name=layer.name)
    return layer


def _is_depthwise(layer: Any) -> bool:
    return type(layer) is keras.layers.Conv2D and 1 < layer.groups == layer.filters == layer.input.shape[-1]


def _is_gelu(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.gelu


def _gelu(x: Any) -> Any:
    """The exact form, with erf where TensorFlow has erfc."""
    return 0.5 * x * (1.0 + keras.ops.erf(x * 0.5**0.5))


@contextlib.contextmanager
def _quiet_conversion() -> Iterator[None]:
    """tf2onnx tells of each of its optimisers."""
    tf2onnx_log = logging.getLogger("tf2onnx")
    level = tf2onnx_log.level
    tf2onnx_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        tf2onnx_log.setLevel(level)
