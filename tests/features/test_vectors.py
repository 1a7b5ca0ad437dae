"""One vector an image: short, of the frozen part alone, and the same whichever way it is computed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features import vectors
from cnnClassifier.features.extraction import FeatureExtractor, Space
from cnnClassifier.features.vectors import LONGEST, frozen_vectors, pooled_features, pooled_features_of_files
from cnnClassifier.modeling import STANDARDISE, build_classifier, cut, forward
from cnnClassifier.preprocessing import preprocess

IMAGES = 7
PREPROCESSING = PreprocessingSpec(image_size=32, body_crop=False)
FREEZES = ("all", "block2_pool", "none")
CLOSE = {"rtol": 5e-3, "atol": 1e-3}  # the cache holds half precision


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(IMAGES):
        Image.fromarray(draw.integers(0, 256, (40, 40), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def files(images) -> list[bytes]:
    return [file.read_bytes() for file in sorted(images.iterdir())]


@pytest.fixture(scope="module")
def records(files) -> list[ImageRecord]:
    digests = [hashlib.sha256(data).hexdigest() for data in files]
    return [
        ImageRecord(digest, f"{number}.png", "a", "train", "g", digest, digest, 40, 40, "L", "PNG", 9)
        for number, digest in enumerate(digests)
    ]


@pytest.fixture(scope="module", params=FREEZES)
def model(request):
    config = PrepareBaseModelConfig(
        seed=1,
        backbone="SmallCNN",
        weights="none",
        freeze=request.param,
        head=HeadConfig(hidden_units=5, dropout=0.5),
        preprocessing=PREPROCESSING,
    )
    built = build_classifier(config, 3)
    if request.param == "all":
        # A standardisation that would be noticed if it came into what is called pooled.
        built.get_layer(STANDARDISE).set_weights([np.full(96, 3.0), np.full(96, 0.1)])
    return request.param, built


@pytest.fixture
def cached(model, images, tmp_path):
    """The model in two, and the cache of its trunk's features."""
    parts = cut(model[1], model[0])
    return parts, FeatureExtractor(tmp_path, images, Space(PREPROCESSING, model[0]), forward(parts.trunk))


def on_pixels(model, files) -> np.ndarray:
    pixels = np.stack([preprocess(data, PREPROCESSING) for data in files])
    return forward(cut(model, "all").trunk)(pixels)


def test_pooled_features_are_what_the_pool_layer_says_of_the_pixels(model, cached, records, files):
    found = pooled_features(*cached, records)
    assert found.shape == (IMAGES, 96)
    np.testing.assert_allclose(found, on_pixels(model[1], files), **CLOSE)


def test_pooled_features_of_files_are_those_of_their_records(cached, records, files, monkeypatch):
    monkeypatch.setattr(vectors, "BATCH", 3)
    found = pooled_features_of_files(*cached, iter(files))
    np.testing.assert_allclose(found, pooled_features(*cached, records), **CLOSE)


def test_the_head_judges_by_the_pooled_features(model, cached, records, files):
    pixels = np.stack([preprocess(data, PREPROCESSING) for data in files])
    head = cut(model[1], "all").tail
    np.testing.assert_allclose(forward(head)(pooled_features(*cached, records)), forward(model[1])(pixels), **CLOSE)


def test_frozen_vectors_are_one_short_row_an_image_and_differ_where_images_do(cached, records):
    found = frozen_vectors(cached[1], records)
    assert len(found) == IMAGES
    assert found.ndim == 2
    assert found.shape[1] <= LONGEST
    assert len(np.unique(found, axis=0)) == IMAGES


def test_images_read_in_parts_are_those_read_at_once(cached, records, monkeypatch):
    whole = frozen_vectors(cached[1], records), pooled_features(*cached, records)
    monkeypatch.setattr(vectors, "CHUNK", 2)
    np.testing.assert_array_equal(frozen_vectors(cached[1], records), whole[0])
    np.testing.assert_allclose(pooled_features(*cached, records), whole[1], **CLOSE)


@pytest.mark.parametrize(
    ("shape", "length"),
    [
        ((32, 32, 3), 8 * 8 * 3),
        ((14, 14, 64), 8 * 8 * 64),
        ((7, 7, 512), 2 * 2 * 512),
        ((7, 9, 200), 4 * 4 * 200),
        ((3, 40, 10), 2 * 2 * 10),
        ((7, 7, 5000), 5000),
        ((1, 1, 8), 8),
        ((6000,), 6000),
    ],
)
def test_activations_are_summed_over_as_many_cells_as_keep_the_vector_short(shape, length, records, tmp_path, images):
    activations = np.random.default_rng(0).uniform(size=(IMAGES, *shape)).astype(np.float32)
    order = iter(activations)
    features = FeatureExtractor(
        tmp_path, images, Space(PREPROCESSING, str(shape)), lambda batch: np.stack([next(order) for _ in batch])
    )
    found = frozen_vectors(features, records)
    assert found.shape == (IMAGES, length)
    if len(shape) == 3:  # nothing is lost and nothing counted twice, in any channel
        by_channel = found.reshape(IMAGES, -1, shape[-1]).sum(axis=1)
        stored = features.read(records, vectors.PLAIN)
        np.testing.assert_allclose(by_channel, stored.sum(axis=(1, 2)), rtol=1e-3)
