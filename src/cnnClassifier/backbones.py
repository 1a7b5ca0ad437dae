"""The networks that can carry a classifier, one row each, and where their weights come from.

A backbone takes raw RGB 0-255 and does its own preprocessing inside the graph, so a saved model cannot
be fed the wrong range.
"""

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnClassifier.errors import ConfigError, ModelError, WeightsError, one_line
from cnnClassifier.model_spec import ONNX_FILE, SPEC_FILE, read_spec
from cnnClassifier.networks import OWN_NETWORKS
from cnnClassifier.onnx_weights import convolutions

log = logging.getLogger(__name__)

WEIGHTS_DIR_VARIABLE = "CNNCLASSIFIER_WEIGHTS_DIR"
BUNDLED = Path("models/chest_ct")  # the released model: its backbone is at hand wherever the code is

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)  # of RGB on a scale of 0-1


@dataclass(frozen=True)
class Backbone:
    """One row: how Keras builds it (empty: it is one of `networks`), the module of its `preprocess_input`, its usual
    and its smallest input side in pixels, and layers after which it is commonly frozen, from input to output.
    """

    constructor: str
    preprocessing: str
    size: int
    smallest: int
    freeze_points: tuple[str, ...]


_VGG_BLOCKS = tuple(f"block{n}_pool" for n in range(1, 6))
_RESNET_BLOCKS = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
_DENSENET_BLOCKS = ("pool2_pool", "pool3_pool", "pool4_pool", "relu")
_MOBILENET_BLOCKS = ("block_6_expand_relu", "block_13_expand_relu", "out_relu")
_EFFICIENTNET_BLOCKS = ("block4a_expand_activation", "top_activation")
# Xception's blocks end in additions that Keras numbers: the ends of its entry and its middle flow.
_XCEPTION_FLOWS = ("add_2", "add_10", "block14_sepconv2_act")
_CONVNEXT_STAGES = tuple(f"convnext_tiny_downsampling_block_{n}" for n in range(3))
_SMALL_CNN_BLOCKS = tuple(f"block{n}_pool" for n in range(1, 5))
_THREE_BLOCKS = tuple(f"block{n}_dropout" for n in range(1, 4))
_VIT_BLOCKS = tuple(f"block{n}_out" for n in range(1, 7))

BACKBONES: dict[str, Backbone] = {
    "VGG16": Backbone("VGG16", "vgg16", 224, 32, _VGG_BLOCKS),
    "VGG19": Backbone("VGG19", "vgg19", 224, 32, _VGG_BLOCKS),
    "ResNet50": Backbone("ResNet50", "resnet", 224, 32, _RESNET_BLOCKS),
    "DenseNet121": Backbone("DenseNet121", "densenet", 224, 32, _DENSENET_BLOCKS),
    "DenseNet201": Backbone("DenseNet201", "densenet", 224, 32, _DENSENET_BLOCKS),
    "MobileNetV2": Backbone("MobileNetV2", "mobilenet_v2", 224, 32, _MOBILENET_BLOCKS),
    "Xception": Backbone("Xception", "xception", 299, 71, _XCEPTION_FLOWS),
    "InceptionV3": Backbone("InceptionV3", "inception_v3", 299, 75, ("mixed2", "mixed7", "mixed10")),
    "EfficientNetB0": Backbone("EfficientNetB0", "efficientnet", 224, 32, _EFFICIENTNET_BLOCKS),
    "EfficientNetV2B0": Backbone("EfficientNetV2B0", "efficientnet_v2", 224, 32, _EFFICIENTNET_BLOCKS),
    "ConvNeXtTiny": Backbone("ConvNeXtTiny", "convnext", 224, 32, _CONVNEXT_STAGES),
    "SmallCNN": Backbone("", "", 128, 16, _SMALL_CNN_BLOCKS),
    "BasicCNN": Backbone("", "", 128, 16, ("block1_bn",)),
    "ThreeBlockCNN": Backbone("", "", 224, 16, _THREE_BLOCKS),
    "ViTTiny": Backbone("", "", 224, 32, _VIT_BLOCKS),
}  # fmt: skip


def find_backbone(name: str) -> Backbone:
    """A row of the table; raise ConfigError listing all names for an unknown one."""
    if name not in BACKBONES:
        raise ConfigError(f"prepare_base_model.backbone: expected one of {', '.join(BACKBONES)}. Received: {name!r}")
    return BACKBONES[name]


