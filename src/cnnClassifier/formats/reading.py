"""Run an exported file by itself, as another program would: pixels in, probabilities and features out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.cores import usable_cores
from cnnClassifier.formats.kinds import FILES, Format
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import FEATURES, INPUT, OUTPUT
from cnnClassifier.quiet import native_stderr_held

Floats = NDArray[np.float32]
Run = Callable[[Floats], tuple[Floats, Floats]]  # images (n, size, size, 3) -> (n, classes), (n, features)


def open_format(kind: Format, folder: Path) -> Run:
    """What runs the file of an exported folder."""
    return READERS[kind](folder / FILES[kind])


def run_package(folder: Path) -> Run:
    """What runs a served package on ONNX Runtime."""
    served = Classifier.load(folder, folder.name, "unregistered")

    def run(batch: Floats) -> tuple[Floats, Floats]:
        probabilities, features = served.run([OUTPUT, FEATURES], batch)
        return probabilities, features

    return run


def run_keras(model: Any) -> Run:
    """What runs a Keras model of named outputs, as `writing.answering` makes it."""
    import tensorflow as tf

    call = tf.function(lambda batch: model(batch, training=False))
    return lambda batch: _named(call(tf.convert_to_tensor(batch)))


def _open_keras(path: Path) -> Run:
    import keras

    return run_keras(keras.models.load_model(path))


def _open_saved_model(path: Path) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    # Its function belongs to it: held, or its variables are gone when it is called.
    return lambda batch: _named(loaded.signatures["serving_default"](**{INPUT: tf.convert_to_tensor(batch)}))


def _open_litert(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    with native_stderr_held():  # it says which kernels it takes
        interpreter = Interpreter(model_path=str(path), num_threads=usable_cores())
        interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()

    def one_by_one(batch: Floats) -> tuple[Floats, Floats]:
        answers = [run(**{INPUT: image[np.newaxis]}) for image in batch]
        probabilities, features = (np.concatenate([each[name] for each in answers]) for name in (OUTPUT, FEATURES))
        return probabilities, features

    return one_by_one


def _named(outputs: Any) -> tuple[Floats, Floats]:
    return outputs[OUTPUT].numpy(), outputs[FEATURES].numpy()


READERS: dict[Format, Callable[[Path], Run]] = {
    Format.ONNX: lambda path: run_package(path.parent),
    Format.KERAS: _open_keras,
    Format.SAVED_MODEL: _open_saved_model,
    Format.LITERT: _open_litert,
}
