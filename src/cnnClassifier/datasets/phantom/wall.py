"""The chest wall: skin, fat, muscle, ribs, scapulae, sternum, spine and the table below.

The wall is described around the rib cage: `depth` is the distance outwards from its inner
surface and `arc` the distance along it from the spine (both in mm, arc positive on the
patient's left). Ribs slope downwards from back to front, so a plane cuts each in a short oval,
and that oval travels along the wall from slice to slice.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from cnnClassifier.datasets.phantom.geometry import (
    Array,
    Plane,
    Texture,
    coverage,
    draw_texture,
    ellipse,
    length,
    paint,
    rod,
)

ANGLES = 2048
THETA = (np.arange(ANGLES) + 0.5) * (2 * np.pi / ANGLES) - np.pi
BACK, FRONT = np.pi / 2, -np.pi / 2

AIR, FAT, MUSCLE, CARTILAGE = -1000.0, -100.0, 50.0, 110.0
CORTEX, MARROW = 650.0, 260.0
RIB_PITCH = 26.0  # mm from one rib to the next along the body
RIB_DEPTH, RIB_HALF = 5.5, 3.7  # mm: middle of a rib outwards from the pleura, half its thickness


@dataclass(frozen=True)
class Wall:
    """One patient's chest wall.

    `cage` (inside of the ribs), `muscle` and `skin` are radii in mm by angle (see THETA), `rib_phase` the
    height in mm of a rib at the spine (right, left), `rib_slope` its fall per mm forwards, `scapula` the size
    of the blades, `table` the couch's top (y, mm) and radius of curvature, `gland` how much of the
    breasts is gland (0: a man).
    """

    cage: Array
    muscle: Array
    skin: Array
    half_width: float
    half_depth: float
    rib_phase: tuple[float, float]
    rib_slope: float
    scapula: float
    table: tuple[float, float]
    table_thickness: float
    coarse: Texture
    streaks: Texture
    trabeculae: Texture
    gland: float

    @property
    def extent(self) -> tuple[float, float, float]:
        """Half the body's width, its highest and its lowest y (mm)."""
        x, y = self.skin * np.cos(THETA), self.skin * np.sin(THETA)
        return float(np.abs(x).max()), float(y.min()), float(y.max())

    @property
    def arc(self) -> Array:
        """Length along the cage from the spine at each angle, in mm."""
        step = self.cage * (2 * np.pi / ANGLES)
        along = np.cumsum(step)
        turned = along - along[np.searchsorted(THETA, BACK)]
        total = along[-1]
        return np.asarray(-((turned + total / 2) % total - total / 2), np.float32)


@dataclass(frozen=True)
class WallPosition:
    """Where each pixel lies relative to the wall (mm)."""

    index: np.ndarray
    radius: Array
    depth: Array
    arc: Array


def draw_wall(rng: np.random.Generator) -> Wall:
    """A person's chest wall: broad or narrow, lean or stout, man or woman."""
    half_width, half_depth = rng.uniform(122, 146), rng.uniform(90, 106)
    cage = _draw_cage(half_width, half_depth, rng)
    strength = rng.uniform(0.75, 1.25)
    muscle = cage + _muscle_thickness(strength, rng)
    woman = rng.random() < 0.4
    skin = _draw_skin(muscle, woman, rng)
    phase = rng.uniform(0, RIB_PITCH)
    below = float((skin * np.sin(THETA)).max())
    return Wall(
        cage=cage.astype(np.float32),
        muscle=muscle.astype(np.float32),
        skin=skin.astype(np.float32),
        half_width=half_width,
        half_depth=half_depth,
        rib_phase=(phase, phase + rng.normal(0, 4)),
        rib_slope=rng.uniform(0.42, 0.6),
        scapula=rng.uniform(0.7, 1.2),
        table=(below + rng.uniform(3, 7), rng.uniform(330, 560)),
        table_thickness=rng.uniform(18, 34),
        coarse=draw_texture(rng, 16),
        streaks=draw_texture(rng, 6, waves=12),
        trabeculae=draw_texture(rng, 2.2, waves=12),
        gland=rng.uniform(0.2, 1.0) if woman else 0.0,
    )