def build_backbone(name: str, size: int, weights: str) -> tuple[Any, Any]:
    """Build a network on input `image` (None, size, size, 3): RGB 0-255. Returns its input and feature-map tensors.

    `weights` as in `PrepareBaseModelConfig`. Raises WeightsError rather than fall back to random weights.
    """
    row = find_backbone(name)
    if size < row.smallest:
        raise ConfigError(
            f"prepare_base_model.preprocessing.size: {name} takes at least {row.smallest} pixels. Received: {size}"
        )
    image = keras.Input((size, size, 3), name="image")
    if not row.constructor:
        if weights != "none":
            raise ConfigError(
                f"prepare_base_model.weights: {name} has no pretrained weights; use `none`. Received: {weights!r}"
            )
        return image, OWN_NETWORKS[name](image)
    preprocess = getattr(keras.applications, row.preprocessing).preprocess_input
    construct = partial(getattr(keras.applications, row.constructor), include_top=False, input_tensor=preprocess(image))
    network = _with_weights(construct, name, weights)
    return image, network.output


def find_weights(name: str, weights: str) -> Path | None:
    """The local file of a backbone's weights: the path given, or the mirror's; None if there is no mirror."""
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise WeightsError(
                f"prepare_base_model.weights: {path} is not a file; give `imagenet`, `bundled`, `none` or a "
                ".weights.h5 file"
            )
        return path
    folder = os.environ.get(WEIGHTS_DIR_VARIABLE)
    if not folder:
        return None
    mirrored = Path(folder) / f"{name.lower()}_notop.weights.h5"
    if not mirrored.is_file():
        log.warning("%s has no %s; trying Keras' own download", WEIGHTS_DIR_VARIABLE, mirrored.name)
        return None
    return mirrored


def _with_weights(construct: Callable[..., Any], name: str, weights: str) -> Any:
    if weights == "none":
        return construct(weights=None)
    if weights == "bundled":
        return _with_bundled_weights(construct, name)
    path = find_weights(name, weights)
    if path is None:
        return _with_downloaded_weights(construct, name)
    network = construct(weights=None)
    drawn = _kernels(network)
    try:
        load_weights(network, path)
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"{path}: not weights of {name} without its top ({one_line(error)}); a machine with a network makes the "
            f'file by keras.applications.{name}(include_top=False).save_weights("{name.lower()}_notop.weights.h5")'
        ) from None
    if any(np.array_equal(kernel, before) for kernel, before in zip(_kernels(network), drawn, strict=True)):
        raise WeightsError(f"{path}: holds only some of the weights of {name}; the others would stay random")
    if name == "EfficientNetB0":
        _scale_as_downloaded(network)
    return network


def load_weights(network: Any, path: Path) -> None:
    """Keras' loader, less its warning for each layer that a wrong file lacks: the error says it once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        network.load_weights(path)


def _kernels(network: Any) -> list[np.ndarray]:
    return [weight.numpy() for weight in network.weights if len(weight.shape) > 1]


def _scale_as_downloaded(network: Any) -> None:
    """Divide the normalised image by sqrt(deviation) once more, as Keras' EfficientNetB0 does.

    Keras adds that layer only for weights it downloads itself (keras/applications/efficientnet.py); here it
    goes into the variance of the normalisation before it.
    """
    normalisation = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, count = normalisation.get_weights()
    normalisation.set_weights([mean, variance * np.asarray(IMAGENET_DEVIATION, np.float32), count])
    normalisation.finalize_state()


def _with_bundled_weights(construct: Callable[..., Any], name: str) -> Any:
    """A backbone with the weights that the released model has in its place, tuned to its images where they were."""
    weights = _bundled_weights(name)
    network = construct(weights=None)
    if [weight.shape for weight in network.weights] != [array.shape for array in weights]:
        raise WeightsError(f"{BUNDLED / ONNX_FILE}: its convolutions are not those of {name}; was the file replaced?")
    network.set_weights(weights)
    return network


def _bundled_weights(name: str) -> list[np.ndarray]:
    try:
        bundled = read_spec(BUNDLED).backbone
        arrays = [array for pair in convolutions(BUNDLED / ONNX_FILE) for array in pair]
    except ModelError as error:
        raise WeightsError(f"prepare_base_model.weights: bundled ones are not to be had: {error}") from None
    if name != bundled:
        raise WeightsError(
            f"prepare_base_model.weights: {BUNDLED / SPEC_FILE} has weights of {bundled}, not of {name}; use "
            "`imagenet` or `none`"
        )
    return arrays


def _with_downloaded_weights(construct: Callable[..., Any], name: str) -> Any:
    try:
        return construct(weights="imagenet")
    except (OSError, HTTPException, ValueError) as error:
        raise WeightsError(_unreachable(name, error)) from None
    except Exception as error:
        # What Keras' get_file makes of a network error has no type of its own.
        if "URL fetch failure" in str(error):
            raise WeightsError(_unreachable(name, error)) from None
        raise


def _unreachable(name: str, error: Exception) -> str:
    return (
        f"the ImageNet weights of {name} are neither here nor to be downloaded ({one_line(error)}). Either put "
        f"{name.lower()}_notop.weights.h5 into a folder and set {WEIGHTS_DIR_VARIABLE} to it, or set "
        "prepare_base_model.weights to a .weights.h5 file (or to `none` to train from scratch)"
    )
