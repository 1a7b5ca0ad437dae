"""The maps of a fitted head point at what the classes differ in, in pixels of the original picture."""

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cnnClassifier.attribution import class_maps, typical_maps
from cnnClassifier.config.network import HeadConfig, LayerPoolConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.heatmap import peak, relevance
from cnnClassifier.modeling import LOGITS, STANDARDISE, build_classifier, cut
from cnnClassifier.preprocessing import kept_box, prepare

SPEC = PreprocessingSpec(image_size=64, contrast=None)
HEIGHT, WIDTH, RADIUS = 90, 140, 5
DEVIATION = LayerPoolConfig(layer="block2_pool", pooling="deviation", grid=2)
HEADS = {
    "mean": HeadConfig(pooling="mean"),
    "max": HeadConfig(pooling="max", also=(LayerPoolConfig(layer="block2_pool", pooling="max"),)),
    "deviation": HeadConfig(pooling="mean", also=(DEVIATION,)),
}


def draw(random: np.random.Generator, with_spot: bool) -> tuple[np.ndarray, np.ndarray]:
    """A grey body off the middle of a black picture, perhaps with a brighter spot in it; the picture and the spot."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    body = np.hypot((rows - 50) / 36, (columns - 60) / 56) < 1
    angle, far = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform(0, 0.7))
    middle = 50 + 36 * far * np.sin(angle), 60 + 56 * far * np.cos(angle)
    spot = np.hypot(rows - middle[0], columns - middle[1]) < RADIUS
    picture = body * (110 + random.normal(0, 8, body.shape)) + with_spot * 60 * spot
    return picture.clip(0, 255).astype(np.float32)[..., None], spot


@pytest.fixture(scope="module")
def drawn() -> list[tuple[np.ndarray, np.ndarray]]:
    """80 pictures to learn from and 40 to point at; every other one has a spot."""
    random = np.random.default_rng(0)
    return [draw(random, with_spot=number % 2 == 1) for number in range(120)]


def fit(head: HeadConfig, batch: np.ndarray, labels: np.ndarray) -> Any:
    """A network with random weights whose head tells the labels apart."""
    config = PrepareBaseModelConfig(
        seed=1, backbone="SmallCNN", weights="none", freeze="all", head=head, preprocessing=SPEC
    )
    model = build_classifier(config, classes=2)
    features = cut(model, "all").trunk.predict(batch, verbose=0)
    model.get_layer(STANDARDISE).set_weights([features.mean(axis=0), features.var(axis=0) + 1e-6])
    fitted = LogisticRegression(C=0.01).fit(
        (features - features.mean(axis=0)) / features.std(axis=0).clip(1e-3), labels
    )
    model.get_layer(LOGITS).set_weights([np.hstack([-fitted.coef_.T, fitted.coef_.T]) / 2, np.zeros(2)])
    return model


@pytest.mark.parametrize("name", HEADS)
def test_the_peak_lies_on_the_spot_that_makes_the_class_and_a_guess_of_the_middle_does_not(drawn, name):
    batch = np.stack([prepare(picture, SPEC) for picture, _ in drawn])
    model = fit(HEADS[name], batch[:80], np.arange(80) % 2)
    explain = keras.Model(model.input, [model.output, class_maps(model, typical_maps(model, [batch[:80]]))])
    logits, maps = explain.predict(batch[80:], verbose=0)
    assert (logits.argmax(axis=1) == np.arange(40) % 2).mean() >= 0.9
    hits, guesses = [], []
    for (picture, spot), class_map in list(zip(drawn[80:], maps[:, 1], strict=True))[1::2]:
        top, bottom, left, right = box = kept_box(picture, SPEC)
        hits.append(near(spot, peak(relevance(class_map), box), (bottom - top) / class_map.shape[0]))
        guesses.append(near(spot, ((top + bottom) // 2, (left + right) // 2), (bottom - top) / class_map.shape[0]))
    assert np.mean(hits) >= 0.7  # the coarsest map, 4 x 4, misses three of 20
    assert np.mean(guesses) <= 0.3


def near(spot: np.ndarray, place: tuple[int, int] | None, cell: float) -> bool:
    """Whether a place is within half a cell of the map of the spot."""
    rows, columns = np.nonzero(spot)
    return place is not None and np.maximum(abs(rows - place[0]), abs(columns - place[1])).min() <= cell / 2
