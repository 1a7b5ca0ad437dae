"""From a class map to a picture over the original."""

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.heatmap import as_png, colours, in_picture, peak, relevance
from cnnClassifier.preprocessing import kept_box, prepare

BOX = (20, 84, 10, 74)  # 64 x 64 pixels
SHAPE = (100, 120)


def spot(row: int, column: int, side: int = 8) -> np.ndarray:
    """A map with one relevant place."""
    values = np.zeros((side, side), dtype=np.float32)
    values[row, column] = 1
    return values


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGBA"))


def test_what_speaks_against_a_class_is_not_relevant_and_the_most_that_speaks_for_it_is_1():
    against = np.zeros((5, 9), dtype=np.float32)
    against[2, 2], against[2, 6] = -4, 2
    shares = relevance(against)
    assert (shares.dtype, shares.shape) == (np.float32, (5, 9))
    assert not shares[:, :5].any()
    assert shares[2, 6] == shares.max() == 1


def test_a_place_counts_with_its_neighbours():
    alone_and_in_company = np.zeros((5, 9), dtype=np.float32)
    alone_and_in_company[2, 1] = 2.2
    alone_and_in_company[1:4, 6] = 2
    shares = relevance(alone_and_in_company)
    assert np.unravel_index(shares.argmax(), shares.shape) == (2, 6)
    assert shares[2, 1] == pytest.approx(2.2 / 4 / 1)


@pytest.mark.parametrize("value", [0, -3])
def test_a_map_in_which_nothing_speaks_for_the_class_stays_empty(value):
    nothing = relevance(np.full((3, 4), value, dtype=np.float32))
    assert not nothing.any()
    assert peak(nothing, BOX) is None
    assert not opened(as_png(nothing, BOX, SHAPE))[..., 3].any()


def test_a_drawn_map_lies_in_its_box_and_nowhere_else():
    drawn = in_picture(np.ones((3, 5), dtype=np.float32), BOX, SHAPE)
    assert drawn.shape == SHAPE
    assert (drawn[20:84, 10:74] == 1).all()
    assert drawn.sum() == 64 * 64


def test_a_drawn_map_is_smooth_stays_within_0_and_1_and_peaks_where_its_peak_is_said_to_be():
    drawn = in_picture(spot(2, 6), BOX, SHAPE)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert np.abs(np.diff(drawn, axis=0)).max() < 0.2
    highest = np.unravel_index(drawn.argmax(), SHAPE)
    assert np.abs(np.subtract(highest, peak(spot(2, 6), BOX))).max() <= 1


def test_the_peak_is_the_middle_of_its_place_in_pixels_of_the_picture():
    assert peak(spot(0, 0), BOX) == (24, 14)
    assert peak(spot(7, 7), BOX) == (80, 70)
    assert peak(spot(0, 0, side=1), (0, 1, 0, 1)) == (0, 0)


def test_of_equal_peaks_the_first_counts():
    assert peak(spot(1, 5) + spot(6, 2), BOX) == peak(spot(1, 5), BOX)


def test_the_peak_of_a_spot_is_found_again_through_crop_and_resizing():
    picture = np.zeros((90, 140, 1), dtype=np.float32)
    picture[15:80, 30:120] = 100  # a body
    picture[60:66, 90:96] = 255  # and a bright spot in it
    spec = PreprocessingSpec(image_size=64, contrast=None)
    seen = prepare(picture, spec)[..., 0].reshape(16, 4, 16, 4).mean(axis=(1, 3))
    row, column = peak(relevance(seen - 101), kept_box(picture, spec))
    assert abs(row - 63) <= 4
    assert abs(column - 93) <= 4


def test_an_overlay_has_the_picture_s_size_and_shows_only_what_is_relevant():
    overlay = opened(as_png(spot(2, 6), BOX, SHAPE))
    assert overlay.shape == (*SHAPE, 4)
    row, column = peak(spot(2, 6), BOX)
    assert overlay[row, column, 3] > 200
    assert overlay[row, column, :3].sum() > overlay[row + 5, column, :3].sum()
    assert not overlay[:20, :, 3].any()
    assert not overlay[:, 74:, 3].any()


@pytest.mark.parametrize(
    ("shape", "size"), [((3000, 1500), (1024, 512)), ((900, 1024), (900, 1024)), ((1, 5000), (1, 1024))]
)
def test_a_large_picture_gets_an_overlay_of_its_proportions(shape, size):
    overlay = opened(as_png(np.ones((2, 2), dtype=np.float32), (0, shape[0], 0, shape[1]), shape))
    assert overlay.shape[:2] == size
    assert (overlay[..., 3] == 255).all()


def test_a_box_narrower_than_a_pixel_of_the_overlay_is_still_shown():
    overlay = opened(as_png(np.ones((2, 2), dtype=np.float32), (3998, 4000, 10, 11), (4000, 4000)))
    assert overlay[..., 3].any()


def test_colours_are_those_of_inferno_and_rise_in_lightness_and_opacity():
    steps = np.linspace(0, 1, 256, dtype=np.float32)
    drawn = colours(steps)
    assert np.abs(drawn[:, :3] - 255 * colormaps["inferno"](steps)[:, :3]).max() < 8
    assert drawn[:, 3].tolist() == list(range(256))
    lightness = drawn[::16, :3] @ np.array([0.299, 0.587, 0.114])
    assert all(now < then for now, then in pairwise(lightness))
