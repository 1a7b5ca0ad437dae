"""Stain normalisation: slides of two laboratories come to look alike, and what is no stained slide is left alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pydantic import ValidationError

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.datasets.tissue import BENIGN, STAINS, draw_tile
from cnnClassifier.model_spec import read_spec
from cnnClassifier.preprocessing import decode, prepare, preprocess
from cnnClassifier.stain import _find_stains, _optical_density, normalise_stain
from imports import ROOT
from pictures import encode

METHODS = ("reinhard", "macenko")
STRONG, WEAK = STAINS * 1.25, STAINS * 0.8 * np.array([1.1, 0.95, 1.0])
AS_IT_IS = {"image_size": 64, "channels": "rgb", "body_crop": False, "contrast": None}


def tile(stains, seed=1):
    return draw_tile(BENIGN, stains, np.random.default_rng(seed)).astype(np.float32)


def distance(one, other):
    """Mean difference of the average colours, in grey levels."""
    return float(abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).mean())


@pytest.mark.parametrize("method", METHODS)
def test_one_piece_of_tissue_stained_by_two_laboratories_comes_to_look_the_same(method):
    one, other = tile(STRONG), tile(WEAK)
    assert distance(one, other) > 20
    assert distance(normalise_stain(one, method), normalise_stain(other, method)) < 5


def test_macenko_finds_the_stains_that_a_tile_was_drawn_with():
    density = _optical_density(tile(STRONG).reshape(-1, 3).astype(np.float64))
    found = _find_stains(density[(density > 0.15).all(axis=1)])
    drawn = STRONG / np.linalg.norm(STRONG, axis=1, keepdims=True)
    # Eosin lies under nearly all haematoxylin, so the bluest pixels are not quite pure.
    assert (drawn * found.T).sum(axis=1) == pytest.approx([1, 1], abs=0.03)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("picture", [
    np.full((40, 40, 3), 240.0), np.zeros((40, 40, 3)), np.full((40, 40, 3), (200.0, 120.0, 160.0)),
    np.random.default_rng(0).uniform(0, 255, (40, 40, 1)).repeat(3, axis=2),
    np.random.default_rng(0).uniform(0, 255, (40, 40, 1)), np.full((2, 2, 3), (200.0, 120.0, 160.0)),
], ids=["white", "black", "one colour", "grey as RGB", "grey", "four pixels"])  # fmt: skip
def test_a_picture_without_stains_is_returned_as_it_is(method, picture):
    picture = picture.astype(np.float32)
    assert normalise_stain(picture, method) is picture


@pytest.mark.filterwarnings("error")
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda sides: (*sides, 3))), st.data())
def test_any_picture_stays_a_picture(pixels, data):
    changed = normalise_stain(pixels.astype(np.float32), data.draw(st.sampled_from(METHODS)))
    assert changed.shape == pixels.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.parametrize("method", METHODS)
def test_training_and_serving_see_the_same_pixels(method):
    data = encode(Image.fromarray(tile(STRONG).astype(np.uint8)))
    spec = PreprocessingSpec(**AS_IT_IS, stain=method)
    trained = preprocess(data, spec)
    np.testing.assert_array_equal(trained, prepare(decode(data), spec, (0, 224, 0, 224)))
    assert distance(trained, preprocess(data, PreprocessingSpec(**AS_IT_IS))) > 3


def test_a_model_saved_before_there_was_a_stain_normalises_none():
    assert read_spec(ROOT / "models/chest_ct").preprocessing.stain == "none"


def test_grey_pictures_have_no_stain_to_configure():
    with pytest.raises(ValidationError, match="`stain: macenko` needs `channels: rgb`"):
        PreprocessingSpec(stain="macenko")
