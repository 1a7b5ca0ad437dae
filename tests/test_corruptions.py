"""Corruptions: each does what it says, by as much as it says, always the same to the same image."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.corruptions import (
    CORRUPTIONS,
    CorruptedView,
    add_noise,
    blur,
    brighten,
    change_contrast,
    change_margin,
    change_window,
    corrupt_file,
    corrupted_views,
    encode,
    rotate,
    shrink,
)
from cnnClassifier.preprocessing import decode, preprocess
from pictures import body
from pictures import encode as encode_image

IMAGES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]
BY_NAME = {each.name: each for each in CORRUPTIONS}
SPEC = PreprocessingSpec(image_size=64, body_crop=False)  # with it, a border around a body changes nothing


def draws(count: int = 40) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def flat(grey: float, height: int = 30, width: int = 40) -> np.ndarray:
    return np.full((height, width, 1), grey, dtype=np.float32)


def chest() -> np.ndarray:
    """A body with some texture, grey (200, 300, 1)."""
    texture = np.random.default_rng(0).normal(0, 8, (200, 300))
    return (body()[0] + texture).clip(0, 255).astype(np.float32)[..., None]


CHEST_FILE = encode(chest())


def edge_width(pixels: np.ndarray) -> int:
    """How many pixels of a step's middle row lie between its two greys."""
    row = pixels[pixels.shape[0] // 2, :, 0]
    return int(((row > 20) & (row < 180)).sum())


# --- what all share -----------------------------------------------------------------------


def test_there_are_nine_at_five_strengths_and_all_views_have_names_of_their_own():
    assert len(CORRUPTIONS) == 9
    views = corrupted_views()
    assert len({view.key for view in views}) == len(views) == 45
    assert {view.strength for view in corrupted_views(strongest=2)} == {1, 2}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("colour", [False, True])
def test_what_comes_out_is_a_file_of_the_same_kind_of_picture(name, colour):
    data = CHEST_FILE if not colour else encode(np.repeat(chest(), 3, axis=-1))
    for value in BY_NAME[name].values:
        pixels = decode(corrupt_file(data, BY_NAME[name], value, IMAGES[0]))
        assert pixels.shape[-1] == (3 if colour else 1)
        assert pixels.std() > 5


@pytest.mark.parametrize("name", BY_NAME)
def test_an_image_is_always_corrupted_alike_and_another_one_otherwise(name):
    kind, value = BY_NAME[name], BY_NAME[name].values[4]
    first = corrupt_file(CHEST_FILE, kind, value, IMAGES[0])
    assert first == corrupt_file(CHEST_FILE, kind, value, IMAGES[0])
    if name not in {"blur", "jpeg", "scale"}:  # in these nothing is drawn
        assert {corrupt_file(CHEST_FILE, kind, value, image) for image in IMAGES} > {first}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_greater_strength_changes_what_the_model_sees_more(name):
    clean = preprocess(CHEST_FILE, SPEC)
    views = [CorruptedView(BY_NAME[name], strength) for strength in (1, 3, 5)]
    changes = [
        np.mean([np.abs(view.prepare(CHEST_FILE, SPEC, image) - clean).mean() for image in IMAGES[:12]])
        for view in views
    ]
    assert 0 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3), (1, 50, 1)])
def test_the_smallest_pictures_survive(name, shape):
    data = encode(np.full(shape, 100, dtype=np.float32))
    for value in BY_NAME[name].values:
        for image in IMAGES[:6]:
            assert decode(corrupt_file(data, BY_NAME[name], value, image)).size


@settings(max_examples=30, deadline=None)
@given(
    pixels=arrays(np.float32, (9, 7, 3), elements=st.floats(0, 255, width=32)),
    kind=st.sampled_from(CORRUPTIONS),
    strength=st.integers(0, 4),
    seed=st.integers(0, 2**32),
)
def test_any_corruption_stays_within_0_and_255_and_leaves_the_picture_it_is_given_alone(pixels, kind, strength, seed):
    before = pixels.copy()
    made = kind.apply(pixels, kind.values[strength], np.random.default_rng(seed))
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 255
    np.testing.assert_array_equal(pixels, before)


def test_a_16_bit_colour_or_transparent_file_is_corrupted_too():
    deep = Image.fromarray((chest()[..., 0] * 257).astype(np.uint16))
    for image in (deep, Image.fromarray(chest()[..., 0].astype(np.uint8)).convert("RGBA")):
        made = decode(corrupt_file(encode_image(image), BY_NAME["blur"], 1e-3, IMAGES[0]))
        assert np.abs(made.mean() - chest().mean()) < 1


