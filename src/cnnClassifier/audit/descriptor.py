"""What stands for a picture when pictures are compared: small, fixed, and needing no weights.

A histogram of gradient directions in each of 4 x 4 cells (Dalal and Triggs 2005) of the body-cropped picture,
of its mirror image, and of the picture as it is. The descriptor proposes pairs; alignment.py decides on them.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cnnClassifier.batching import map_in_threads
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.files import naming_file
from cnnClassifier.preprocessing import Pixels, body_box, decode, resize, stretch_contrast, to_grey

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE = 128  # pixels: vessels of a chest are still there, a pair is aligned in milliseconds
CELLS, DIRECTIONS = 4, 9
LENGTH = CELLS * CELLS * DIRECTIONS
SMOOTHING = 1.0  # pixels: noise has gradients in every direction
COMPONENTS = 128  # more found no further pair on the chest CT, 64 lost some (docs/audit.md)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sketches:
    """A picture of each image, (n, SIDE, SIDE) grey 0-255, body-cropped, and three descriptors, (n, LENGTH) each."""

    pictures: Bytes
    body: Floats
    mirrored: Floats
    frame: Floats


def sketch_images(records: Sequence[ImageRecord], images: Path, scratch: Path) -> Sketches:
    """Sketch every image, in parallel, with progress; the pictures lie in a file in `scratch`, not in memory.

    OSError where the disk has no room for it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    pictures = _file_of_pictures(scratch / "pictures.npy", len(records))
    described = np.empty((3, len(records), LENGTH), np.float32)

    def sketch(row: int) -> None:
        grey = to_grey(decode((images / records[row].path).read_bytes()))
        picture = body_picture(grey)
        pictures[row] = picture.round()
        for kind, view in enumerate((picture, picture[:, ::-1], resize(grey, SIDE, "box")[..., 0])):
            described[kind, row] = gradient_histogram(view)

    for _ in map_in_threads(sketch, range(len(records)), "sketch"):
        pass
    return Sketches(pictures, *described)


def _file_of_pictures(path: Path, count: int) -> Bytes:
    """A file for `count` pictures, written to as if it were memory.

    Its room is taken at once: a file with holes in it would end the process (SIGBUS) when the disk is full.
    """
    with naming_file(path):
        pictures: Bytes = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE))
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return pictures


def body_picture(grey: Pixels) -> Pixels:
    """The body of a picture (height, width, 1), its 1st to 99th percentile stretched to 0-255, (SIDE, SIDE)."""
    top, bottom, left, right = body_box(grey[..., 0])
    picture: Pixels = resize(stretch_contrast(grey[top:bottom, left:right], 1, 99), SIDE, "bilinear")[..., 0]
    return picture


def gradient_histogram(picture: Pixels) -> Floats:
    """Directions of the gradients in each cell of a picture (SIDE, SIDE), weighted by their strength: (LENGTH,).

    A direction is shared between the two nearest bins; the root keeps one strong edge from drowning the rest.
    """
    rows, columns = np.gradient(ndimage.gaussian_filter(picture, SMOOTHING))
    strength = np.hypot(rows, columns)
    position = (np.arctan2(rows, columns) % np.pi) / np.pi * DIRECTIONS
    lower = np.floor(position)
    share = position - lower
    cell = np.repeat(np.arange(CELLS), SIDE // CELLS)
    cells = (cell[:, None] * CELLS + cell[None, :]) * DIRECTIONS
    histogram = np.zeros(LENGTH)
    for bins, weights in ((lower, strength * (1 - share)), (lower + 1, strength * share)):
        where = cells + bins.astype(int) % DIRECTIONS
        histogram += np.bincount(where.ravel(), weights.ravel(), LENGTH)
    return np.sqrt(histogram).astype(np.float32)


def compact(reference: Floats, *others: Floats) -> list[Floats]:
    """Descriptors as unit vectors of at most COMPONENTS numbers, in the coordinates of `reference`; cosines compare.

    Standardised, rotated to principal components, each divided by the root of its deviation: half-way to
    whitening, since the first components say how large and bright a body is, not whose it is.
    """
    mean, deviation = reference.mean(axis=0), reference.std(axis=0) + 1e-6
    scaled = ((reference - mean) / deviation).astype(np.float64)
    variances, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    leading = np.argsort(variances)[::-1][: min(COMPONENTS, len(reference))]
    leading = leading[variances[leading] > 1e-9]
    projection = axes[:, leading] / variances[leading] ** 0.25
    return [_unit((descriptor - mean) / deviation @ projection) for descriptor in (reference, *others)]


def _unit(vectors: NDArray[np.float64]) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), np.float32)
    return unit