def bump(centre: float, width: float) -> np.ndarray:
    """A smooth hill of height 1 around an angle (radians)."""
    away = (THETA - centre + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(np.exp(-((away / width) ** 2)))


def both_sides(angle: float, width: float) -> np.ndarray:
    """The same hill on the left and on the right, `angle` radians away from the back."""
    return np.asarray(bump(BACK - angle, width) + bump(BACK + angle, width))


def _draw_cage(half_width: float, half_depth: float, rng: np.random.Generator) -> np.ndarray:
    exponent = rng.uniform(2.25, 2.6)
    cos, sin = np.abs(np.cos(THETA)), np.abs(np.sin(THETA))
    radius = ((cos / half_width) ** exponent + (sin / half_depth) ** exponent) ** (-1 / exponent)
    radius *= 1 + rng.uniform(0.03, 0.1) * both_sides(0.62, 0.36) - rng.uniform(0.02, 0.1) * both_sides(2.2, 0.45)
    radius *= 1 - rng.uniform(0.05, 0.09) * bump(BACK, 0.22) - rng.uniform(0.02, 0.06) * bump(FRONT, 0.3)
    for order in (1, 2, 3, 4):
        radius *= 1 + rng.normal(0, 0.012) * np.cos(order * THETA + rng.uniform(0, 2 * np.pi))
    return np.asarray(gaussian_filter1d(radius, 12, mode="wrap"))


def _muscle_thickness(strength: float, rng: np.random.Generator) -> np.ndarray:
    pectoral, dorsal = rng.uniform(7, 15), rng.uniform(14, 22)
    hills = (
        pectoral * both_sides(2.35, 0.4)
        + dorsal * both_sides(1.0, 0.36)
        + 7 * both_sides(1.5, 0.35)
        + 26 * both_sides(0.27, 0.3)
    )
    return np.asarray(11 + strength * hills, float)


def _draw_skin(muscle: np.ndarray, woman: bool, rng: np.random.Generator) -> np.ndarray:
    fat = rng.gamma(3.0, 3.2) + 4
    layer = fat * (1 + 0.5 * both_sides(1.7, 0.5) + 0.3 * bump(FRONT, 0.7) - 0.35 * bump(BACK, 0.5))
    skin = gaussian_filter1d(muscle, 70, mode="wrap") + layer
    skin = np.maximum(skin, muscle + 3)
    if woman:
        skin = skin + rng.uniform(8, 30) * both_sides(rng.uniform(2.1, 2.35), 0.36)
    level = 0.97 * (skin * np.sin(THETA)).max()
    lying = np.where(np.sin(THETA) > 0.2, level / np.maximum(np.sin(THETA), 0.2), np.inf)
    return np.asarray(gaussian_filter1d(np.minimum(skin, lying), 18, mode="wrap"))


def locate(plane: Plane, wall: Wall) -> WallPosition:
    """Place every pixel of a plane relative to the wall; the cage widens slightly towards the feet."""
    scale = np.float32(1 - 0.0007 * plane.z)
    radius = length(plane.x, plane.y) / scale
    index = ((np.arctan2(plane.y, plane.x) + np.pi) * (ANGLES / (2 * np.pi))).astype(np.int32) % ANGLES
    slope = np.gradient(wall.cage, 2 * np.pi / ANGLES)
    upright = (wall.cage / np.hypot(wall.cage, slope)).astype(np.float32)
    depth = (radius - wall.cage[index]) * upright[index]
    return WallPosition(index, radius, depth, wall.arc[index])


def paint_table(canvas: Array, plane: Plane, wall: Wall) -> None:
    """The scanner's couch: a shallow trough with a dense skin around a foam core."""
    top, curve = wall.table
    upper = plane.y - np.float32(top) + plane.x**2 / np.float32(2 * curve)
    lower = upper - np.float32(wall.table_thickness) + plane.x**2 / np.float32(2.2 * curve)
    couch = np.maximum(-upper, lower)
    paint(canvas, coverage(couch, 2), -920)
    paint(canvas, coverage(np.maximum(np.abs(upper) - 1.1, couch - 2), 1.6), -450)
    paint(canvas, coverage(np.maximum(np.abs(lower) - 1.4, couch - 2), 1.6), 60)


def paint_wall(canvas: Array, plane: Plane, wall: Wall, position: WallPosition) -> None:
    """Skin, fat, muscle and bone of the wall but the spine; what lies inside the cage is left as muscle."""
    _paint_soft_wall(canvas, plane, wall, position)
    _paint_ribs(canvas, plane, wall, position)
    _paint_scapulae(canvas, plane, wall, position)
    _paint_sternum(canvas, plane, wall)


def _paint_soft_wall(canvas: Array, plane: Plane, wall: Wall, position: WallPosition) -> None:
    outward = position.radius - wall.skin[position.index]
    streaks = wall.streaks(plane)
    paint(canvas, coverage(outward, 1.2), FAT + 8 * streaks)
    paint(canvas, coverage(np.abs(outward + 1.2) - 0.9, 1.2), 10)
    _paint_glands(canvas, plane, wall, position, outward)
    rough = position.radius - wall.muscle[position.index] + 1.1 * wall.coarse(plane)
    paint(canvas, coverage(rough, 1.6), MUSCLE - 30 * np.maximum(streaks - 0.9, 0))
    _paint_muscle_planes(canvas, plane, wall, position)


def _paint_glands(canvas: Array, plane: Plane, wall: Wall, position: WallPosition, outward: Array) -> None:
    if not wall.gland:
        return
    front = np.asarray(both_sides(2.32, 0.22), np.float32)[position.index]
    inside = np.minimum(-outward - 7, position.radius - wall.muscle[position.index] - 4)
    cover = np.clip(inside / 5, 0, 1) * front * np.clip(wall.gland + 0.7 * wall.streaks(plane), 0, 1)
    paint(canvas, cover, 20)


def _paint_muscle_planes(canvas: Array, plane: Plane, wall: Wall, position: WallPosition) -> None:
    """Thin sheets of fat between the layers of muscle."""
    thickness = (wall.muscle - wall.cage)[position.index]
    wave = wall.coarse(plane)
    for share, least in ((0.0, 14.0), (0.58, 22.0)):
        sheet = 11.0 + share * (thickness - 11.0) + 1.2 * wave
        cover = coverage(np.abs(position.depth - sheet) - (0.5 + 0.35 * wave), 1.5)
        paint(canvas, cover * (thickness > least), -60)


def _paint_ribs(canvas: Array, plane: Plane, wall: Wall, position: WallPosition) -> None:
    near = np.nonzero((position.depth > -1) & (position.depth < 12))
    depth, arc = position.depth[near], position.arc[near]
    half_girth = float(np.abs(wall.arc).max())
    distance = np.full(depth.shape, 1e3, np.float32)
    cartilage = np.full(depth.shape, 1e3, np.float32)
    for side, phase in zip((-1, 1), wall.rib_phase, strict=True):
        for number in range(-6, 14):
            drop = phase + RIB_PITCH * number - plane.z
            middle = 24 + drop / wall.rib_slope
            if not 10 < middle < half_girth - 12:
                continue
            bony = middle < 0.86 * half_girth
            half = (5.6 if bony else 7.0) / wall.rib_slope * (1.5 if middle < 60 else 1.0)
            along = side * arc - np.float32(middle)
            tilt = np.clip(along, -half, half) * np.float32(0.09)
            oval = length(np.maximum(np.abs(along) - half, 0), depth - RIB_DEPTH - tilt) - RIB_HALF
            np.minimum(distance if bony else cartilage, oval, out=distance if bony else cartilage)
    values = canvas[near]
    paint(values, coverage(cartilage, 1.4), CARTILAGE)
    _paint_bone(values, distance, 1.1, MARROW + 30 * wall.trabeculae(plane)[near])
    canvas[near] = values


def _paint_bone(canvas: Array, distance: Array, cortex: float, marrow: Array | float) -> None:
    paint(canvas, coverage(distance, 1.2), CORTEX)
    paint(canvas, coverage(distance + np.float32(cortex + 0.5), 1.6), marrow)


def _paint_scapulae(canvas: Array, plane: Plane, wall: Wall, position: WallPosition) -> None:
    """A thin oblique blade behind each lung; it narrows towards its lower angle."""
    half = (26 + 0.55 * plane.z) * wall.scapula
    if half < 4:
        return
    near = np.nonzero((position.depth > 8) & (position.depth < 42))
    depth, arc = position.depth[near], np.abs(position.arc[near])
    along = arc - np.float32(118)
    sheet = depth - np.float32(19) - 0.1 * along - 0.002 * along**2
    thickness = 1.6 + 2.2 * np.exp(-(((along - 0.75 * half) / 9) ** 2))
    distance = length(np.maximum(np.abs(along) - half, 0), sheet) - thickness
    values = canvas[near]
    _paint_bone(values, distance.astype(np.float32), 1.2, MARROW)
    canvas[near] = values


def _paint_sternum(canvas: Array, plane: Plane, wall: Wall) -> None:
    front = float(wall.cage[np.searchsorted(THETA, FRONT)]) * (1 - 0.0007 * plane.z)
    box = plane.box(0, -front, 40)
    part, local = canvas[box], plane.cut(box)
    width = 15 + 4 * float(np.sin(plane.z / 17))
    distance = ellipse(local, 0, -front - 7.5, width, 5.6)
    _paint_bone(part, distance, 1.1, 120 + 30 * wall.trabeculae(local))


def spine_centre(wall: Wall) -> tuple[float, float]:
    """The middle of the vertebral body (mm)."""
    back = float(wall.cage[np.searchsorted(THETA, BACK)])
    return 0.0, back - 34.0


def paint_spine(canvas: Array, plane: Plane, wall: Wall) -> None:
    """Vertebral body, canal with cord, pedicles, laminae, transverse and spinous processes, rib necks."""
    x, y = spine_centre(wall)
    box = plane.box(x, y + 22, 75)
    part, local = canvas[box], plane.cut(box)
    level = float(np.cos(2 * np.pi * (plane.z + wall.rib_phase[0]) / RIB_PITCH))
    canal = ellipse(local, x, y + 23.5, 9.5, 8.5)
    body = np.maximum(ellipse(local, x, y, 18.5 + level, 15.5 + 0.6 * level), -canal - 1.5)
    arch = [np.abs(canal - 2.8) - 2.6]
    for side in (-1, 1):
        arch.append(rod(local, (side * 10, y + 16), (side * 13, y + 28), 4.0, 3.6))
        reach = 34 + 4 * level
        arch.append(rod(local, (side * 13, y + 28), (side * reach, y + 33 + 2 * level), 4.6, 4.0))
    arch.append(rod(local, (x, y + 34), (x, y + 52 + 6 * level), 3.4, 2.4))
    distance = np.minimum.reduce([body, *arch])
    _paint_bone(part, np.asarray(distance, np.float32), 1.3, MARROW + 35 * wall.trabeculae(local))
    paint(part, coverage(canal, 1.4), 5)
    paint(part, coverage(ellipse(local, x, y + 23.5, 5.8, 4.8), 1.4), 38)
