"""A picture's bytes to a network's pixels: the contrast, the size, and the whole on any picture or damaged file."""

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import (
    LUMA,
    RESAMPLE,
    body_box,
    preprocess,
    resize,
    stretch_contrast,
    to_grey,
)
from picture_modes import MODES
from pictures import body, encode

AS_IT_IS = PreprocessingSpec(image_size=32, channels="rgb", body_crop=False, contrast=None)


# --- contrast and size --------------------------------------------------------------------


def test_contrast_maps_its_percentiles_to_black_and_white_and_clips_the_rest():
    values = np.arange(101, dtype=np.float32).reshape(1, 101, 1)
    stretched = stretch_contrast(values, 10, 90)[0, :, 0]
    assert stretched[:11].tolist() == [0] * 11
    assert stretched[90:].tolist() == [255] * 11
    np.testing.assert_allclose(np.diff(stretched[10:91]), 255 / 80, rtol=1e-4)


def test_contrast_undoes_another_window():
    picture, _ = body()
    data = [encode(Image.fromarray((picture * gain + lift).astype(np.uint8))) for gain, lift in ((1, 0), (0.6, 40))]
    spec = PreprocessingSpec(image_size=64, body_crop=False)
    np.testing.assert_allclose(preprocess(data[0], spec), preprocess(data[1], spec), atol=2.5)


def test_a_flat_picture_keeps_its_grey():
    assert np.unique(preprocess(encode(Image.new("L", (40, 40), 77)), PreprocessingSpec(image_size=16))).tolist() == [
        77
    ]


@pytest.mark.parametrize("name", RESAMPLE)
def test_no_filter_leaves_the_range(name):
    edges = np.kron(np.indices((9, 9)).sum(axis=0) % 2, np.ones((7, 7)))[..., None].astype(np.float32) * 255
    resized = resize(edges, 50, name)
    assert resized.shape == (50, 50, 1)
    assert (resized.min(), resized.max()) == (0, 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_large_picture_takes_a_few_bytes_of_memory_a_pixel(tmp_path, mode):
    width, height = 6000, 4000
    Image.new(mode, (width, height), (90, 60, 30, 200)[: len(mode)]).save(tmp_path / "large.png")
    program = "import resource, sys; from pathlib import Path\n"
    program += "from cnnClassifier.config.network import PreprocessingSpec\n"
    program += "from cnnClassifier.preprocessing import preprocess\n"
    program += "most = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    program += (
        "before = most(); preprocess(Path(sys.argv[1]).read_bytes(), PreprocessingSpec()); print(most() - before)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 14 * width * height  # 9 measured; of float32 in three channels alone it would be 12


def test_grey_is_the_same_of_bytes_and_of_floats_whatever_the_bands():
    pixels = np.random.default_rng(1).integers(0, 256, (700, 90, 3), np.uint8)
    grey = to_grey(pixels)
    assert grey.dtype == np.float32
    np.testing.assert_array_equal(grey, (pixels.astype(np.float32) @ LUMA)[..., None])


def test_filters_differ_and_shrinking_averages():
    stripes = np.tile(np.float32([0, 255]), (64, 32))[..., None]
    assert set(np.unique(resize(stripes, 16, "nearest"))) <= {0, 255}
    np.testing.assert_allclose(resize(stripes, 16, "box"), 127.5)


# --- the whole ----------------------------------------------------------------------------


def test_grey_input_has_three_equal_channels_and_colour_input_its_own():
    colour = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)))
    grey = preprocess(colour, PreprocessingSpec(image_size=20))
    assert np.ptp(grey, axis=-1).max() == 0
    assert np.ptp(preprocess(colour, AS_IT_IS), axis=-1).max() > 100


def test_the_same_bytes_give_the_same_pixels_and_arrays_that_nobody_else_holds():
    picture, _ = body()
    data = encode(Image.fromarray(picture.astype(np.uint8)))
    first = preprocess(data, PreprocessingSpec(image_size=48))
    expected = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(preprocess(data, PreprocessingSpec(image_size=48)), expected)


def test_the_steps_leave_the_pixels_they_are_given_alone():
    picture, _ = body()
    before = picture.copy()
    body_box(picture)
    stretch_contrast(picture[..., None], 1, 99)
    resize(picture[..., None], 30, "lanczos")
    np.testing.assert_array_equal(picture, before)


@given(
    pixels=st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(), (3,), (4,)])).flatmap(
        lambda shape: arrays(np.uint8, (shape[0], shape[1], *shape[2]))
    ),
    spec=st.builds(
        PreprocessingSpec,
        image_size=st.integers(16, 40),
        channels=st.sampled_from(["grey", "rgb"]),
        body_crop=st.booleans(),
        crop_margin=st.floats(0, 0.5),
        contrast=st.sampled_from([None, (1.0, 99.0), (0.0, 100.0)]),
        resample=st.sampled_from(sorted(RESAMPLE)),
    ),
)
def test_any_picture_and_any_spec_give_rgb_floats_of_0_to_255(pixels, spec):
    result = preprocess(encode(Image.fromarray(pixels)), spec)
    assert result.shape == (spec.image_size, spec.image_size, 3)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert 0 <= result.min() <= result.max() <= 255


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODES)))
def test_a_damaged_file_gives_a_picture_or_an_image_error_and_nothing_else(seed, mode):
    draw = random.Random(seed)
    damaged = bytearray(MODES[mode][0])
    for _ in range(draw.choice([1, 2, 8])):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    try:
        pixels = preprocess(bytes(damaged[: draw.randrange(len(damaged))]), AS_IT_IS, max_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.shape == (32, 32, 3)
