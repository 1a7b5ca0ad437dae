"""Write a Keras classifier as LiteRT, .keras or SavedModel: image RGB 0-255 -> probabilities, features."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from cnnClassifier.conversion import convertible, freeze
from cnnClassifier.errors import ModelError
from cnnClassifier.formats.kinds import FILES, Format
from cnnClassifier.model_spec import FEATURES, INPUT, OUTPUT
from cnnClassifier.modeling import POOL
from cnnClassifier.quiet import native_stderr_held


def write_format(kind: Format, model: Any, folder: Path) -> Path:
    """Write a classifier (images -> logits) into a folder; where its file, or for a SavedModel its folder, stands.

    ModelError if LiteRT's own operations do not suffice for it.
    """
    destination = folder / FILES[kind]
    with native_stderr_held():
        WRITERS[kind](answering(model), destination)
    return destination


def answering(model: Any) -> Any:
    """The classifier with its probabilities and pooled features as named outputs."""
    probabilities = keras.layers.Softmax(name=OUTPUT)(model.output)
    return keras.Model(model.input, {OUTPUT: probabilities, FEATURES: model.get_layer(POOL).output}, name=model.name)


def _write_keras(named: Any, path: Path) -> None:
    named.save(path)


def _write_saved_model(named: Any, folder: Path) -> None:
    """Frozen, with the weights as constants: a fifth of the time that Keras' ExportArchive takes."""
    image = tf.TensorSpec((None, *named.input_shape[1:]), tf.float32, name=INPUT)
    frozen = freeze(convertible(named), image)
    module = tf.Module()
    module.serve = tf.function(
        lambda image: dict(zip(sorted((OUTPUT, FEATURES)), frozen(image), strict=True)), input_signature=[image]
    )
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def _write_litert(named: Any, path: Path) -> None:
    # By way of a SavedModel: a file made of a bare function has no names for what it takes and gives.
    with tempfile.TemporaryDirectory(prefix="cnnClassifier-litert-") as scratch:
        _write_saved_model(named, Path(scratch))
        try:
            path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(scratch).convert())
        except ConverterError as error:
            raise ModelError(f"LiteRT has no form for this network: {' '.join(str(error).split())[:300]}") from None


WRITERS: dict[Format, Callable[[Any, Path], None]] = {
    Format.KERAS: _write_keras,
    Format.SAVED_MODEL: _write_saved_model,
    Format.LITERT: _write_litert,
}
