"""A class map as a picture over the original: in its geometry, the crop undone.

Rows run down, columns to the right; a box is top, bottom, left, right in pixels of the original, as
`preprocessing.kept_box` gives it. No network here.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]
Relevance = NDArray[np.float32]

LARGEST_SIDE = 1024  # of a drawn overlay: a browser scales it, and a bigger one holds no more
STEPS = 64  # of relevance in a drawn overlay

# Every 16th step of matplotlib's "inferno" (by Nathaniel J. Smith, Stefan van der Walt and Eric Firing, CC0), in which
# equal steps look equally large, also in grey and to the colour-blind. Straight lines between come within 7 of 255.
INFERNO = np.array(
    [
        (0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110), (113, 25, 110), (138, 34, 106),
        (163, 44, 97), (188, 55, 84), (210, 70, 68), (228, 90, 49), (241, 115, 29), (249, 142, 9), (252, 172, 17),
        (249, 203, 53), (242, 234, 105), (252, 255, 164),
    ],
    dtype=np.float32,
)  # fmt: skip


def relevance(class_map: NDArray[np.float32]) -> Relevance:
    """What speaks for the class, as a share of the most that does: 0-1, shape (h, w); 0 everywhere if nothing does.

    A place counts with its neighbours: evidence for one thing often lies in several places (docs/explain.md).
    """
    positive = np.maximum(_smooth(class_map.astype(np.float32)), 0)
    largest = positive.max(initial=0)
    return positive / largest if largest > 0 else positive


def in_picture(relevance: Relevance, box: Box, shape: tuple[int, int]) -> Relevance:
    """Relevance (h, w) of what the network saw, drawn smoothly into its box of a picture (H, W); 0 outside the box."""
    top, bottom, left, right = box
    picture = np.zeros(shape, dtype=np.float32)
    picture[top:bottom, left:right] = _resize(relevance, (bottom - top, right - left))
    return picture


def as_png(relevance: Relevance, box: Box, shape: tuple[int, int], largest_side: int = LARGEST_SIDE) -> bytes:
    """The same as a PNG to lay over the picture: colour and opacity both say how relevant a place is.

    It has the picture's proportions (to the pixel), and its size up to `largest_side` on the longer side.
    """
    factor = min(1.0, largest_side / max(shape))
    small = max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
    drawn = in_picture(relevance, _scaled(box, shape, small), small)
    image = Image.fromarray((drawn * (STEPS - 1)).round().astype(np.uint8))
    # A palette with its own opacities: a sixth of the bytes and of the time of four channels.
    palette = colours(np.linspace(0, 1, STEPS, dtype=np.float32))
    image.putpalette(palette[:, :3].tobytes())
    encoded = io.BytesIO()
    image.save(encoded, "PNG", transparency=palette[:, 3].tobytes())
    return encoded.getvalue()


def colours(relevance: Relevance) -> NDArray[np.uint8]:
    """RGBA bytes (..., 4) of relevance 0-1: the inferno scale, opaque where it is 1, transparent where it is 0."""
    stops = np.linspace(0, 1, len(INFERNO))
    channels = [np.interp(relevance, stops, INFERNO[:, channel]) for channel in range(3)]
    return np.stack([*channels, relevance * 255], axis=-1).round().astype(np.uint8)


def peak(relevance: Relevance, box: Box) -> tuple[int, int] | None:
    """Row and column, in pixels of the picture, of the middle of the most relevant place; None if none is.

    The first of several that are equally relevant, in reading order.
    """
    if not relevance.any():
        return None
    row, column = np.unravel_index(relevance.argmax(), relevance.shape)
    return _middle(int(row), relevance.shape[0], box[:2]), _middle(int(column), relevance.shape[1], box[2:])


def _smooth(values: Relevance) -> Relevance:
    """Each value's mean with its neighbours', weighted 1-2-1 down and across; the border is repeated."""
    for _ in range(2):  # down, then across
        padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
        values = ((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4).T.astype(np.float32)
    return values


def _middle(place: int, places: int, interval: tuple[int, int]) -> int:
    start, stop = interval
    return start + int((place + 0.5) * (stop - start) / places)


def _resize(relevance: Relevance, shape: tuple[int, int]) -> Relevance:
    # Bicubic overshoots.
    resized = Image.fromarray(relevance).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized).clip(0, 1)


def _scaled(box: Box, shape: tuple[int, int], small: tuple[int, int]) -> Box:
    """A box of a picture in the pixels of a smaller one, at least one pixel wide and high."""
    (top, bottom), (left, right) = (
        _interval(box[2 * axis], box[2 * axis + 1], small[axis] / shape[axis], small[axis]) for axis in range(2)
    )
    return top, bottom, left, right


def _interval(start: int, stop: int, factor: float, limit: int) -> tuple[int, int]:
    first = min(round(start * factor), limit - 1)
    return first, max(round(stop * factor), first + 1)
