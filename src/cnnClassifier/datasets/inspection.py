"""Look at one image file: can it be decoded whole, what is it, and what are its hashes."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnnClassifier.dicom import describe, is_dicom
from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import FORMATS, decode_stored


@dataclass(frozen=True)
class ImageFacts:
    """What is read off one image file; see `manifest.ImageRecord` for the fields. `frames`: of a DICOM file."""

    sha256: str
    pixel_hash: str
    width: int
    height: int
    mode: str
    format: str
    bytes: int
    frames: int = 1


def inspect_image(path: Path) -> ImageFacts:
    """Decode a file completely and describe it; raise ImageError with the reason when it can't be.

    A picture that Pillow would warn of as a decompression bomb (89 million pixels) counts as unreadable.
    """
    # A pipe is listed like a file, and reading one waits for ever.
    if path.exists() and not path.is_file():
        raise ImageError("not a regular file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from None
    pixels = decode_stored(data, max_pixels=Image.MAX_IMAGE_PIXELS)
    mode, kind, frames = _mode_format_and_frames(data)
    return ImageFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        pixel_hash=hash_pixels(pixels),
        width=pixels.shape[1],
        height=pixels.shape[0],
        mode=mode,
        format=kind,
        bytes=len(data),
        frames=frames,
    )


def hash_pixels(pixels: np.ndarray) -> str:
    """sha256 of a decoded picture, shape (height, width, 1 or 3), rounded to 8 bits.

    A grey picture stored as RGB hashes as grey, so that the same scan saved in
    two modes is one picture.
    """
    values = pixels if pixels.dtype == np.uint8 else np.rint(pixels).astype(np.uint8)
    if (
        values.shape[-1] == 3
        and np.array_equal(values[..., 0], values[..., 1])
        and np.array_equal(values[..., 1], values[..., 2])
    ):
        values = values[..., :1]
    digest = hashlib.sha256(f"{values.shape}".encode())
    digest.update(np.ascontiguousarray(values).data)  # not copied where it lies in a row already
    return digest.hexdigest()


def _mode_format_and_frames(data: bytes) -> tuple[str, str, int]:
    if is_dicom(data):
        facts = describe(data)
        return ("L" if facts.grey else "RGB"), "DICOM", facts.frames
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return image.mode, image.format or "", 1  # a TIFF's pages are counted by walking through them all
