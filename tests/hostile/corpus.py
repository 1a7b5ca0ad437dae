"""Files that people upload by mistake or in bad faith, each with what must come of it.

CASES names them; the bytes are made when asked for. Add a case here and every test that reads or posts files has it.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image

from hostile import dicom_files as dicom
from hostile import zip_files as zips
from pictures import encode

PICTURE, UNREADABLE, TOO_MANY = "picture", "unreadable", "too many pixels"
MAX_PIXELS = 4_000_000  # at which the cases are read, in tests/web as well
BODY_LIMIT = 2 * 2**20  # larger ones are refused before anybody reads them

STATUS = {PICTURE: 200, UNREADABLE: 422, TOO_MANY: 422}


@dataclass(frozen=True)
class Case:
    """A file: what `decode` makes of it, the status that POST /predict answers, and as an archive, its members.

    `members` are (files that can be had, files with an error); "refused" if the whole archive is; None if nobody would
    read it as an archive.
    """

    name: str
    make: Callable[[], bytes] = field(repr=False)
    reading: str = UNREADABLE
    status: int = 0
    members: tuple[int, int] | str | None = None

    @property
    def data(self) -> bytes:
        return _made(self.make)


@cache
def _made(make: Callable[[], bytes]) -> bytes:
    return make()


def case(name: str, make: Callable[[], bytes], reading: str = UNREADABLE, status: int = 0, **archive: object) -> Case:
    return Case(name, make, reading, status or STATUS[reading], **archive)


# --- what the cases are made of -----------------------------------------------------------------------------------


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


CASES = [
    # Nothing, and less than a whole.
    case("zero bytes", bytes),
    case("one byte", lambda: b"\xff"),
    case("text", lambda: b"patient 17, slice 4\n" * 50),
    *(case(f"PNG cut at {share:.0%}", cut(saved("PNG"), share)) for share in (0.001, 0.05, 0.5, 0.9)),
    *(case(f"JPEG cut at {share:.0%}", cut(saved("JPEG"), share)) for share in (0.001, 0.05, 0.5, 0.9)),
    *(case(f"DICOM cut at {share:.0%}", cut(ct(), share)) for share in (0.01, 0.03, 0.05, 0.5, 0.9)),
    *(case(f"{kind} cut in half", cut(saved(kind), 0.5)) for kind in ("GIF", "WEBP", "TIFF", "BMP", "JPEG2000")),
    # Two things at once, and things that are no picture.
    case("PNG with a zip behind it", joined(saved("PNG"), zips.of({"a.txt": b"a"})), PICTURE, members=(1, 0)),
    case("JPEG with HTML behind it", joined(saved("JPEG"), HTML), PICTURE),
    case("JPEG with HTML in its comment", lambda: jpeg_with_segment(0xFE, HTML), PICTURE),
    case("GIF that is JavaScript", lambda: b"GIF89a/*" + encode(grey(), "GIF")[8:] + b"*/=1;alert(1)", PICTURE),
    case("PDF before a JPEG", joined(PDF, saved("JPEG"))),
    case("JPEG before a PDF", joined(saved("JPEG"), PDF), PICTURE),
    case("DICOM behind a TIFF's head", lambda: dicom.write(dicom.ct(), preamble=plain_tiff()[:128]), PICTURE),
    case("DICOM behind an MZ head", lambda: dicom.write(dicom.ct(), preamble=b"MZ" + bytes(126)), PICTURE),
    case("PNG called a JPEG", saved("PNG"), PICTURE),
    case("SVG", lambda: SVG),
    case("SVG of entities", lambda: ENTITIES),
    case("HTML", lambda: HTML),
    case("PDF", lambda: PDF),
    case("PostScript", lambda: EPS),
    case("EPS of Pillow", other("EPS")),
    case("ELF", lambda: ELF),
    case("ICO", other("ICO")),
    case("PSD", lambda: PSD),
    case("TGA", other("TGA")),
    # Pictures of rare kinds.
    *(case(f"animated {kind}", animation(kind), PICTURE) for kind in ("GIF", "PNG", "WEBP")),
    case("16-bit grey PNG", png_16_bit_grey, PICTURE),
    case("16-bit colour PNG", png_16_bit_colour, PICTURE),
    case("CMYK JPEG with Adobe's marker", adobe_cmyk, PICTURE),
    case("CMYK JPEG without", jpeg_without_adobe, PICTURE),
    case("palette with transparency", lambda: encode(grey().convert("P"), transparency=3), PICTURE),
    case("grey with alpha", saved("PNG", "LA"), PICTURE),
    case("1 bit", saved("PNG", "1"), PICTURE),
    case("1 x 1", lambda: encode(Image.new("L", (1, 1))), PICTURE),
    case("1 x 5000", lambda: encode(Image.new("L", (1, 5000))), PICTURE),
    case("CMYK TIFF", saved("TIFF", "CMYK"), PICTURE),
    case("MPO", lambda: indexed(encode(noisy(), "JPEG")), PICTURE),
    # More pixels than allowed, in hardly any bytes.
    case("PNG of 30000 x 30000", lambda: png(30_000, 30_000, b""), TOO_MANY),
    case("BMP of 30000 x 30000", lambda: bmp(30_000, 30_000), TOO_MANY),
    case("GIF of 30000 x 30000", lambda: gif(30_000, 30_000), TOO_MANY),
    case("GIF with a frame of 30000 x 30000", gif_of_large_frame),
    case("TIFF of 30000 x 30000", lambda: plain_tiff(30_000, 30_000), TOO_MANY),
    case("DICOM of 30000 x 30000", ct(rows=30_000, columns=30_000), TOO_MANY),
    case("PNG of 4294967295 x 1", lambda: png(0xFFFFFFFF, 1, b""), TOO_MANY),
    case("2001 x 2000, all there", lambda: encode(Image.new("1", (2001, 2000))), TOO_MANY),
    # Bombs.
    case("PNG with 150 MB behind its pixels", lambda: png(1000, 1000, bytes(150 * 2**20)), PICTURE),
    case("PNG with a zTXt bomb", lambda: png_with_text(b"zTXt", 100 * 2**20)),
    case("PNG with an iTXt bomb", lambda: png_with_text(b"iTXt", 100 * 2**20)),
    case("PNG with a thousand texts", lambda: png(16, 16, rows(16, 16), *[chunk(b"tEXt", b"a\0b")] * 1000), PICTURE),
    case("TIFF whose directory leads to itself", lambda: plain_tiff(following=8), PICTURE),
    case("TIFF of a billion tiles", tiff_of_many_tiles),
    case("TIFF of a thousand pages", tiff_of_many_pages, PICTURE),
    case("TIFF whose strip lies outside", lambda: plain_tiff(offset=0xFFFFFF00)),
    case("TIFF whose strip is too long", lambda: plain_tiff(count=0xFFFFFFFF), PICTURE),
    case("JPEG with many restart markers", jpeg_with_restarts, PICTURE),
    case("JPEG of thousands of scans", jpeg_of_many_scans),
    case("MPO of thousands of scans", lambda: indexed(jpeg_of_many_scans())),
    case("JPEG with 20 000 comments", lambda: jpeg_with_segment(0xFE, b"ab", 20_000), PICTURE),
    case("JPEG turned by its EXIF", turned, PICTURE),
    case("JPEG with broken EXIF", lambda: jpeg_with_segment(0xE1, b"Exif\0\0II*\0" + b"\xff" * 9), PICTURE),
    case("JPEG with a huge profile", huge_profile, PICTURE),
    case("BMP of negative width", lambda: bmp(-10, 10), TOO_MANY),
    case("BMP of negative height", lambda: bmp(10, -10), PICTURE),
    # DICOM.
    case("DICOM", ct(), PICTURE),
    case("DICOM deflate bomb", deflate_bomb),
    case("DICOM with a damaged deflation", lambda: dicom.head(dicom.DEFLATED) + b"\xff" * 100),
    case("DICOM RLE bomb", rle_bomb),
    case("DICOM without pixel data", ct(pixels=None)),
    case("DICOM without rows", ct(rows=None)),
    case("DICOM of no rows", ct(rows=0)),
    case("DICOM of no bits", ct(allocated=0)),
    case("DICOM of 65535 bits", ct(allocated=65_535)),
    case("DICOM of 64 samples", ct(samples=64)),
    case("DICOM of a billion frames", ct(frames="1000000000")),
    case("DICOM of minus one frame", ct(frames="-1")),
    case("DICOM of frames that are no number", ct(frames="many")),
    case("DICOM of unknown colours", ct(photometric="OCTARINE")),
    case("DICOM of an unknown transfer syntax", ct("1.2.3.4")),
    case("DICOM said to be JPEG, uncompressed", lambda: dicom.write(dicom.ct(), dicom.JPEG)),
    case("DICOM whose element is longer than the file", ct(extra=dicom.element(0x81140, "UT", b"", length=0xFFFFFFF0))),
    case("DICOM whose sequence never ends", ct(extra=dicom.element(0x00081140, "SQ", b"", length=dicom.UNDEFINED))),
    case("DICOM of sequences 1000 deep", lambda: dicom_nested(1000), PICTURE),
    case("DICOM of sequences 50 000 deep", lambda: dicom_nested(50_000)),
    case("DICOM of 240 000 items", lambda: dicom_of_items(240_000)),
    case("DICOM with NaN for a slope", ct(slope="nan")),
    case("DICOM with infinity for an intercept", ct(intercept="1e999")),
    case("DICOM with a slope of 0", ct(slope="0")),
    case("DICOM with a slope beyond all numbers", ct(slope="1e300")),
    case("DICOM with words for a slope", ct(slope=dicom.PATIENT)),
    case("DICOM with a window 0 wide", ct(center="40", width="0"), PICTURE),
    case("DICOM with NaN for a window", ct(center="nan", width="400"), PICTURE),
    case("DICOM with all values padding", ct(padding=0, pixels=bytes(dicom.SCAN.nbytes)), PICTURE),
    case("DICOM palette that is not there", ct(photometric="PALETTE COLOR", signed=0)),
    case("DICOM with a JPEG of 4000 x 4000 in it", lambda: jpeg_in_dicom((4000, 4000))),
    case("DICOM with a JPEG that fits", lambda: jpeg_in_dicom(dicom.SCAN.shape[::-1]), PICTURE),
    case("DICOM that aborts GDCM", dicom_that_aborts_gdcm),
    case("DICOM with a head of JPEG-LS", jpeg_ls_head_only),
    # Archives: to /predict none is a picture.
    case("zip", zips.of({"2.png": encode(grey()), "10.png": encode(grey())}), members=(2, 0)),
    case("empty zip", zips.of({}), members="refused"),
    case("zip cut at its begin", cut(zips.of({"a.png": encode(grey())}), 0.1), members="refused"),
    case("zip cut at its end", cut(zips.of({"a.png": encode(grey())}), 0.9), members="refused"),
    case("zip of traversal", zips.of({"../../../etc/passwd": b"a", "..\\..\\boot.ini": b"b"}), members=(2, 0)),
    case("zip of absolute names", zips.of({"/etc/passwd": b"a", "C:\\boot.ini": b"b"}), members=(2, 0)),
    case("zip with a symbolic link", zips.symlink, members=(1, 1)),
    case("zip in a zip", zips.nested, members=(1, 1)),
    case("zip of 42 kB kind", zips.bomb, members=(0, 1)),
    case("zip whose files together are too much", zips.many_large, members="refused"),
    case("zip of overlapping files", zips.overlapping, members="refused"),
    case("zip of files that lie on one another", zips.quoted, members="refused"),
    case("zip of 20 000 entries", zips.crowded, members="refused"),
    case("zip that hides its entries", zips.understated, members="refused"),
    case("zip of a million entries", zips.million, UNREADABLE, 413, members="refused"),
    case("zip with a password", zips.encrypted, members=(1, 1)),
    case("zip with a wrong sum", zips.wrong_sum, members=(1, 1)),
    case("zip whose sizes lie", zips.lying_size, members=(0, 1)),
    case("zip of an old method", zips.method(99), members=(0, 1)),
    case("zip of LZMA", zips.of({"a": bytes(100)}, zipfile.ZIP_LZMA), members=(0, 1)),
    case("zip of names that are no text", zips.bad_name, members="refused"),
    case("zip with one name twice", zips.twice, members=(2, 0)),
    case("zip with clutter", zips.clutter, members=(1, 0)),
    case("zip of folders only", zips.of({"a/": b"", "a/b/": b""}), members="refused"),
    case("ZIP64", zips.zip64, members="refused"),
    case("more than the limit", lambda: bytes(BODY_LIMIT + 1), UNREADABLE, 413),
]  # fmt: skip

BY_NAME = {each.name: each for each in CASES}
