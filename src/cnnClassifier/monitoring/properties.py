"""What can be measured of any picture in a few milliseconds: size, grey levels, sharpness, noise. Pure NumPy.

None of it shows a picture: it is what another scanner, export or display window changes.
"""

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.preprocessing import Stored, to_grey

PROPERTIES = ("width", "height", "mean", "contrast", "black", "white", "sharpness", "noise")

SAMPLED = 512  # pixels of a side, at most, that grey levels are taken from: evenly spread, and in the middle
TAIL = 4  # grey levels from the ends of the scale that still count as black or white


def measure(pixels: Stored) -> tuple[float, ...]:
    """`PROPERTIES` of a decoded picture, 0-255, shape (height, width, 1 or 3).

    Width and height in pixels; mean and contrast (standard deviation) in grey levels; black and white are shares of
    the pixels; sharpness is the standard deviation of the Laplacian, noise Immerkær's estimate (1996, "Fast noise
    variance estimation"), both in grey levels, of the picture's middle at its own resolution.
    """
    height, width = pixels.shape[:2]
    spread = to_grey(pixels[:: -(-height // SAMPLED), :: -(-width // SAMPLED)])
    middle = to_grey(_middle(pixels))[..., 0]
    return (
        float(width),
        float(height),
        float(spread.mean()),
        float(spread.std()),
        float((spread <= TAIL).mean()),
        float((spread >= 255 - TAIL).mean()),
        _sharpness(middle),
        _noise(middle),
    )


def _middle(pixels: Stored) -> Stored:
    top, left = (max(0, (side - SAMPLED) // 2) for side in pixels.shape[:2])
    return pixels[top : top + SAMPLED, left : left + SAMPLED]


def _sharpness(grey: NDArray[np.float32]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).std())


def _noise(grey: NDArray[np.float32]) -> float:
    """The mean absolute answer to a mask that neither edges nor slopes excite, as the deviation of normal noise."""
    if min(grey.shape) < 3:
        return 0.0
    rows = grey[:-2] - 2 * grey[1:-1] + grey[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.sqrt(np.pi / 2) * np.abs(both).mean() / 6)
