"""One file looked at: its facts, and hashes that see through the file format."""

import hashlib
import os
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnClassifier.datasets.inspection import hash_pixels, inspect_image
from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import decode, decode_stored
from pictures import encode, noise


def inspect(tmp_path, data):
    (tmp_path / "image").write_bytes(data)
    return inspect_image(tmp_path / "image")


def test_the_facts_are_those_of_the_file_not_of_its_name(tmp_path):
    data = encode(Image.new("RGBA", (30, 20)), "PNG")
    facts = inspect(tmp_path, data)
    assert (facts.width, facts.height, facts.mode, facts.format) == (30, 20, "RGBA", "PNG")
    assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert inspect(tmp_path, encode(noise(1), "JPEG")).format == "JPEG"


def test_width_and_height_are_those_of_the_picture_held_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = inspect(tmp_path, encode(Image.new("L", (30, 20)), "PNG", exif=exif))
    assert (facts.width, facts.height) == (20, 30)


def test_one_picture_has_one_pixel_hash_in_all_lossless_formats(tmp_path):
    grey = noise(1)
    saved = [
        encode(grey), encode(grey.convert("RGB")), encode(grey.convert("RGBA")), encode(grey, "BMP"),
        encode(grey, "TIFF", compression="tiff_lzw"), encode(grey, compress_level=0),
        encode(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)),
    ]  # fmt: skip
    facts = [inspect(tmp_path, data) for data in saved]
    assert len({fact.pixel_hash for fact in facts}) == 1
    assert len({fact.sha256 for fact in facts}) == len(saved)


def test_other_pixels_or_another_shape_have_another_hash():
    flat = np.zeros((4, 6, 1))
    dot = flat.copy()
    dot[0, 0] = 1
    colour = np.zeros((4, 6, 3))
    colour[0, 0, 2] = 1
    hashes = {hash_pixels(pixels) for pixels in (flat, dot, flat.reshape(6, 4, 1), colour)}
    assert len(hashes) == 4


@given(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "grey as RGB"]), st.integers(0, 99))
def test_the_hash_of_stored_bytes_is_that_of_rounded_floats(mode, seed):
    values = np.random.default_rng(seed).integers(0, 256, (7, 5, 4), dtype=np.uint8)
    image = noise(seed).convert("RGB") if mode == "grey as RGB" else Image.fromarray(values, "RGBA").convert(mode)
    data = encode(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    stored, rounded = decode_stored(data), np.rint(decode(data)).astype(np.uint8)
    if rounded.shape[-1] == 3 and np.ptp(rounded, axis=-1).max() == 0:
        rounded = rounded[..., :1]
    assert stored.dtype == np.uint8
    assert hash_pixels(stored) == hash_pixels(decode(data))
    assert hash_pixels(stored) == hashlib.sha256(f"{rounded.shape}".encode() + rounded.tobytes()).hexdigest()


def test_a_picture_of_8_bits_is_looked_at_in_little_more_memory_than_it_has_bytes(tmp_path):
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)))
    tracemalloc.start()
    inspect(tmp_path, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data) + 10 * 1000 * 1000  # it has 3 a pixel; as floats 30 and more


def test_a_file_that_cannot_be_opened_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        inspect_image(tmp_path / "gone.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ImageError, match="cannot be read"):
        inspect_image(tmp_path / "loop")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        inspect_image(tmp_path / "pipe.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    header = bytearray(encode(Image.new("1", (16, 16))))
    header[16:24] = (10_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="10000 x 10000 pixels are more than"):
        inspect(tmp_path, bytes(header))
