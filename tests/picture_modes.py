"""One ramp of greys as files of every mode that scans are saved in."""

import struct

import numpy as np
from PIL import Image

from pictures import encode

RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
GREY = Image.fromarray(RAMP)


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