# --- each by itself -----------------------------------------------------------------------


def test_brightness_lifts_or_lowers_all_pixels_by_its_grey_levels():
    made = [brighten(flat(100), 16, draw) for draw in draws()]
    assert {tuple(np.unique(each)) for each in made} == {(84.0,), (116.0,)}
    assert brighten(flat(250), 16, draws()[0]).max() <= 255


def test_contrast_stretches_or_squeezes_about_mid_grey():
    spans = {float(np.ptp(change_contrast(chest() / 4 + 95, 0.25, draw))) for draw in draws()}
    span = float(np.ptp(chest() / 4))
    assert sorted(spans) == pytest.approx([span / 1.25, span * 1.25], rel=1e-4)


def test_a_window_is_wider_or_narrower_and_moved_by_no_more_than_half_its_change():
    slopes, levels = [], []
    ramp = np.linspace(100, 156, 57, dtype=np.float32).reshape(1, -1, 1)
    for draw in draws():
        made = change_window(ramp, 0.2, draw)[0, :, 0]
        slope = (made[-1] - made[0]) / 56
        slopes.append(slope)
        levels.append(127.5 - (made[0] - 127.5) / slope - 27.5)
    assert {round(float(slope), 3) for slope in slopes} == {1.2, 0.833}
    shifts = np.array(levels) - 127.5
    assert np.abs(shifts).max() <= 0.1 * 255 + 0.1
    assert shifts.min() < -5 < 5 < shifts.max()


def test_noise_has_its_deviation_and_is_the_same_in_all_channels():
    noisy = add_noise(np.full((100, 100, 3), 127, np.float32), 6, draws()[0])
    assert (noisy[..., 0] - 127).std() == pytest.approx(6, rel=0.05)
    assert np.ptp(noisy, axis=-1).max() == 0


def test_a_blur_is_as_wide_in_a_picture_twice_as_large():
    for width in (200, 400):
        step = np.where(np.arange(width) < width // 2, 0, 200).astype(np.float32)
        blurred = blur(np.tile(step, (5, 1))[..., None], 10, draws()[0])
        # Between a tenth and nine tenths of a Gaussian edge lie 2.56 deviations.
        assert edge_width(blurred) / width == pytest.approx(0.0256, abs=0.006)


def test_jpeg_files_have_the_quality_asked_for():
    sizes = []
    for value in BY_NAME["jpeg"].values:
        data = corrupt_file(CHEST_FILE, BY_NAME["jpeg"], value, IMAGES[0])
        assert Image.open(io.BytesIO(data)).format == "JPEG"
        sizes.append(len(data))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[4]


def test_a_rotation_turns_by_its_angle_and_brings_in_air():
    bar = np.full((101, 101, 1), 30, dtype=np.float32)
    bar[49:52, 10:91] = 200
    directions = set()
    for draw in draws():
        made = rotate(bar, 20, draw)[..., 0]
        rows, columns = np.nonzero(made > 115)
        slope = np.polyfit(columns, rows, 1)[0]
        assert abs(np.degrees(np.arctan(slope))) == pytest.approx(20, abs=1)
        assert made[0, 0] == pytest.approx(30)
        directions.add(slope > 0)
    assert directions == {True, False}


def test_a_scaled_picture_has_fewer_pixels_of_the_same_grey():
    made = shrink(chest(), 0.5, draws()[0])
    assert made.shape == (100, 150, 1)
    assert made.mean() == pytest.approx(chest().mean(), abs=1)


def test_a_margin_is_cut_off_or_put_around_in_black_or_in_white():
    made = [change_margin(flat(100, 40, 60), 0.1, draw)[..., 0] for draw in draws()]
    assert {each.shape for each in made} == {(32, 48), (48, 72)}
    assert {float(each[0, 0]) for each in made} == {0.0, 100.0, 255.0}
    assert all(each[20, 24] == 100 for each in made)


def test_a_direction_is_the_same_at_every_strength():
    for image in IMAGES[:10]:
        files = [corrupt_file(CHEST_FILE, BY_NAME["brightness"], value, image) for value in (8, 56)]
        changes = [decode(data).mean() - chest().mean() for data in files]
        assert np.sign(changes[0]) == np.sign(changes[1])
