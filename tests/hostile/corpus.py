"""Files that people upload by mistake or in bad faith, each with what must come of it.

CASES names them; the bytes are made when asked for. Add a case here and every test that reads or posts files has it.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from PIL import Image

from hostile import dicom_files as dicom
from hostile import zip_files as zips
from hostile.odd_files import (
    ELF,
    ENTITIES,
    EPS,
    HTML,
    PDF,
    PSD,
    SVG,
    adobe_cmyk,
    animation,
    bmp,
    chunk,
    ct,
    cut,
    deflate_bomb,
    dicom_nested,
    dicom_of_items,
    dicom_that_aborts_gdcm,
    gif,
    gif_of_large_frame,
    grey,
    huge_profile,
    indexed,
    joined,
    jpeg_in_dicom,
    jpeg_ls_head_only,
    jpeg_of_many_scans,
    jpeg_with_restarts,
    jpeg_with_segment,
    jpeg_without_adobe,
    noisy,
    other,
    plain_tiff,
    png,
    png_16_bit_colour,
    png_16_bit_grey,
    png_with_text,
    rle_bomb,
    rows,
    saved,
    tiff_of_many_pages,
    tiff_of_many_tiles,
    turned,
)
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
