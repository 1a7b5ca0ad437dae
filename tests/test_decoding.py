"""Bytes to pixels: every mode a scan is saved in, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import (
    decode,
    to_grey,
)
from picture_modes import GREY, MODES, RAMP, negative, packed
from pictures import encode, noise


@pytest.mark.parametrize("mode", MODES)
def test_a_scan_looks_the_same_in_whatever_mode_it_is_saved(mode):
    data, tolerance = MODES[mode]
    np.testing.assert_allclose(to_grey(decode(data))[..., 0], RAMP, atol=tolerance)


def test_a_1_bit_picture_is_black_and_white():
    picture = decode(encode(Image.fromarray(RAMP > 127)))
    assert picture[0, 0, 0] == 0
    assert picture[0, 255, 0] == 255


def test_16_bit_grey_keeps_steps_that_8_bits_lose():
    fine = np.arange(1000, 1256, dtype=np.uint16).reshape(16, 16)
    read = decode(encode(Image.fromarray(fine)))
    assert len(np.unique(read)) == 256
    np.testing.assert_array_equal(decode(b"P5 16 16 65535\n" + fine.astype(">u2").tobytes()), read)


def test_12_bit_grey_goes_from_black_to_white_and_keeps_its_steps():
    read = decode(packed(np.arange(4096).reshape(64, 64)))
    assert (read.min(), read.max()) == (0, 255)
    assert len(np.unique(read)) == 4096


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_grey_is_divided_by_257_to_the_byte(dtype):
    values = np.arange(2**16).astype(dtype).reshape(256, 256)
    assert decode(encode(Image.fromarray(values), "TIFF")).tobytes() == (
        (values.astype(np.float32) / np.float32(257))[..., None].tobytes()
    )


def test_what_is_no_number_is_black_also_where_0_is_white():
    values = RAMP.astype(np.float32)
    values[0, 100] = np.nan
    assert decode(negative(values))[0, 100, 0] == decode(encode(Image.fromarray(values), "TIFF"))[0, 100, 0] == 0


def test_colours_stay():
    picture = decode(encode(Image.new("RGB", (3, 2), (10, 20, 30))))
    assert picture.shape == (2, 3, 3)
    assert picture[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (2, 2), (200, 200, 200, 0)),
        Image.new("LA", (2, 2), (200, 0)),
    ],
    ids=["RGBA", "LA"],
)
def test_what_is_transparent_is_black(image):
    assert not decode(encode(image)).any()


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_colour_is_black(mode):
    image = Image.new(mode, (2, 2), {"L": 200, "P": 7, "RGB": (200, 200, 200)}[mode])
    key = {"L": 200, "P": 7, "RGB": (200, 200, 200)}[mode]
    assert not decode(encode(image, transparency=key)).any()


def test_half_transparent_white_is_grey():
    assert decode(encode(Image.new("RGBA", (1, 1), (255, 255, 255, 128))))[0, 0, 0] == 128


def test_floats_that_are_no_numbers_do_not_spoil_the_rest():
    values = np.array([[0, 50, 100, np.nan, np.inf, -np.inf]], dtype=np.float32)
    picture = decode(encode(Image.fromarray(values), "TIFF"))
    assert picture[0, :, 0].tolist() == [0, 127.5, 255, 0, 255, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("orientation", "turned"), [
    (1, RAMP), (2, RAMP[:, ::-1]), (3, RAMP[::-1, ::-1]), (4, RAMP[::-1]),
    (5, RAMP.T), (6, np.rot90(RAMP, -1)), (7, RAMP[::-1, ::-1].T), (8, np.rot90(RAMP)),
])  # fmt: skip
def test_a_picture_is_turned_upright_as_its_exif_says(orientation, turned, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = to_grey(decode(encode(GREY, kind, exif=exif, **options)))[..., 0]
    np.testing.assert_allclose(picture, turned, atol=0.01)


def test_the_first_frame_of_an_animation_counts():
    frames = encode(Image.new("L", (4, 4), 50), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 200)])
    assert np.unique(decode(frames)).tolist() == [50]


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"This is not an image.\n", "not an image in a format this reads"),
        (encode(noise(0, 64))[:1500], "truncated"),
        (encode(noise(0, 64), "JPEG")[:700], "truncated"),
        (encode(noise(0), "EPS"), "not an image in a format this reads"),
        (encode(noise(0))[:20], "not a"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "EPS, which would start Ghostscript", "cut header"],
)
def test_what_is_no_whole_picture_is_refused_with_the_reason(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode(data)


def test_too_many_pixels_are_refused_before_any_is_decoded():
    cut = encode(noise(0, 64))[:60]  # no pixel of it could be decoded
    with pytest.raises(ImageError, match="64 x 64 pixels are more than the 4,000 allowed"):
        decode(cut, max_pixels=4_000)
