"""Planes through the patient, distances to shapes in them, and paint: no anatomy here.

Positions are millimetres: x to the patient's left (the right of the picture), y to the
back (down), z to the head. A distance is negative inside its shape. Values painted are Hounsfield units.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # 32 bits wide where a whole plane is held
Box = tuple[slice, slice]

LARGEST_EXPONENT = 80.0  # float32 overflows at e^88


@dataclass(frozen=True)
class View:
    """Where the picture's square lies in the patient: its centre (mm), pixel size (mm) and tilt (radians)."""

    pixels: int
    spacing: float
    centre: tuple[float, float]
    tilt: float

    def plane(self, z: float) -> "Plane":
        """The mm coordinates of every pixel at height z."""
        steps = (np.arange(self.pixels, dtype=np.float32) - (self.pixels - 1) / 2) * self.spacing
        return Plane(steps.astype(np.float32), steps.astype(np.float32), z, self)

    def offset(self, x: Array | float, y: Array | float) -> tuple[Array, Array]:
        """How far right of and below the middle of the picture points lie, in mm."""
        cos, sin = _turn(self.tilt)
        dx, dy = np.asarray(x - np.float32(self.centre[0])), np.asarray(y - np.float32(self.centre[1]))
        return cos * dx + sin * dy, cos * dy - sin * dx

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """The (row, column) of a point in mm."""
        right, down = self.offset(x, y)
        middle = (self.pixels - 1) / 2
        return middle + float(down) / self.spacing, middle + float(right) / self.spacing


@dataclass(frozen=True)
class Plane:
    """An axial plane at height z: `right` and `down` are the columns' and rows' places in the view, in mm.

    They are kept apart because a plane wave is a product of the two (see Texture). `origin` is the
    (row, column) in the view of the first pixel.
    """

    right: Array
    down: Array
    z: float
    view: View
    origin: tuple[int, int] = (0, 0)

    @cached_property
    def x(self) -> Array:
        """Millimetres to the patient's left of each pixel, shape (rows, columns)."""
        cos, sin = _turn(self.view.tilt)
        return cos * self.right[None, :] - sin * self.down[:, None] + np.float32(self.view.centre[0])

    @cached_property
    def y(self) -> Array:
        """Millimetres towards the back of each pixel, shape (rows, columns)."""
        cos, sin = _turn(self.view.tilt)
        return sin * self.right[None, :] + cos * self.down[:, None] + np.float32(self.view.centre[1])

    def box(self, x: float, y: float, reach: float, reach_down: float | None = None) -> Box:
        """The rows and columns within `reach` mm of a point to the sides, `reach_down` (or as far) up and down.

        Empty when it is out of view.
        """
        row, column = self.view.pixel(x, y)
        half, half_down = (way / self.view.spacing + 2 for way in (reach, reach_down or reach))
        return (
            _span(row - self.origin[0], half_down, len(self.down)),
            _span(column - self.origin[1], half, len(self.right)),
        )

    def cut(self, box: Box) -> "Plane":
        """The part of the plane in a box."""
        rows, columns = box
        origin = self.origin[0] + rows.start, self.origin[1] + columns.start
        return Plane(self.right[columns], self.down[rows], self.z, self.view, origin)


def _turn(angle: float) -> tuple[np.float32, np.float32]:
    return np.float32(np.cos(angle)), np.float32(np.sin(angle))


def length(x: Array, y: Array) -> Array:
    """Euclidean length; np.hypot takes ten times as long."""
    return np.asarray(np.sqrt(x * x + y * y), np.float32)


def _span(middle: float, half: float, size: int) -> slice:
    start = min(max(int(middle - half), 0), size)
    return slice(start, min(max(int(middle + half) + 1, start), size))


def ellipse(plane: Plane, x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Array:
    """Distance to an ellipse with half-axes rx, ry turned by `turn` radians, exact near its edge."""
    dx, dy = plane.x - np.float32(x), plane.y - np.float32(y)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along, across = (cos * dx + sin * dy) / rx, (cos * dy - sin * dx) / ry
    norm = length(along, across)
    gradient = length(along / rx, across / ry)
    return np.asarray(norm * (norm - 1) / np.maximum(gradient, 1e-6), np.float32)


def rod(plane: Plane, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float) -> Array:
    """Distance to a rod with round ends that tapers from half-width r0 to r1."""
    dx, dy = plane.x - np.float32(start[0]), plane.y - np.float32(start[1])
    ax, ay = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    along = np.clip((dx * ax + dy * ay) / max(ax * ax + ay * ay, 1e-6), 0, 1)
    radius = np.float32(r0) + along * np.float32(r1 - r0)
    return np.asarray(length(dx - along * ax, dy - along * ay) - radius, np.float32)


def union(distances: Iterable[Array], blend: float) -> Array:
    """Distance to shapes that run into each other over about `blend` mm."""
    return from_weight(sum(as_weight(distance, blend) for distance in distances), blend)


def as_weight(distance: Array, blend: float) -> Array:
    """A distance as a weight; the weights of shapes that run into each other add up."""
    exponent = np.minimum(distance * np.float32(-1 / blend), np.float32(LARGEST_EXPONENT))
    return np.asarray(np.exp(exponent))


def from_weight(weight: Array | int, blend: float) -> Array:
    """The distance that a sum of weights stands for, at most about 14 times `blend`."""
    return np.asarray(np.float32(-blend) * np.log(np.maximum(weight, np.float32(1e-6))), np.float32)


def coverage(distance: Array, soft: float) -> Array:
    """How much of each pixel a shape covers, 0-1, with an edge `soft` mm wide."""
    return np.asarray(np.clip(0.5 - distance / np.float32(soft), 0, 1), np.float32)


def paint(canvas: Array, cover: Array, value: Array | float) -> None:
    """Mix `value` into the canvas, in place, by the share each pixel is covered."""
    canvas += cover * (value - canvas)


@dataclass(frozen=True)
class Texture:
    """A smooth random field in space: a sum of plane waves, so neighbouring slices agree.

    `waves` has a row (kx, ky, kz, phase) for each wave; values have mean 0 and variance 1.
    """

    waves: Array

    def __call__(self, plane: Plane) -> Array:
        """The field's values in a plane, shape (rows, columns)."""
        cos, sin = _turn(plane.view.tilt)
        kx, ky, kz, phase = self.waves.T
        x, y = plane.view.centre
        across = np.outer(cos * kx + sin * ky, plane.right) + (kx * x + ky * y + kz * plane.z + phase)[:, None]
        along = np.outer(cos * ky - sin * kx, plane.down)
        # cos(a + b) = cos a cos b - sin a sin b: two short tables instead of a cosine per pixel and wave.
        # einsum rather than @: its sums do not depend on how many threads a BLAS uses.
        rows = np.concatenate([np.cos(along), -np.sin(along)]).astype(np.float32)
        columns = np.concatenate([np.cos(across), np.sin(across)]).astype(np.float32)
        scale = np.float32(np.sqrt(2 / len(self.waves)))
        return np.asarray(np.einsum("wi,wj->ij", scale * rows, columns))


def draw_texture(rng: np.random.Generator, scale: float, waves: int = 10) -> Texture:
    """A random field whose grain is about `scale` mm."""
    wavenumber = rng.normal(size=(waves, 3)) * (2.2 / scale)
    phase = rng.uniform(0, 2 * np.pi, (waves, 1))
    return Texture(np.hstack([wavenumber, phase]).astype(np.float32))
