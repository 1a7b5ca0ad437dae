"""Pictures small enough to stand in a page: reduced, encoded, and written into the address itself."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import decode

SIDE = 160  # pixels: the longer side of a thumbnail
QUALITY = 82  # of JPEG: some 5 kB a thumbnail


def thumbnail(file: Path, side: int = SIDE) -> str | None:
    """A picture as a `data:` address, its shape kept, never enlarged; None for a file that cannot be read."""
    try:
        pixels = decode(file.read_bytes())
    except (OSError, ImageError):
        return None
    values = np.rint(pixels).astype(np.uint8)
    image = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
