"""Stored values to a picture: rescaled to Hounsfield units, windowed or coloured, float32 0-255."""

import logging
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnClassifier.decoders import DECODER_ERRORS
from cnnClassifier.dicom import form as forms
from cnnClassifier.dicom.elements import DataSet, Element
from cnnClassifier.dicom.form import GREY, PALETTE, Form, read_form
from cnnClassifier.dicom.frames import Values, read_frame
from cnnClassifier.dicom.window import PRESETS, DicomFacts, Window
from cnnClassifier.errors import ImageError

Pixels = NDArray[np.float32]

MOST_PIXELS = 178_956_970  # a frame, where nobody says less: where Pillow too refuses a picture
STRETCH = (1, 99)  # percentiles that become black and white where nothing says what a value means

# What pydicom's decoders raise beside the errors of those that they call.
FRAME_ERRORS = (*DECODER_ERRORS, Image.DecompressionBombError, AttributeError, NotImplementedError, RuntimeError)


def describe(data: bytes, frame: int) -> DicomFacts:
    """See `dicom.describe`."""
    form, found = read_form(data)
    grey = form.photometric in GREY
    return DicomFacts(
        frames=form.frames,
        rows=form.rows,
        columns=form.columns,
        grey=grey,
        hounsfield=grey and _is_hounsfield(found.elements, frame),
        window=forms.own_window(found.elements, frame),
        default_window=_default_window(found.elements, frame) if grey else None,
    )


def decode_dicom(data: bytes, *, window: Window | None, frame: int, max_pixels: int | None) -> Pixels:
    """See `dicom.decode_dicom`."""
    form, found = read_form(data)
    if not 0 <= frame < form.frames:
        raise ImageError(f"there is no frame {frame}; this file has {form.frames}, counted from 0")
    limit = MOST_PIXELS if max_pixels is None else max_pixels
    if form.rows * form.columns > limit:
        raise ImageError(f"{form.columns} x {form.rows} pixels are more than the {limit:,} allowed")
    _silence()
    try:
        stored = read_frame(form, frame)
    except FRAME_ERRORS as error:
        # Without the decoder's message, which may quote patient data.
        raise ImageError(f"not a readable DICOM file: its pixel data is damaged ({type(error).__name__})") from None
    if form.photometric in GREY:
        return _grey(stored, form, found, window, frame)
    if form.photometric == PALETTE:
        return _from_palette(stored, found)
    return _to_bytes(stored, form.stored)


def _silence() -> None:
    """Keep pydicom from logging and warning: it quotes the values that it finds odd."""
    logger = logging.getLogger("pydicom")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    warnings.filterwarnings("ignore", module=r"pydicom\.")


def _grey(stored: Values, form: Form, found: DataSet, window: Window | None, frame: int) -> Pixels:
    elements = found.elements
    empty = _padding(stored, elements, form)
    values = _modality_values(stored, elements, form, frame)
    window = window or _default_window(elements, frame)
    if window is not None:
        pixels = window.apply(values)
    elif form.allocated == 8 and not form.signed and values.dtype == np.uint8:
        pixels = _to_bytes(values, form.stored)
    else:
        pixels = _stretch(values, values[~empty] if empty is not None else values)
    if form.photometric == "MONOCHROME1":
        pixels = 255 - pixels
    if empty is not None:
        pixels[empty] = 0
    return pixels


def _default_window(elements: dict[int, Element], frame: int) -> Window | None:
    own = forms.own_window(elements, frame)
    if own is None and _is_hounsfield(elements, frame):
        return PRESETS["wide"]
    return own


def _is_hounsfield(elements: dict[int, Element], frame: int) -> bool:
    return forms.MODALITY_LUT not in elements and forms.is_hounsfield(elements, frame)


def _padding(stored: Values, elements: dict[int, Element], form: Form) -> NDArray[np.bool_] | None:
    limits = forms.padding(elements, form.signed)
    if limits is None:
        return None
    empty: NDArray[np.bool_] = (stored >= limits[0]) & (stored <= limits[1])
    return empty


def _modality_values(stored: Values, elements: dict[int, Element], form: Form, frame: int) -> Values:
    """Values in the units of the file; as they are stored, and of the same type, if nothing rescales them."""
    table = forms.modality_lut(elements, form.signed)
    if table is not None:
        return _look_up(stored, *table).astype(np.float32)
    rescale = forms.rescale(elements, frame)
    if rescale is None:
        return stored
    with np.errstate(over="ignore", invalid="ignore"):
        values = (stored.astype(np.float64) * rescale[0] + rescale[1]).astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError("a DICOM file whose rescale gives values beyond all numbers")
    return values


def _look_up(stored: Values, first: int, table: Element) -> Values:
    entries = _entries(table)
    return entries[np.clip(stored.astype(np.int64) - first, 0, len(entries) - 1)]


def _entries(table: Element, octets: bool = False) -> Values:
    kind = np.dtype("u1" if octets else f"{table.order}u2")
    entries = np.frombuffer(table.value, kind, count=len(table.value) // kind.itemsize)
    if not len(entries):
        raise ImageError("a DICOM file with an empty table of values")
    return entries


def _from_palette(stored: Values, found: DataSet) -> Pixels:
    elements = found.elements
    if not {*forms.PALETTE_FORMS, *forms.PALETTES} <= set(elements):
        raise ImageError("a DICOM file without the palette that its colours need")
    channels = []
    for form_tag, table_tag in zip(forms.PALETTE_FORMS, forms.PALETTES, strict=True):
        count, first, bits = forms.shorts(elements[form_tag], 3)
        table = elements[table_tag]
        entries = _entries(table, octets=bits == 8 and len(table.value) == count)
        chosen = entries[np.clip(stored[..., 0].astype(np.int64) - first, 0, len(entries) - 1)]
        channels.append(_to_bytes(chosen, 16 if bits == 16 else 8))
    return np.stack(channels, axis=-1)


def _to_bytes(values: Values, bits: int) -> Pixels:
    """Unsigned values of so many bits as 0-255."""
    pixels: Pixels = np.clip(values.astype(np.float32) * np.float32(255 / (2**bits - 1)), 0, 255)
    return pixels


def _stretch(values: Values, counted: Values) -> Pixels:
    """Values with the percentiles of those that count at black and white; black if these are all one."""
    floor, ceiling = np.percentile(counted, STRETCH) if counted.size else (0.0, 0.0)
    if ceiling <= floor:
        return np.zeros(values.shape, np.float32)
    return Window((floor + ceiling) / 2, max(1.0, ceiling - floor)).apply(values.astype(np.float32))
