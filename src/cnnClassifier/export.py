"""A Keras classifier as ONNX, and the proof on real images that it still says the same."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cnnClassifier.attribution import Maps, class_maps
from cnnClassifier.conversion import write_onnx
from cnnClassifier.eight_bits import quantise
from cnnClassifier.errors import ModelError
from cnnClassifier.features.extraction import Forward
from cnnClassifier.features.network import softmax
from cnnClassifier.files import new_file
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import FEATURES, MAPS, ONNX_FILE, OUTLIERS_FILE, OUTPUT, ModelSpec, write_spec
from cnnClassifier.modeling import POOL, Cut, forward
from cnnClassifier.preprocessing import preprocess


def export_package(
    model: Any, spec: ModelSpec, folder: Path, outliers: Path | None = None, typical: Maps | None = None
) -> None:
    """Write a served package: model.onnx (image RGB 0-255 -> probabilities, features, maps) and model.json.

    `outliers`, the file of the rule against other kinds of image, goes with it where the spec has that rule.
    `typical` is taken off the maps, as in `attribution.class_maps`.
    """
    write_onnx(_all_outputs(model, typical), (OUTPUT, FEATURES, MAPS), folder / ONNX_FILE)
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
        answer, served_features, served_maps = served.run([OUTPUT, FEATURES, MAPS], pixels)
        differences.append(np.abs(answer - probabilities).max())
        differences.append(_relative(served_features, features))
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


def quantise_package(package: Path, ranging: Iterable[NDArray[np.float32]]) -> None:
    """Put the convolutions of an exported package into eight bits; `ranging` as in `eight_bits.quantise`."""
    with new_file(package / ONNX_FILE) as partial:
        quantise(package / ONNX_FILE, partial, ranging)


def check_as_trained(parts: Cut, trunk: Forward, package: Path, images: Iterable[Path], tolerance: float) -> float:
    """The largest difference between a package and the tail on what it was trained on: of any probability, of any
    feature as a share of the image's largest. ModelError if it is more than the tolerance.

    `trunk` gives those features: of a network in eight bits, the Keras model says something else.
    """
    served, tail = Classifier.load(package, package.name, "unregistered"), forward(parts.tail)
    differences = [0.0]
    for image in images:
        pixels = preprocess(image.read_bytes(), served.spec.preprocessing)[np.newaxis]
        features = trunk(pixels)
        probabilities, served_features = served.run([OUTPUT, FEATURES], pixels)
        differences.append(_relative(served_features, features))
        differences.append(float(np.abs(probabilities - softmax(tail(features))).max()))
    difference = float(np.max(differences))
    if not difference <= tolerance:
        raise ModelError(
            f"{package / ONNX_FILE} in eight bits differs from what its head was trained on by {difference:.2g}, more "
            f"than registration.tolerance {tolerance:.2g}; nothing was registered. Was the cache of features made on "
            "another machine? Remove .cache/cnnClassifier and run again"
        )
    return difference


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
