"""What lies between the lungs: heart, great vessels, oesophagus, airways, and the fat around them.

Each organ is an ellipse that changes with height, after axial anatomy from the level of the aortic arch
(z = +25 mm) past the carina (z = 0) and the pulmonary trunk (-25) to the ventricles (-80).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cnnClassifier.datasets.phantom.geometry import (
    Array,
    Box,
    Plane,
    Texture,
    as_weight,
    coverage,
    draw_texture,
    ellipse,
    from_weight,
    paint,
    rod,
)
from cnnClassifier.datasets.phantom.wall import Wall, spine_centre

MEDIASTINAL_FAT, MUSCLE, CALCIUM = -85.0, 40.0, 500.0
BLEND_MM = 4.0  # length over which neighbouring organs share one outline
COVER_MM = 2.0  # fat and pleura over an organ that lies against the lung
LUMEN = -980.0
TUBE_REACH_MM = 11.0  # an airway this far above or below a plane does not touch it

# Rows: z, x, y, half-axis x, half-axis y (mm), turn (degrees). A half-axis of 0 means absent.
ORGANS: dict[str, tuple[tuple[float, ...], ...]] = {
    "ascending aorta": (
        (25, -9, -26, 15, 15, 0),
        (0, -12, -32, 16, 16, 0),
        (-25, -11, -33, 17, 17, 0),
        (-50, -4, -26, 15, 16, 0),
        (-70, 2, -24, 0, 0, 0),
    ),
    "descending aorta": (
        (25, 26, 24, 14, 16, 0),
        (0, 24, 36, 13, 13, 0),
        (-50, 20, 42, 12, 12, 0),
        (-90, 14, 46, 11.5, 11.5, 0),
    ),
    "superior vena cava": (
        (25, -27, -22, 8, 9, 20),
        (0, -30, -20, 9, 10, 20),
        (-30, -31, -19, 10, 11, 0),
        (-45, -33, -18, 12, 14, 0),
        (-52, -34, -18, 0, 0, 0),
    ),
    "pulmonary trunk": (
        (6, 18, -20, 0, 0, 0),
        (-4, 17, -26, 11, 10, 0),
        (-25, 17, -34, 15, 15, 30),
        (-50, 10, -46, 18, 14, 20),
        (-70, 6, -46, 0, 0, 0),
    ),
    "right pulmonary artery": (
        (-6, -14, -10, 0, 0, 0),
        (-14, -14, -9, 24, 7, -6),
        (-24, -16, -8, 29, 9, -6),
        (-34, -20, -6, 24, 7, -6),
        (-40, -22, -6, 0, 0, 0),
    ),
    "left pulmonary artery": (
        (10, 34, -6, 0, 0, 0),
        (2, 34, -6, 13, 9, 50),
        (-14, 36, -6, 15, 10, 60),
        (-26, 38, -2, 0, 0, 0),
    ),
    "right interlobar artery": (
        (-16, -38, -2, 0, 0, 0),
        (-26, -40, 2, 8, 9, 0),
        (-45, -42, 10, 7, 7.5, 0),
        (-80, -46, 22, 4, 4, 0),
    ),
    "left interlobar artery": (
        (-4, 42, 2, 0, 0, 0),
        (-14, 43, 5, 9, 9, 0),
        (-40, 45, 16, 7, 7.5, 0),
        (-80, 48, 28, 4, 4, 0),
    ),
    "left atrium": ((-32, 0, 4, 0, 0, 0), (-42, 0, 6, 26, 12, 0), (-58, 2, 6, 33, 17, 5), (-90, 4, 4, 30, 15, 8)),
    "right atrium": ((-38, -30, -20, 0, 0, 0), (-50, -30, -18, 17, 22, 0), (-85, -28, -14, 22, 28, 0)),
    "ventricles": (
        (-34, 14, -40, 0, 0, 0),
        (-46, 20, -34, 32, 26, -35),
        (-65, 26, -28, 47, 34, -35),
        (-90, 28, -26, 56, 39, -35),
    ),
    "left ventricle": ((-48, 28, -22, 0, 0, -35), (-60, 33, -18, 27, 16, -35), (-90, 36, -15, 33, 19, -35)),
    "right ventricle": ((-48, 12, -42, 0, 0, -35), (-60, 17, -41, 27, 12, -35), (-90, 18, -40, 34, 15, -35)),
    "oesophagus": ((25, 3, 26, 8, 6, 0), (0, 5, 28, 8, 6, 0), (-90, 8, 32, 8, 6.5, 0)),
    "azygos vein": ((25, -8, 38, 4, 4, 0), (-90, -6, 40, 3.6, 3.6, 0)),
    "prevascular": (
        (25, 4, -46, 16, 16, 0),
        (0, 4, -52, 15, 15, 0),
        (-40, 4, -58, 16, 13, 0),
        (-90, 6, -62, 20, 10, 0),
    ),
    "paratracheal": ((25, 0, 2, 24, 18, 0), (0, 0, 4, 26, 20, 0), (-20, 0, 8, 24, 18, 0), (-90, 0, 20, 14, 22, 0)),
}
FATTY = frozenset({"prevascular", "paratracheal"})
MUSCULAR = frozenset({"oesophagus", "ventricles"})

# (x, y, z, radius) along each airway, in mm.
AIRWAYS: tuple[tuple[tuple[float, ...], ...], ...] = (
    ((0, 0, 70, 8.5), (0, 2, 8, 8.5), (0, 4, 0, 8.0)),
    ((0, 4, 0, 7.5), (-20, 6, -14, 6.6), (-29, 8, -28, 5.4), (-33, 12, -52, 4.2), (-40, 24, -85, 2.6)),
    ((-19, 6, -13, 5.0), (-42, 4, -8, 3.8), (-60, 0, 2, 2.4)),
    ((0, 4, 0, 7.2), (20, 8, -16, 6.0), (33, 11, -30, 5.0), (37, 20, -54, 3.8), (46, 34, -85, 2.4)),
    ((32, 10, -28, 4.6), (45, -6, -24, 3.4), (58, -18, -16, 2.2)),
)
HILA = {-1: (-38.0, 2.0, -24.0), 1: (41.0, 2.0, -18.0)}
VEIN_ROOTS = {-1: (-30.0, -2.0, -46.0), 1: (32.0, 0.0, -44.0)}


@dataclass(frozen=True)
class Mediastinum:
    """One patient's mediastinum: how the standard organs are stretched, moved and enhanced."""

    stretch: tuple[float, float]
    shifts: dict[str, tuple[float, float, float]]
    blood: float
    fat: Texture
    calcified: bool
    junction: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A standard position in this patient (mm)."""
        return x * self.stretch[0], y * self.stretch[1]


def draw_mediastinum(rng: np.random.Generator, wall: Wall) -> Mediastinum:
    """Organs that fit the patient's chest; about half the patients had contrast medium."""
    stretch = (wall.half_width / 134 * rng.uniform(0.92, 1.1), wall.half_depth / 96)
    shifts = {
        name: (rng.normal(0, 1.6), rng.normal(0, 1.6), float(np.clip(rng.normal(1, 0.07), 0.85, 1.2)))
        for name in ORGANS
    }
    blood = rng.uniform(110, 230) if rng.random() < 0.5 else rng.uniform(35, 50)
    return Mediastinum(
        stretch, shifts, blood, draw_texture(rng, 7), rng.random() < 0.4, (rng.uniform(5, 15), rng.uniform(2, 8))
    )


