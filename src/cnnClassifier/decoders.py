"""What damaged and hostile pictures do to Pillow's decoders, whoever calls them."""

import struct
import zlib

from cnnClassifier.errors import ImageError

# What a damaged or hostile file makes Pillow's decoders raise.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
)

# A JPEG is decoded as often as it has scans, each over the whole picture. Encoders write up to about 12.
MOST_SCANS = 100
SCAN = b"\xff\xda"
JPEG = b"\xff\xd8"  # how each begins: Pillow calls one with an index of further pictures MPO


def check_scans(jpeg: bytes) -> None:
    """Raise ImageError for a JPEG with so many scans that decoding it takes minutes."""
    if jpeg.count(SCAN) > MOST_SCANS:
        raise ImageError(f"not a readable image: a JPEG with more than {MOST_SCANS} scans")
