"""Files as no tool writes them, or no longer: what the cases of corpus.py are made of."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from hostile import dicom_files as dicom
from pictures import encode


def grey() -> Image.Image:
    return Image.fromarray(np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8))


def noisy() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def saved(kind: str, mode: str = "RGB", **options: object) -> Callable[[], bytes]:
    return lambda: encode(noisy().convert(mode), kind, **options)


def cut(make: Callable[[], bytes], share: float) -> Callable[[], bytes]:
    return lambda: make()[: max(1, int(len(make()) * share))]


def joined(*parts: Callable[[], bytes] | bytes) -> Callable[[], bytes]:
    return lambda: b"".join(part if isinstance(part, bytes) else part() for part in parts)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, pixels: bytes, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose `pixels` (filter bytes and all) need not be those that it promises."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def rows(height: int, width: int) -> bytes:
    return bytes(height * (width + 1))


def png_with_text(kind: bytes, size: int) -> bytes:
    packed = zlib.compress(bytes(size), 9)
    text = b"Comment\0" + (b"\0" + packed if kind == b"zTXt" else b"\1\0\0\0" + packed)
    return png(16, 16, rows(16, 16), chunk(kind, text))


def png_16_bit_grey() -> bytes:
    return encode(Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257))


def png_16_bit_colour() -> bytes:
    values = np.arange(16 * 16 * 3, dtype=">u2").reshape(16, -1) * 80
    return png(16, 16, b"".join(b"\0" + row.tobytes() for row in values), depth=16, colour=2)


def animation(kind: str) -> Callable[[], bytes]:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("#f00", "#0f0", "#00f")]
    return lambda: encode(frames[0], kind, save_all=True, append_images=frames[1:])


def adobe_cmyk() -> bytes:
    """As Photoshop writes it: inverted, with Adobe's marker, which Pillow writes for CMYK as well."""
    inverted = Image.eval(noisy().convert("CMYK"), lambda value: 255 - value)
    return encode(inverted, "JPEG", quality=95)


def jpeg_without_adobe() -> bytes:
    data = encode(noisy().convert("CMYK"), "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + struct.unpack_from(">H", data, start + 2)[0] :]


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(noisy(), "JPEG", exif=exif)


def jpeg_with_segment(marker: int, body: bytes, times: int = 1) -> bytes:
    data = encode(noisy(), "JPEG")
    return data[:2] + (b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body) * times + data[2:]


def jpeg_with_restarts() -> bytes:
    return encode(noisy().resize((512, 512)), "JPEG", restart_marker_blocks=1)


def jpeg_of_many_scans() -> bytes:
    """A progressive JPEG whose last scan comes 5000 times: each is decoded over the whole picture."""
    data = encode(Image.new("L", (1900, 1900), 128), "JPEG", progressive=True)
    table, scan = data.rindex(b"\xff\xc4"), data.rindex(b"\xff\xda")
    return data[:-2] + data[min(table, scan) : -2] * 5000 + b"\xff\xd9" if scan - table < 100 else data


def indexed(jpeg: bytes) -> bytes:
    """A JPEG with the index of a file of two pictures, for which Pillow calls it MPO."""
    pair = encode(grey(), "MPO", save_all=True, append_images=[grey()])
    start = pair.index(b"\xff\xe2")
    end = start + 2 + struct.unpack_from(">H", pair, start + 2)[0]
    return jpeg[:2] + pair[start:end] + jpeg[2:]


def huge_profile() -> bytes:
    return encode(noisy(), "JPEG", icc_profile=bytes(1_000_000))


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + 400, 0, 0, 54) + head + bytes(400)


def gif(width: int, height: int) -> bytes:
    data = bytearray(encode(grey(), "GIF"))
    struct.pack_into("<HH", data, 6, width, height)
    return bytes(data)


def gif_of_large_frame() -> bytes:
    """The screen is small, the one frame on it is not."""
    data = bytearray(encode(grey(), "GIF"))
    start = data.index(b"\x2c", 13 + 3 * 256)
    struct.pack_into("<HH", data, start + 5, 30_000, 30_000)
    return bytes(data)


