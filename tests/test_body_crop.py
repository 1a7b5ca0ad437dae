"""The part of a picture that the network sees: the body, whatever is around it."""

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.preprocessing import body_box, preprocess
from pictures import body, encode


def test_the_crop_finds_the_body_and_leaves_the_table_out():
    picture, box = body()
    assert body_box(picture) == box


@pytest.mark.parametrize("lift", [16, 40])
def test_black_that_is_lifted_leaves_the_crop_where_it_was(lift):
    picture, box = body()
    assert body_box(picture * ((255 - lift) / 255) + lift) == box


PAGES = [(2, 2, 2, 2), (40, 0, 0, 9), (0, 25, 30, 0)]


@pytest.mark.parametrize("brightest", [250, 30])
@pytest.mark.parametrize("page", PAGES)
def test_the_white_of_a_page_around_the_picture_changes_nothing(page, brightest):
    picture, _ = body()
    picture *= brightest / picture.max()
    assert body_box(on_page(picture, page)) == moved(body_box(picture), page)


@pytest.mark.parametrize("page", PAGES)
def test_a_margin_is_not_taken_from_the_page(page):
    picture, _ = body()
    assert body_box(on_page(picture, page), 0.5) == moved(body_box(picture, 0.5), page)


def test_a_margin_widens_the_crop_but_not_past_the_picture():
    picture, (top, bottom, left, right) = body()
    height, width = round((bottom - top) * 0.1), round((right - left) * 0.1)
    assert body_box(picture, 0.1) == (top - height, bottom + height, left - width, right + width)
    assert body_box(picture, 0.5) == (0, min(200, bottom + round((bottom - top) * 0.5)), 0, 300)


def test_the_crop_of_a_large_picture_is_that_of_a_small_one():
    small, _ = body()
    large = small.repeat(8, axis=0).repeat(8, axis=1)
    step = min(large.shape) // 256
    for found, expected in zip(body_box(large), body_box(small), strict=True):
        assert abs(found - 8 * expected) <= step


def test_a_burnt_in_label_brighter_than_the_body_is_not_the_body():
    picture, box = body()
    picture[:6, :20] = 255
    assert body_box(picture) == box


@pytest.mark.parametrize("picture", [
    np.zeros((50, 70)), np.full((50, 70), 90.0), np.eye(70)[:50] * 255, np.zeros((1, 1)),
    np.pad(np.zeros((40, 60)), 5, constant_values=255),
], ids=["black", "flat", "a thin line", "one black pixel", "an empty page"])  # fmt: skip
def test_without_a_body_the_whole_picture_is_kept(picture):
    assert body_box(picture.astype(np.float32)) == (0, picture.shape[0], 0, picture.shape[1])


def test_a_crop_and_its_uncropped_picture_become_nearly_the_same_input():
    picture, (top, bottom, left, right) = body()
    grey = picture.astype(np.uint8)
    spec = PreprocessingSpec(image_size=64)
    whole = preprocess(encode(Image.fromarray(grey)), spec)
    tight = preprocess(encode(Image.fromarray(grey[top - 4 : bottom + 3, left - 6 : right + 9])), spec)
    np.testing.assert_array_equal(whole, tight)


def on_page(picture, page):
    """A picture with white above, below, left and right of it."""
    above, below, left, right = page
    return np.pad(picture, ((above, below), (left, right)), constant_values=255.0)


def moved(box, page):
    """Where a picture's box lies on its page."""
    above, _, left, _ = page
    return box[0] + above, box[1] + above, box[2] + left, box[3] + left
