"""Bytes to pixels: every mode a scan is saved in, the contrast, and what is refused."""

import random
import struct
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
    decode,
    preprocess,
    resize,
    stretch_contrast,
    to_grey,
)
from pictures import body, encode, noise

RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
GREY = Image.fromarray(RAMP)
AS_IT_IS = PreprocessingSpec(image_size=32, channels="rgb", body_crop=False, contrast=None)


def negative(values: np.ndarray) -> bytes:
    """A TIFF file whose numbers mean the opposite: 0 is white."""
    meaning = struct.Struct("<HHIHH")  # PhotometricInterpretation, a short, one of them
    (data, count) = encode(Image.fromarray(values), "TIFF"), 1
    said, instead = meaning.pack(262, 3, count, 1, 0), meaning.pack(262, 3, count, 0, 0)
    assert data.count(said) == 1
    return data.replace(said, instead)


def packed(values: np.ndarray) -> bytes:
    """A TIFF file of 12 bits a pixel, two pixels in three bytes, which Pillow reads and does not write."""
    data = b"".join(int(one << 12 | other).to_bytes(3, "big") for one, other in values.astype(int).reshape(-1, 2))
    height, width = values.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


# The same ramp in every mode that files come in, with the largest error the mode itself brings.
MODES = {
    "L": (encode(GREY), 0),
    "RGB": (encode(GREY.convert("RGB")), 0.01),
    "RGBA": (encode(GREY.convert("RGBA")), 0.01),
    "LA": (encode(GREY.convert("LA")), 0.01),
    "palette": (encode(GREY.convert("P")), 0.01),
    "16-bit PNG": (encode(Image.fromarray(RAMP.astype(np.uint16) * 257)), 0),
    "16-bit big-endian TIFF": (encode(Image.fromarray(RAMP.astype(">u2") * 257), "TIFF"), 0),
    "32-bit integer": (encode(Image.fromarray(RAMP.astype(np.int32) * 1000 - 70_000), "TIFF"), 0.01),
    "float": (encode(Image.fromarray(RAMP.astype(np.float32) / 255), "TIFF"), 0.01),
    "CMYK": (encode(GREY.convert("RGB").convert("CMYK"), "TIFF"), 1),
    "CMYK JPEG": (encode(GREY.convert("RGB").convert("CMYK"), "JPEG", quality=100), 2),
    "GIF": (encode(GREY, "GIF"), 0.01),
    "WebP": (encode(GREY, "WEBP", lossless=True), 0.01),
    "JPEG": (encode(GREY, "JPEG", quality=100), 1),
    "JPEG 2000": (encode(GREY, "JPEG2000"), 0),
    "BMP": (encode(GREY, "BMP"), 0.01),
    "PGM": (encode(GREY, "PPM"), 0),
    "12-bit TIFF": (packed(RAMP.astype(np.uint16) * 16 + RAMP // 16), 0.06),
    "16-bit PGM": (b"P5 256 8 65535\n" + (RAMP.astype(">u2") * 257).tobytes(), 0),
    "white is 0, 8 bits": (negative(255 - RAMP), 0),
    "white is 0, 16 bits": (negative((255 - RAMP).astype(np.uint16) * 257), 0.01),
    "white is 0, float": (negative((255 - RAMP).astype(np.float32)), 0.01),
}


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
