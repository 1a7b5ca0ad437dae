"""A tumour as a solid in space, and its painting where a plane cuts it. What each cancer looks like: pathology.py."""

from dataclasses import dataclass

import numpy as np

from cnnClassifier.datasets.phantom.anatomy import Scene
from cnnClassifier.datasets.phantom.geometry import Array, Plane, Texture, coverage, length, paint, union
from cnnClassifier.datasets.phantom.vessels import Tree, vessel_cover

GAS, FLUID, NECROSIS, COLLAPSED_LUNG = -970.0, 12.0, 12.0, -20.0
RIM_MM = 5.0  # solid tissue that always surrounds a cavity or necrosis
STRAND_HALF_SLAB_MM = 2.0
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Lobes:
    """A lump: balls that run into each other over `blend` mm. `balls` has rows (x, y, z, radius) in mm."""

    balls: Array
    blend: float

    def distance(self, plane: Plane) -> Array:
        """Distance to the lump where the plane cuts it (mm)."""
        return union([_ball(plane, ball) for ball in self.balls], self.blend)


@dataclass(frozen=True)
class Wedge:
    """Lung closed off behind a tumour: a sector of `half_angle` radians around `direction`, from `apex`.

    It reaches `reach` mm in the plane and `half_height` mm above and below the apex.
    """

    apex: Point
    direction: float
    half_angle: float
    reach: float
    half_height: float


@dataclass(frozen=True)
class Lesion:
    """A tumour: its place, nominal diameter (mm) and parts. A part it lacks is None.

    With `solid` the body is ground glass around it. `rough` is how far (mm) `grain` moves the margin,
    `attenuation` the solid tissue's value in HU, `fluid_level` the y (mm) of the fluid in the cavity.
    """

    centre: Point
    diameter: float
    body: Lobes
    rough: float
    grain: Texture
    attenuation: float
    solid: Lobes | None = None
    cavity: Lobes | None = None
    fluid_level: float | None = None
    necrosis: Lobes | None = None
    strands: Tree | None = None
    wedge: Wedge | None = None


def paint_lesion(scene: Scene, lesion: Lesion) -> Array:
    """Paint a tumour into a scene, in place; the share of each pixel it covers (0-1), strands left out."""
    if lesion.wedge is not None:
        _paint_wedge(scene, lesion.wedge, lesion.grain)
    box = scene.plane.box(lesion.centre[0], lesion.centre[1], lesion.diameter + 25)
    plane, hu = scene.plane.cut(box), scene.hu[scene.body][box]
    in_lung, grain = coverage(scene.lung[box], 1.5), lesion.grain(plane)
    if lesion.strands is not None:
        paint(hu, 0.9 * in_lung * vessel_cover(plane, lesion.strands, STRAND_HALF_SLAB_MM), 0)
    distance = margin(plane, lesion)
    _paint_tissue(hu, plane, lesion, distance, in_lung)
    _paint_core(hu, plane, lesion, in_lung * coverage(distance + RIM_MM, 2), grain)
    mask = np.zeros(scene.hu.shape, np.float32)
    mask[scene.body][box] = in_lung * coverage(distance, 1.6)
    return mask


def margin(plane: Plane, lesion: Lesion) -> Array:
    """Distance to the tumour's margin where the plane cuts it (mm), ground glass included."""
    bumps = np.float32(lesion.rough) * lesion.grain(plane)
    distance = lesion.body.distance(plane) + bumps
    return distance if lesion.solid is None else np.minimum(distance, lesion.solid.distance(plane) + bumps)


def _paint_tissue(hu: Array, plane: Plane, lesion: Lesion, distance: Array, in_lung: Array) -> None:
    grain = lesion.grain(plane)
    if lesion.solid is not None:
        _add_ground_glass(hu, distance, in_lung, grain)
        distance = lesion.solid.distance(plane) + np.float32(lesion.rough) * grain
    paint(hu, in_lung * coverage(distance, 1.8), lesion.attenuation + 6 * grain)


def _add_ground_glass(hu: Array, distance: Array, in_lung: Array, grain: Array) -> None:
    """Haze that adds to the lung and lets vessels show through, denser towards the middle."""
    density = 300 + 45 * grain - 6 * np.clip(distance, -15, 0)
    hu += in_lung * np.clip(0.5 - distance / 3.5, 0, 1) * density * np.where(hu < -300, 1, 0.1)


def _paint_core(hu: Array, plane: Plane, lesion: Lesion, inside: Array, grain: Array) -> None:
    if lesion.necrosis is not None:
        cover = coverage(lesion.necrosis.distance(plane) + 2 * grain, 5)
        paint(hu, inside * cover, NECROSIS + 5 * grain)
    if lesion.cavity is not None:
        hole = inside * coverage(lesion.cavity.distance(plane) + 1.5 * grain, 1.6)
        level = np.inf if lesion.fluid_level is None else lesion.fluid_level
        content = np.where(plane.y < level, np.float32(GAS), np.float32(FLUID))
        paint(hu, hole, content)


def _paint_wedge(scene: Scene, wedge: Wedge, grain: Texture) -> None:
    """Collapse and consolidation from the tumour outwards, fading at its edges."""
    plane = scene.plane
    dx, dy = plane.x - np.float32(wedge.apex[0]), plane.y - np.float32(wedge.apex[1])
    radius, texture = length(dx, dy), grain(plane)
    aside = np.abs((np.arctan2(dy, dx) - np.float32(wedge.direction) + np.pi) % (2 * np.pi) - np.pi)
    sides = np.clip(((np.float32(wedge.half_angle) - aside) * radius + texture) / 7, 0, 1)
    far_end = np.clip((wedge.reach - radius + texture) / 9, 0, 1)
    height = max(0.0, 1 - (abs(plane.z - wedge.apex[2]) / wedge.half_height) ** 2)
    patches = np.clip(0.9 + 0.07 * texture, 0, 1)
    cover = sides * far_end * patches * coverage(scene.lung, 1.5) * height
    paint(scene.hu[scene.body], cover.astype(np.float32), COLLAPSED_LUNG)


def _ball(plane: Plane, ball: Array) -> Array:
    squared = (plane.x - ball[0]) ** 2 + (plane.y - ball[1]) ** 2 + np.float32(plane.z - ball[2]) ** 2
    return np.asarray(np.sqrt(squared) - ball[3], np.float32)
