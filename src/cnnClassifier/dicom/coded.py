"""What a compressed frame says of itself. A decoder takes this for true, so it must be what the data set says."""

import struct
from dataclasses import dataclass

from cnnClassifier.errors import ImageError

# Start of frame of JPEG in all its processes, and of JPEG-LS; what lies between them in number are other markers.
JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
JPEG_SCAN, WITHOUT_LENGTH = 0xDA, frozenset({0x01, *range(0xD0, 0xD9)})
CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000: start of codestream, size
DAMAGED = "not a readable DICOM file: its compressed pixel data is damaged"


@dataclass(frozen=True)
class Coded:
    """Columns, rows, samples a pixel, and bits a sample."""

    columns: int
    rows: int
    samples: int
    precision: int


def read_coded(frame: bytes) -> Coded:
    """The size of a frame of JPEG, JPEG-LS or JPEG 2000 by its own words; ImageError if it is none of them."""
    try:
        return _jpeg_2000(frame) if frame.startswith(CODESTREAM) else _jpeg(frame)
    except (struct.error, IndexError):
        raise ImageError(DAMAGED) from None


def _jpeg(frame: bytes) -> Coded:
    if not frame.startswith(b"\xff\xd8"):
        raise ImageError(DAMAGED)
    position = 2
    while True:
        marker = frame[position + 1]
        if frame[position] != 0xFF or marker == JPEG_SCAN:
            raise ImageError(DAMAGED)
        if marker == 0xFF:  # fill
            position += 1
        elif marker in WITHOUT_LENGTH:
            position += 2
        elif marker in JPEG_FRAMES:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, position + 4)
            return Coded(columns, rows, samples, precision)
        else:
            position += 2 + struct.unpack_from(">H", frame, position + 2)[0]


def _jpeg_2000(frame: bytes) -> Coded:
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    samples, depth = struct.unpack_from(">HB", frame, 40)[0], frame[42]
    return Coded(right - left, bottom - top, samples, (depth & 0x7F) + 1)
