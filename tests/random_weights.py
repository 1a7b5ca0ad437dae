"""A folder of weights as an offline site keeps them, but random: their numbers do not matter where these are used."""

from pathlib import Path
from typing import Any


def save_random_weights(folder: Path, backbone: str, seed: int = 5) -> Any:
    """Save a network of random weights where CNNCLASSIFIER_WEIGHTS_DIR is looked through; give the network."""
    import keras

    keras.utils.set_random_seed(seed)
    network = getattr(keras.applications, backbone)(include_top=False, weights=None, input_shape=(32, 32, 3))
    folder.mkdir(exist_ok=True)
    network.save_weights(folder / f"{backbone.lower()}_notop.weights.h5")
    return network