@dataclass(frozen=True)
class OrganCut:
    """Where a plane cuts an organ: the box around it, and the distance to its surface there (mm)."""

    name: str
    box: Box
    distance: Array


def cut_organs(plane: Plane, mediastinum: Mediastinum) -> list[OrganCut]:
    """The organs present at the plane's height."""
    cuts = []
    for name, levels in ORGANS.items():
        x, y, rx, ry, turn = _at(levels, plane.z)
        if min(rx, ry) < 1:
            continue
        dx, dy, size = mediastinum.shifts[name]
        x, y = mediastinum.place(x + dx, y + dy)
        scale = size * (mediastinum.stretch[0] + mediastinum.stretch[1]) / 2
        box = plane.box(x, y, max(rx, ry) * scale + 4 * BLEND_MM)
        distance = ellipse(plane.cut(box), x, y, rx * scale, ry * scale, np.radians(turn))
        cuts.append(OrganCut(name, box, distance))
    return cuts


def outline(plane: Plane, wall: Wall, mediastinum: Mediastinum, organs: list[OrganCut]) -> Array:
    """Distance to the whole mediastinum, which the lungs lie against; far from it, some fixed length."""
    x, y = spine_centre(wall)
    front = -wall.half_depth
    parts = (
        ellipse(plane, x, y + 4, 22, 22),
        rod(plane, (x, y + 14), (x, y + 44), 16, 28),
        rod(plane, (0, front), (2, front + 34), *mediastinum.junction),
    )
    weight = np.asarray(sum(as_weight(part, BLEND_MM) for part in parts), np.float32)
    for organ in organs:
        weight[organ.box] += as_weight(organ.distance - COVER_MM, BLEND_MM)
    return from_weight(weight, BLEND_MM)


