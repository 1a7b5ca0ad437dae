"""Encoded images to ask a server about."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PICTURES = 16


def pictures(folder: Path | None) -> list[bytes]:
    """Encoded images: some of a folder's, spread over it, or drawn ones of a CT slice's size and about its entropy."""
    if folder is None:
        return [drawn(seed) for seed in range(PICTURES)]
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg"))
    return [file.read_bytes() for file in files[:: max(1, len(files) // PICTURES)][:PICTURES]]


def drawn(seed: int) -> bytes:
    """A bright ellipse of blurred noise on black, 512 x 512, PNG."""
    noise = np.random.default_rng(seed).integers(0, 256, (512, 512), dtype=np.uint8)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    picture = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1))) * (
        (x / 0.9) ** 2 + (y / 0.7) ** 2 < 1
    )
    encoded = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()
