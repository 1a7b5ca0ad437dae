"""What a data set says of its picture, as checked numbers. No other element is read, and no message quotes one."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cnnClassifier.dicom.elements import DataSet, Element, find_elements
from cnnClassifier.dicom.window import Window
from cnnClassifier.errors import ImageError

MODALITY, SAMPLES, PHOTOMETRIC, PLANAR = 0x00080060, 0x00280002, 0x00280004, 0x00280006
FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
ALLOCATED, STORED, SIGNED = 0x00280100, 0x00280101, 0x00280103
PADDING, PADDING_LIMIT = 0x00280120, 0x00280121
CENTER, WIDTH, INTERCEPT, SLOPE, RESCALE_TYPE = 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281054
PALETTE_FORMS, PALETTES = (0x00281101, 0x00281102, 0x00281103), (0x00281201, 0x00281202, 0x00281203)
MODALITY_LUT, LUT_FORM, LUT_DATA = 0x00283000, 0x00283002, 0x00283006
SHARED, PER_FRAME, FRAME_RESCALE, FRAME_WINDOW = 0x52009229, 0x52009230, 0x00289145, 0x00289132
PIXELS = 0x7FE00010

WANTED = frozenset({
    MODALITY, SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS, ALLOCATED, STORED, SIGNED, PADDING, PADDING_LIMIT,
    CENTER, WIDTH, INTERCEPT, SLOPE, RESCALE_TYPE, *PALETTE_FORMS, *PALETTES, MODALITY_LUT, SHARED, PER_FRAME, PIXELS,
})  # fmt: skip

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"


@dataclass(frozen=True)
class Form:
    """How the pixels of a file are laid out, checked: 1 or 3 samples of 8, 16 or 32 bits, `stored` of them in use."""

    syntax: str
    pixels: Element
    frames: int
    rows: int
    columns: int
    samples: int
    photometric: str
    planar: bool
    allocated: int
    stored: int
    signed: bool


def read_form(data: bytes) -> tuple[Form, DataSet]:
    """The layout of a file's pixels, and its other elements of interest; ImageError for what is no picture."""
    found = find_elements(data, WANTED)
    elements = found.elements
    if PIXELS not in elements or not len(elements[PIXELS].value):
        raise ImageError("a DICOM file without pixel data")
    form = Form(
        syntax=found.syntax,
        pixels=elements[PIXELS],
        frames=int(number(elements, FRAMES, 1)),
        rows=integer(elements, ROWS),
        columns=integer(elements, COLUMNS),
        samples=integer(elements, SAMPLES, 1),
        photometric=text(elements, PHOTOMETRIC) or "MONOCHROME2",
        planar=integer(elements, PLANAR, 0) == 1,
        allocated=integer(elements, ALLOCATED),
        stored=integer(elements, STORED, integer(elements, ALLOCATED)),
        signed=integer(elements, SIGNED, 0) == 1,
    )
    _check(form)
    return form, found


def _check(form: Form) -> None:
    colours = {1: (*GREY, PALETTE), 3: COLOURS}.get(form.samples, ())
    if not (form.rows and form.columns and form.frames >= 1):
        raise ImageError("a DICOM file whose picture has no size")
    if form.allocated not in (8, 16, 32) or not 1 <= form.stored <= form.allocated:
        raise ImageError("a DICOM file with samples of another depth than 8, 16 or 32 bits")
    if form.photometric not in colours:
        raise ImageError("a DICOM file with colours of a kind that this does not read")


def rescale(elements: dict[int, Element], frame: int) -> tuple[float, float] | None:
    """Slope and intercept of a frame, both finite and the slope not 0; None if the file has none."""
    for level in levels(elements, frame, FRAME_RESCALE):
        if SLOPE in level or INTERCEPT in level:
            slope, intercept = number(level, SLOPE, 1), number(level, INTERCEPT, 0)
            if slope == 0:
                raise ImageError("a DICOM file whose rescale makes all values one")
            return slope, intercept
    return None


def is_hounsfield(elements: dict[int, Element], frame: int) -> bool:
    """Whether the rescaled values are Hounsfield units: those of a CT are, unless the file says otherwise."""
    return (
        text(elements, MODALITY) == "CT"
        and rescale(elements, frame) is not None
        and text(elements, RESCALE_TYPE) in ("", "HU", "US")  # US: unspecified
    )


def own_window(elements: dict[int, Element], frame: int) -> Window | None:
    """The first window that the file proposes; None without one, or if it is none: no number, or narrower than 1."""
    for level in levels(elements, frame, FRAME_WINDOW):
        if CENTER in level and WIDTH in level:
            try:
                return Window(number(level, CENTER), number(level, WIDTH))
            except (ImageError, ValueError):
                return None
    return None


def modality_lut(elements: dict[int, Element], signed: bool) -> tuple[int, Element] | None:
    """The first value that the table of modality values maps, `signed` as stored ones are, and the table.

    None if there is no table.
    """
    if MODALITY_LUT not in elements:
        return None
    for item in elements[MODALITY_LUT].items():
        parts = item.find((LUT_FORM, LUT_DATA))
        if LUT_FORM in parts and LUT_DATA in parts:
            return shorts(parts[LUT_FORM], 3, signed)[1], parts[LUT_DATA]
    raise ImageError("a DICOM file with a table of values that is none")


def padding(elements: dict[int, Element], signed: bool) -> tuple[int, int] | None:
    """Least and greatest stored value that fills what was not scanned; None if there is no such value."""
    if PADDING not in elements:
        return None
    first = shorts(elements[PADDING], 1, signed)[0]
    last = shorts(elements[PADDING_LIMIT], 1, signed)[0] if PADDING_LIMIT in elements else first
    return min(first, last), max(first, last)


def levels(elements: dict[int, Element], frame: int, group: int) -> Iterator[dict[int, Element]]:
    """The places where a frame's numbers may stand, the most special first: its own, the frames' shared, the file's."""
    wanted = (CENTER, WIDTH, INTERCEPT, SLOPE)
    for tag, index in ((PER_FRAME, frame), (SHARED, 0)):
        if tag in elements:
            for position, item in enumerate(elements[tag].items()):
                if position == index:
                    yield from (inner.find(wanted) for part in item.find((group,)).values() for inner in part.items())
                    break
    yield elements


def integer(elements: dict[int, Element], tag: int, default: int | None = None) -> int:
    """An unsigned short."""
    if tag not in elements or not len(elements[tag].value):
        if default is None:
            raise ImageError("a DICOM file that does not say how large its picture is")
        return default
    return shorts(elements[tag], 1)[0]


def shorts(element: Element, count: int, signed: bool = False) -> tuple[int, ...]:
    """The first `count` 16-bit integers of a value."""
    try:
        return struct.unpack_from(f"{element.order}{count}{'h' if signed else 'H'}", element.value)
    except struct.error:
        raise ImageError("a DICOM file with a number that is none") from None


def number(elements: dict[int, Element], tag: int, default: float | None = None) -> float:
    """The first of the decimal numbers that a value spells; finite."""
    spelt = text(elements, tag)
    if not spelt and default is not None:
        return default
    try:
        value = float(spelt)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ImageError("a DICOM file with a number that is none")
    return value


def text(elements: dict[int, Element], tag: int) -> str:
    """The first of the words that a value spells; empty if it is absent."""
    if tag not in elements:
        return ""
    return bytes(elements[tag].value[:1024]).decode("latin-1").split("\\")[0].strip("\0 ")