def tiff(*entries: tuple[int, int, int, int], following: int = 0, tail: bytes = b"") -> bytes:
    """One directory at 8 of (tag, type, count, value), then `tail`."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + tail


SHORT, LONG = 3, 4


def plain_tiff(width: int = 16, height: int = 16, following: int = 0, **changes: int) -> bytes:
    values = {"offset": 200, "count": width * height, "rows": height} | changes
    return tiff(
        (256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, 8), (259, SHORT, 1, 1), (262, SHORT, 1, 1),
        (273, LONG, 1, values["offset"]), (277, SHORT, 1, 1), (278, LONG, 1, values["rows"]),
        (279, LONG, 1, values["count"]), following=following, tail=bytes(400),
    )  # fmt: skip


def tiff_of_many_tiles() -> bytes:
    return tiff(
        (256, LONG, 1, 16), (257, LONG, 1, 16), (258, SHORT, 1, 8), (259, SHORT, 1, 1), (262, SHORT, 1, 1),
        (277, SHORT, 1, 1), (322, SHORT, 1, 16), (323, SHORT, 1, 16), (324, LONG, 0x3FFFFFFF, 8),
        (325, LONG, 0x3FFFFFFF, 8), tail=bytes(400),
    )  # fmt: skip


def tiff_of_many_pages() -> bytes:
    pages = [Image.new("L", (8, 8), page % 256) for page in range(1000)]
    return encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def other(kind: str) -> Callable[[], bytes]:
    return lambda: encode(noisy(), kind)


PSD = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 16, 8, 3) + bytes(12) + struct.pack(">H", 0) + bytes(16 * 16 * 3)
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
HTML = b"<!doctype html><html><body onload=alert(1)><script>alert(document.cookie)</script></body></html>"
SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">'
    b'<image href="file:///etc/passwd"/></svg>'
)
ENTITIES = (
    b'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'
)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n(/etc/passwd) (r) file\nshowpage\n%%EOF\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 2, 62, 1, 0x400078, 64, 0) + bytes(200)


def ct(syntax: str = dicom.EXPLICIT, extra: bytes = b"", **changes: object) -> Callable[[], bytes]:
    return lambda: dicom.write(dicom.ct(**changes), syntax, extra)


def deflate_bomb() -> bytes:
    return dicom.head(dicom.DEFLATED) + dicom.deflate(bytes(80 * 2**20))


def dicom_of_items(count: int) -> bytes:
    """A private sequence of empty items: pydicom makes an object of each."""
    sequence = dicom.element(0x00091010, "SQ", dicom.item() * count, length=dicom.UNDEFINED)
    return dicom.write(dicom.ct(), extra=sequence + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def dicom_nested(depth: int) -> bytes:
    opened = dicom.element(0x00081140, "SQ", b"", length=dicom.UNDEFINED) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closed = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return dicom.write(dicom.ct(), extra=opened * depth + closed * depth)


def rle_bomb() -> bytes:
    """A run of 128 for every two bytes, fifteen segments over the same bytes."""
    offsets = np.full(16, 64, "<u4")
    offsets[0] = 2
    return dicom.write(dicom.ct(pixels=dicom.encapsulated(offsets.tobytes() + b"\x81\0" * 500_000)), dicom.RLE)


def jpeg_in_dicom(size: tuple[int, int], **changes: object) -> bytes:
    frame = encode(Image.new("L", size, 90), "JPEG")
    octets = {"allocated": 8, "stored": 8, "signed": 0} | changes
    return dicom.write(dicom.ct(pixels=dicom.encapsulated(frame), **octets), dicom.JPEG)


# 4 x 4 pixels of lossless JPEG with one marker and one number changed: GDCM 3.2.6 aborts its process on it.
ABORTS_GDCM = bytes.fromhex(
    "ffd8ffc3000b100004000401011100ff0000160001010100000000000000000000000000070901ffda0008010100010000"
    "c8c8c8d46119191a8c232323518464646fffd9"
)


def dicom_that_aborts_gdcm() -> bytes:
    return dicom.write(dicom.ct(rows=4, columns=4, pixels=dicom.encapsulated(ABORTS_GDCM)), dicom.JPEG_LOSSLESS)


def jpeg_ls_head_only() -> bytes:
    """The right size, and nothing sensible behind it."""
    height, width = dicom.SCAN.shape
    frame = struct.pack(">HHHBHHBBBB", 0xFFD8, 0xFFF7, 11, 16, height, width, 1, 1, 0x11, 0)
    frame += struct.pack(">HHBBBBBB", 0xFFDA, 8, 1, 1, 0, 0, 0, 0) + bytes(range(1, 255)) * 4
    return dicom.write(dicom.ct(pixels=dicom.encapsulated(frame)), dicom.JPEG_LS)
