"""Predictions made from a seed: exchangeable, four images a group, and as well calibrated as wanted."""

import numpy as np

CLASSES = ("north", "east", "south", "west")


def predictions(seed: int = 0, images: int = 800, sharpness: float = 1.0, skill: float = 2.0, classes: int = 4):
    """Truth, probabilities, groups and folds; probabilities are true at sharpness 1, too sure of themselves above."""
    draw = np.random.default_rng(seed)
    logits = skill * draw.normal(size=(images, classes))
    true_probabilities = softmax(logits)
    truth = (draw.random((images, 1)) > true_probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    groups = np.arange(images) // 4
    return truth, softmax(sharpness * logits), groups.astype(str), groups % 5


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
