"""Small pictures for tests: encoded, on disk, and laid out as class folders."""

import io
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("benign", "malignant", "normal")
SPLITS = ("train", "valid", "test")


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(seed: int, size: int = 16) -> Image.Image:
    """A grey picture that no other seed gives."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8))


def body(height: int = 200, width: int = 300) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A chest as the crop sees it, float32 0-255: a bright ellipse with dark lungs, the table's arc below it.

    With the ellipse's top, bottom, left and right.
    """
    rows, columns = np.mgrid[:height, :width]
    down, across = (rows - 0.45 * height) / (0.3 * height), (columns - 0.5 * width) / (0.35 * width)
    inside = down**2 + across**2 <= 1
    picture = np.where(inside, 180.0, 0.0)
    for side in (-0.45, 0.45):
        picture[(down / 0.6) ** 2 + ((across - side) / 0.3) ** 2 <= 1] = 5
    picture[(np.abs(rows - 0.86 * height - 8 * across**2) < 2) & (np.abs(across) < 1.2)] = 120
    filled_rows, filled_columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = (filled_rows[0], filled_rows[-1] + 1, filled_columns[0], filled_columns[-1] + 1)
    return picture.astype(np.float32), tuple(int(edge) for edge in box)


def write_picture(file: Path, seed: int, kind: str = "PNG") -> Path:
    """A picture file, in folders made as needed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode(noise(seed), kind))
    return file


def write_tree(root: Path, splits: Iterable[str] = SPLITS, classes: Iterable[str] = CLASSES, each: int = 2) -> Path:
    """Class folders below split folders, `each` pictures in every one, no two alike; splits [""]: none."""
    for folder, (split, label) in enumerate(product(splits, classes)):
        for number in range(each):
            write_picture(root / split / label / f"p{folder:03d}_{number}.png", seed=folder * each + number)
    return root
