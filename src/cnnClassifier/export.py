"""A Keras classifier as ONNX, and the proof on real images that it still says the same."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from cnnClassifier.errors import ModelError
from cnnClassifier.inference import INPUT, OUTPUT, Classifier
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec, write_spec
from cnnClassifier.modeling import forward
from cnnClassifier.preprocessing import preprocess


def export_package(model: Any, spec: ModelSpec, folder: Path) -> None:
    """Write a served package: model.onnx (image RGB 0-255 -> probabilities) and model.json."""
    import tf2onnx

    image = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    with _quiet_conversion():
        frozen = _freeze(keras.Sequential([_convertible(model), keras.layers.Softmax()]), image)
        answer = tf.function(lambda image: {OUTPUT: frozen(image)[0]})
        tf2onnx.convert.from_function(answer, [image], output_path=str(folder / ONNX_FILE))
    write_spec(spec, folder)


def largest_difference(model: Any, package: Path, images: Iterable[Path]) -> float:
    """The largest |ONNX Runtime - Keras| of any probability over encoded image files."""
    served = Classifier.load(package, package.name, "unregistered")
    probabilities = forward(keras.Sequential([model, keras.layers.Softmax()]))
    differences = []
    for image in images:
        pixels = preprocess(image.read_bytes(), served.spec.preprocessing)[np.newaxis]
        differences.append(np.abs(served.classify_pixels(pixels) - probabilities(pixels)).max())
    # Unlike Python's max, NumPy's is not a number where any difference is none.
    return float(np.max(differences, initial=0.0))


def check_equal(model: Any, package: Path, images: Iterable[Path], tolerance: float) -> float:
    """The largest difference, as above; ModelError if it is more than the tolerance."""
    difference = largest_difference(model, package, images)
    if not difference <= tolerance:
        raise ModelError(
            f"{package / ONNX_FILE} differs from the Keras model by {difference:.2g} in a probability, more than "
            f"registration.tolerance {tolerance:.2g}; nothing was registered"
        )
    return difference


def _freeze(model: Any, image: Any) -> Any:
    """A model as a function that captures nothing: tf2onnx would take captured tensors (ImageNet means, for one)
    for further inputs of the network. `model.export(format="onnx")` does not see to that.
    """
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    return convert_variables_to_constants_v2(traced)


def _convertible(model: Any) -> Any:
    """A model of equal answers without what tf2onnx has no form for; itself if it is made of nothing of the kind."""
    if not any(_is_depthwise(layer) or _is_gelu(layer) for layer in model.layers):
        return model
    clone = keras.models.clone_model(model, clone_function=_convertible_layer)
    clone.set_weights([old.numpy().reshape(new.shape) for old, new in zip(model.weights, clone.weights, strict=True)])
    return clone


def _convertible_layer(layer: Any) -> Any:
    if _is_depthwise(layer):  # as a grouped convolution TensorFlow hands it to XLA
        kept = {key: layer.get_config()[key] for key in ("name", "kernel_size", "strides", "padding", "use_bias")}
        return keras.layers.DepthwiseConv2D(**kept)
    if _is_gelu(layer):
        return keras.layers.Activation(_gelu, name=layer.name)
    return layer.__class__.from_config(layer.get_config())


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
