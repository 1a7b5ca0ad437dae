"""Many pictures on one page, for people to look at."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

TILE, CAPTION = 224, 16  # pixels: side of a tile, height of the line under it
PAPER, INK = 255, 0


def contact_sheet(
    images: Sequence[np.ndarray], columns: int, labels: Sequence[str] | None = None, tile: int = TILE
) -> Image.Image:
    """Lay 8-bit images, grey (h, w) or RGB (h, w, 3), out in rows of `columns`, each with its label below.

    Each is scaled to fit a square of `tile` pixels, its shape kept. Raises ValueError when there is
    nothing to show, when columns < 1, or when labels and images differ in number.
    """
    if not images or columns < 1:
        raise ValueError(f"need at least one image and one column. Received: {len(images)} and {columns}")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"need a label for each image. Received: {len(labels)} for {len(images)}")
    step = tile + (CAPTION if labels is not None else 0)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * step), (PAPER,) * 3)
    pen = ImageDraw.Draw(sheet)
    for number, image in enumerate(images):
        left, top = number % columns * tile, number // columns * step
        small = _fit(image, tile)
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        if labels is not None:
            pen.text((left + 3, top + tile + 2), labels[number], fill=(INK,) * 3)
    return sheet


def _fit(image: np.ndarray, tile: int) -> Image.Image:
    picture = Image.fromarray(image).convert("RGB")
    scale = tile / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
