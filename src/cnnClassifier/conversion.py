"""Keras networks in forms that other programs run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from cnnClassifier.environment import environment
from cnnClassifier.model_spec import INPUT
from cnnClassifier.quiet import errors_only

# Have tf2onnx optimise the network itself, not a copy for each optimiser: half of its time with VGG16. Set to anything,
# the variable has its optimisers raise what they would else swallow.
IN_PLACE = {"TF2ONNX_CATCH_ERRORS": "FALSE"}


def write_onnx(model: Any, outputs: Sequence[str], destination: Path) -> None:
    """Write a network (image RGB 0-255 -> one tensor or several) as ONNX, its outputs named."""
    import tf2onnx

    image = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)
    with errors_only("tf2onnx"), environment(**IN_PLACE):  # it tells of each of its optimisers
        frozen = freeze(convertible(model), image)
        names = [tensor.name for tensor in (*frozen.inputs, *frozen.outputs)]
        # Not `from_function`, which would freeze it once more: two seconds with VGG16.
        tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=names[:1],
            output_names=names[1:],
            tensors_to_rename=dict(zip(names, (INPUT, *outputs), strict=True)),
            output_path=str(destination),
        )


def freeze(model: Any, image: Any) -> Any:
    """A model, on images of a TensorSpec, as a function that captures nothing: tf2onnx would take captured tensors
    (ImageNet means, for one) for further inputs of the network. `model.export(format="onnx")` does not see to that.
    """
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    return convert_variables_to_constants_v2(traced)


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