def paint_mediastinum(
    canvas: Array, plane: Plane, mediastinum: Mediastinum, organs: list[OrganCut], inside: Array
) -> None:
    """Fat where the distance `inside` is negative, the organs in it, their walls, plaques in the aorta."""
    paint(canvas, coverage(inside, 1.4), MEDIASTINAL_FAT + 15 * mediastinum.fat(plane))
    for organ in organs:
        if organ.name in FATTY:
            continue
        content = MUSCLE if organ.name in MUSCULAR else mediastinum.blood
        paint(canvas[organ.box], coverage(organ.distance - 1.2, 1.4), MUSCLE)
        paint(canvas[organ.box], coverage(organ.distance + 0.8, 1.6), content)
        if organ.name == "descending aorta" and mediastinum.calcified:
            plaques = mediastinum.fat(plane.cut(organ.box)) > 1.2
            paint(canvas[organ.box], coverage(np.abs(organ.distance) - 0.9, 1.2) * plaques, CALCIUM)


def paint_airways(canvas: Array, plane: Plane, mediastinum: Mediastinum) -> None:
    """Trachea, main and lobar bronchi: a thin wall around air."""
    near = [
        (start, end)
        for airway in AIRWAYS
        for start, end in pairwise(airway)
        if min(start[2], end[2]) - TUBE_REACH_MM < plane.z < max(start[2], end[2]) + TUBE_REACH_MM
    ]
    distance = np.minimum.reduce([_tube(plane, start, end, mediastinum) for start, end in near])
    paint(canvas, coverage(distance - 1.5, 1.3), 20)
    paint(canvas, coverage(distance, 1.3), LUMEN)


def _tube(plane: Plane, start: Sequence[float], end: Sequence[float], mediastinum: Mediastinum) -> Array:
    """Distance to a tapering tube in space, where the plane cuts it."""
    (x0, y0), (x1, y1) = mediastinum.place(start[0], start[1]), mediastinum.place(end[0], end[1])
    axis = np.array([x1 - x0, y1 - y0, end[2] - start[2]], np.float32)
    dx, dy, dz = plane.x - np.float32(x0), plane.y - np.float32(y0), np.float32(plane.z - start[2])
    along = np.clip((dx * axis[0] + dy * axis[1] + dz * axis[2]) / (axis @ axis), 0, 1)
    away = np.sqrt((dx - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dz - along * axis[2]) ** 2)
    return np.asarray(away - (start[3] + along * (end[3] - start[3])), np.float32)


def _at(levels: tuple[tuple[float, ...], ...], z: float) -> tuple[float, ...]:
    table = np.array(sorted(levels))
    return tuple(float(np.interp(z, table[:, 0], table[:, column])) for column in range(1, table.shape[1]))
