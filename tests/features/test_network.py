"""A network cut in the middle: its frozen part fills the cache, the rest is fitted on what the cache holds."""

import inspect

import numpy as np
import pytest

from cnnClassifier import preprocessing
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.features.engine import EightBits
from cnnClassifier.features.extraction import Space
from cnnClassifier.features.network import PLAIN, open_features, predict_tail, softmax
from cnnClassifier.features.spaces import root_of, survey
from cnnClassifier.modeling import cut, forward, load_model
from cnnClassifier.preprocessing import preprocess
from tiny_pipeline import ingest_and_audit, prepare, train, write_data

FREEZE = "block4_pool"


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A tiny run of VGG16 whose block5 and head were fitted on cached activations."""
    root = tmp_path_factory.mktemp("vgg16")
    paths = ingest_and_audit(root, write_data(root / "data"))
    prepare(paths, backbone="VGG16", freeze=FREEZE)
    train(paths, epochs=1)
    return paths


def test_only_what_lies_after_the_cut_is_fitted(paths):
    base, trained = load_model(paths.base_model)[0], load_model(paths.model)[0]
    moved = {
        name
        for name in (layer.name for layer in base.layers if layer.weights)
        if any(
            not np.array_equal(before, after)
            for before, after in zip(
                base.get_layer(name).get_weights(), trained.get_layer(name).get_weights(), strict=True
            )
        )
    }
    assert {"block5_conv1", "block5_conv2", "block5_conv3"} <= moved
    assert not [name for name in moved if name.startswith(("block1", "block2", "block3", "block4"))]


def test_the_cache_holds_the_activations_of_the_cut_and_says_so(paths):
    (space,) = survey(root_of(paths.cache))
    assert space.network == f"VGG16 (none) up to {FREEZE}"
    assert space.description["shape"] == [2, 2, 512]
    assert space.description["preprocessing"]["image_size"] == 32


def test_predictions_by_the_cache_are_those_of_the_whole_model_on_pixels(paths):
    model, spec = load_model(paths.model)
    parts = cut(model, spec.freeze)
    records = read_manifest(paths.audited_manifest)[:9]
    features = open_features(parts, spec, paths)
    features.ensure(records, [PLAIN])
    cached = predict_tail(forward(parts.tail), features, records)
    pixels = np.stack([preprocess((paths.images / each.path).read_bytes(), spec.preprocessing) for each in records])
    np.testing.assert_allclose(cached, softmax(forward(model)(pixels)), atol=2e-3)


def test_after_an_edit_of_the_code_that_makes_pixels_neither_older_features_nor_an_older_network_are_used(
    paths, monkeypatch
):
    spec = load_model(paths.model)[1]

    def names() -> tuple[str, str]:
        return Space(spec.preprocessing, "trunk").key, EightBits(None, "trunk", spec, paths).digest

    before = names()
    assert names() == before
    source = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda of: source(of) + "# edited" * (of is preprocessing))
    assert not set(names()) & set(before)
