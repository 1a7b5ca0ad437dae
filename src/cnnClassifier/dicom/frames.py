"""One frame's stored values, shape (rows, columns, 1 or 3), whatever the transfer syntax."""

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import UID

from cnnClassifier.decoders import check_scans
from cnnClassifier.dicom import gdcm_worker
from cnnClassifier.dicom.coded import DAMAGED, read_coded
from cnnClassifier.dicom.form import Form
from cnnClassifier.errors import ImageError

Values = NDArray[Any]

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
RLE = "1.2.840.10008.1.2.5"
# JPEG of 8 bits and JPEG 2000, which Pillow decodes.
PILLOW = {f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 90, 91)}
# JPEG lossless and JPEG-LS, which only GDCM decodes.
GDCM = {f"1.2.840.10008.1.2.4.{end}" for end in (57, 70, 80, 81)}
JPEG_LS = {f"1.2.840.10008.1.2.4.{end}" for end in (80, 81)}

SECONDS = 60  # that a decoding process may take on a machine with other work


def read_frame(form: Form, frame: int) -> Values:
    """The values of a frame that exists, RGB if they are colours; ImageError, or one of pydicom's and Pillow's."""
    if form.syntax in NATIVE:
        return _with_pydicom(form, form.pixels.value, frame, form.frames)
    if form.syntax not in {RLE, *PILLOW, *GDCM} or not form.pixels.undefined:
        raise ImageError("a DICOM file with pixel data compressed in a way that this does not read")
    encoded = get_frame(bytes(form.pixels.value), frame, number_of_frames=form.frames)
    if form.syntax == RLE:
        return _to_rgb(_unpack_rle(encoded, form), form)
    precision = _check_coded(encoded, form)
    if form.syntax in PILLOW:
        check_scans(encoded)
        return _with_pydicom(form, _wrapped(encoded), 0, 1)
    return _to_rgb(_with_gdcm(encoded, form, precision), form)


def _check_coded(encoded: bytes, form: Form) -> int:
    """The bits a sample of a compressed frame that is as large as the data set says."""
    coded = read_coded(encoded)
    if (coded.columns, coded.rows, coded.samples) != (form.columns, form.rows, form.samples):
        raise ImageError("a DICOM file whose compressed pixel data has another size than the file says")
    if not 1 <= coded.precision <= form.allocated:
        raise ImageError(DAMAGED)
    return coded.precision


def _with_pydicom(form: Form, pixels: memoryview | bytes, frame: int, frames: int) -> Values:
    options: dict[str, Any] = {
        "rows": form.rows,
        "columns": form.columns,
        "number_of_frames": frames,
        "samples_per_pixel": form.samples,
        "photometric_interpretation": form.photometric,
        "planar_configuration": int(form.planar),
        "bits_allocated": form.allocated,
        "bits_stored": form.stored,
        "pixel_representation": int(form.signed),
        "pixel_keyword": "PixelData",
        "pixel_vr": "OB" if form.allocated == 8 and not _swaps(form) else "OW",
    }
    plugin = "" if form.syntax in NATIVE else "pillow"
    values, _ = get_decoder(UID(form.syntax)).as_array(pixels, index=frame, decoding_plugin=plugin, **options)
    return np.asarray(values).reshape(form.rows, form.columns, form.samples)


def _swaps(form: Form) -> bool:
    """Whether 8-bit samples were written as 16-bit words of the other order: big endian files say so by their VR."""
    return form.pixels.order == ">" and form.pixels.vr == b"OW"


def _wrapped(encoded: bytes) -> bytes:
    """One frame as encapsulated pixel data: an empty table of offsets and one fragment."""
    encoded += bytes(len(encoded) % 2)
    return b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0" + len(encoded).to_bytes(4, "little") + encoded


def _unpack_rle(encoded: bytes, form: Form) -> Values:
    """Run-length code: one segment a byte of each sample, the most significant first.

    Not pydicom's, which lets a segment grow to 64 times its length before it looks how long it should be.
    """
    width = form.allocated // 8
    header = np.frombuffer(encoded[:64], "<u4")
    count = int(header[0])
    if count != form.samples * width:
        raise ImageError(DAMAGED)
    edges = [*header[1 : count + 1].tolist(), len(encoded)]
    size = (form.rows * form.columns, 1)
    planes = [Image.frombytes("L", size, encoded[start:end], "packbits", "L") for start, end in pairwise(edges)]
    octets = np.stack([np.asarray(plane)[0] for plane in planes]).reshape(form.samples, width, -1)
    words = np.ascontiguousarray(octets.transpose(2, 0, 1)).view(f">{'i' if form.signed else 'u'}{width}")
    return _drop_unused_bits(words.reshape(form.rows, form.columns, form.samples), form.stored)


def _with_gdcm(encoded: bytes, form: Form, precision: int) -> Values:
    allocated = 8 if precision <= 8 else 16
    kind = np.dtype(f"<{'i' if form.signed else 'u'}{allocated // 8}")
    numbers = (form.columns, form.rows, form.samples, allocated, precision, int(form.signed))
    command = [sys.executable, "-I", "-B", gdcm_worker.__file__, form.syntax, *map(str, numbers), form.photometric]
    try:
        done = subprocess.run(
            command,
            input=encoded,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImageError("a DICOM file whose pixel data takes too long to decode") from None
    if done.returncode or len(done.stdout) != form.rows * form.columns * form.samples * kind.itemsize:
        raise ImageError(DAMAGED)
    values = np.frombuffer(done.stdout, kind).reshape(form.rows, form.columns, form.samples)
    return _drop_unused_bits(values, precision if form.syntax in JPEG_LS else form.stored)


def _drop_unused_bits(values: Values, stored: int) -> Values:
    """Values of which only the lower bits count, the highest of these being the sign if they are signed."""
    shift = max(0, 8 * values.itemsize - stored)
    return values if shift == 0 else np.right_shift(np.left_shift(values, shift), shift)


def _to_rgb(values: Values, form: Form) -> Values:
    if form.photometric.startswith("YBR_FULL"):
        return np.asarray(convert_color_space(values, form.photometric, "RGB"))
    return values
