"""The three cancers as radiology textbooks describe them: where each grows, how large, of what it is made.

Sizes and places overlap on purpose, so that no single measurement tells them apart (docs/phantom.md).
"""

from collections.abc import Callable

import numpy as np

from cnnClassifier.datasets.phantom.anatomy import Anatomy, lung_distance, wall_depth
from cnnClassifier.datasets.phantom.geometry import View, coverage, draw_texture
from cnnClassifier.datasets.phantom.lesions import Lesion, Lobes, Point, Wedge, margin
from cnnClassifier.datasets.phantom.mediastinum import HILA
from cnnClassifier.datasets.phantom.vessels import Tree

LEAST_VISIBLE = 0.35  # share of a disc of the tumour's diameter that its middle plane must show
ATTEMPTS = 12
SEARCH_VIEW = View(100, 3.0, (0.0, 0.0), 0.0)
BEST_SITES = 60  # a place is drawn among so many of the search view's best pixels


def draw_lesion(rng: np.random.Generator, kind: str, anatomy: Anatomy, z: float) -> Lesion:
    """Draw a tumour of a class around height z, again until enough of it lies in lung.

    A chest that never lets it keeps the most visible one tried.
    """
    tried: list[tuple[float, Lesion]] = []
    while not tried or (tried[-1][0] < LEAST_VISIBLE and len(tried) < ATTEMPTS):
        lesion = CANCERS[kind](rng, anatomy, z)
        tried.append((visible_share(lesion, anatomy), lesion))
    return max(tried, key=lambda pair: pair[0])[1]


def visible_share(lesion: Lesion, anatomy: Anatomy) -> float:
    """Area of the tumour within lung in its middle plane, as a share of a disc of its diameter."""
    x, y, z = lesion.centre
    view = View(48, (lesion.diameter + 25) / 48, (x, y), 0.0)
    plane = view.plane(z)
    lung = lung_distance(plane, anatomy.wall, anatomy.mediastinum)
    cover = coverage(lung, 1.5) * coverage(margin(plane, lesion), 1.6)
    return float(cover.sum()) * view.spacing**2 / (np.pi * lesion.diameter**2 / 4)


def draw_adenocarcinoma(rng: np.random.Generator, anatomy: Anatomy, z: float) -> Lesion:
    """A subpleural part-solid nodule of 1-3 cm with spicules, often with a tag to the pleura."""
    diameter = float(np.clip(rng.normal(24, 6), 13, 38))
    gap = rng.uniform(18, 40) if rng.random() < 0.15 else rng.uniform(-2, 7)
    centre, outward = peripheral_site(rng, anatomy, z, gap + 0.42 * diameter)
    core = diameter * rng.uniform(0.35, 0.75)
    core_centre = _beside(rng, centre, 0.1 * diameter)
    tag = gap + 0.5 * diameter if rng.random() < 0.7 else 0.0
    return Lesion(
        centre=centre,
        diameter=diameter,
        body=_lobes(rng, centre, diameter, count=7, spread=0.5, blend=2.5),
        rough=1.3,
        grain=draw_texture(rng, 5),
        attenuation=rng.uniform(30, 70),
        solid=_lobes(rng, core_centre, core, count=5, spread=0.45, blend=1.5),
        strands=_spicules(rng, centre, diameter, count=26, tag=(outward, tag)),
    )


def draw_squamous(rng: np.random.Generator, anatomy: Anatomy, z: float) -> Lesion:
    """A mass of 3-6 cm at the hilum; most cavitate with a thick wall, some close off the lung behind them."""
    diameter = float(np.clip(rng.normal(41, 9), 25, 62))
    if rng.random() < 0.15:
        centre, _ = peripheral_site(rng, anatomy, z, rng.uniform(0.6, 1.0) * diameter)
    else:
        centre = central_site(rng, anatomy, z, diameter)
    cavity, fluid_level = None, None
    if rng.random() < 0.6:
        hole = _beside(rng, centre, 0.08 * diameter)
        cavity = _lobes(rng, hole, diameter * rng.uniform(0.35, 0.6), count=6, spread=0.5, blend=1.5)
        fluid_level = hole[1] + diameter * rng.uniform(0.0, 0.12) if rng.random() < 0.35 else None
    return Lesion(
        centre=centre,
        diameter=diameter,
        body=_lobes(rng, centre, diameter, count=8, spread=0.42, blend=4.0),
        rough=1.1,
        grain=draw_texture(rng, 8, waves=24),
        attenuation=rng.uniform(45, 85),
        cavity=cavity,
        fluid_level=fluid_level,
        strands=_spicules(rng, centre, 0.95 * diameter, count=14),
        wedge=_draw_wedge(rng, centre, diameter) if rng.random() < 0.5 else None,
    )


def draw_large_cell(rng: np.random.Generator, anatomy: Anatomy, z: float) -> Lesion:
    """A lobulated mass of more than 4 cm against the chest wall, with necrosis of low density."""
    diameter = float(np.clip(rng.normal(53, 9), 35, 76))
    gap = rng.uniform(8, 22) if rng.random() < 0.2 else rng.uniform(-6, 2)
    centre, _ = peripheral_site(rng, anatomy, z, gap + 0.42 * diameter)
    return Lesion(
        centre=centre,
        diameter=diameter,
        body=_lobes(rng, centre, diameter, count=9, spread=0.62, blend=1.6),
        rough=0.5,
        grain=draw_texture(rng, 9, waves=24),
        attenuation=rng.uniform(65, 110),
        necrosis=_lobes(rng, centre, diameter * rng.uniform(0.4, 0.7), count=6, spread=0.6, blend=3.0),
    )


CANCERS: dict[str, Callable[[np.random.Generator, Anatomy, float], Lesion]] = {
    "adenocarcinoma": draw_adenocarcinoma,
    "large_cell_carcinoma": draw_large_cell,
    "squamous_cell_carcinoma": draw_squamous,
}


def peripheral_site(rng: np.random.Generator, anatomy: Anatomy, z: float, depth: float) -> tuple[Point, float]:
    """A place about `depth` mm within the rib cage, off the mediastinum; and the angle towards the wall."""
    plane = SEARCH_VIEW.plane(z)
    lung = lung_distance(plane, anatomy.wall, anatomy.mediastinum)
    off_depth = np.abs(-wall_depth(plane, anatomy.wall) - depth)
    too_shallow = np.maximum(lung + 0.6 * min(depth, 20), 0)
    misfit = off_depth + 3 * too_shallow
    best = np.argwhere(misfit <= np.partition(misfit.ravel(), BEST_SITES)[BEST_SITES])
    row, column = best[rng.integers(len(best))]
    x, y = float(plane.x[row, column]), float(plane.y[row, column])
    return (x, y, z), float(np.arctan2(y, x))


def central_site(rng: np.random.Generator, anatomy: Anatomy, z: float, diameter: float) -> Point:
    """A place beside the left or right hilum where about a third of the tumour meets the mediastinum."""
    plane = SEARCH_VIEW.plane(z)
    side = int(rng.choice((-1, 1)))
    x, y = anatomy.mediastinum.place(HILA[side][0], HILA[side][1] + rng.normal(4, 7))
    off_depth = np.abs(lung_distance(plane, anatomy.wall, anatomy.mediastinum) + rng.uniform(0.2, 0.36) * diameter)
    other_lung = 1e3 * (plane.x * side < 0)
    misfit = off_depth + 0.6 * np.hypot(plane.x - x, plane.y - y) + other_lung
    row, column = np.unravel_index(int(np.argmin(misfit)), misfit.shape)
    return float(plane.x[row, column]), float(plane.y[row, column]), z


def _beside(rng: np.random.Generator, centre: Point, spread: float) -> Point:
    dx, dy, dz = rng.normal(0, spread, 3)
    return centre[0] + dx, centre[1] + dy, centre[2] + 0.3 * dz


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    directions = rng.normal(size=(count, 3))
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def _lobes(rng: np.random.Generator, centre: Point, diameter: float, count: int, spread: float, blend: float) -> Lobes:
    """Balls around a middle one; `spread` 0-1 says how far they bulge out.

    The middle plane cuts them in the area of a disc of `diameter` mm.
    """
    size = (1 - spread) * rng.uniform(0.85, 1.25, count)
    offset = _directions(rng, count) * (spread * rng.uniform(0.75, 1.15, count))[:, None]
    balls = np.vstack([[0, 0, 0, 1 - 0.45 * spread], np.column_stack([offset, size])]) * diameter / 2
    view = View(40, diameter / 18, (0.0, 0.0), 0.0)
    cut = coverage(Lobes(balls.astype(np.float32), blend).distance(view.plane(0.0)), view.spacing)
    balls *= diameter / (2 * np.sqrt(float(cut.sum()) / np.pi) * view.spacing)
    return Lobes((balls + np.array((*centre, 0.0))).astype(np.float32), blend)


def _spicules(
    rng: np.random.Generator, centre: Point, diameter: float, count: int, tag: tuple[float, float] = (0.0, 0.0)
) -> Tree:
    """Fine strands that radiate from the margin; the first may be a tag (angle, length) to the pleura."""
    direction = _directions(rng, count) * (1, 1, 0.4)
    reach = diameter / 2 + rng.gamma(3.0, 1.8, count)
    angle, length = tag
    if length:
        direction[0] = np.cos(angle), np.sin(angle), 0
        reach[0] = length + 4
    start = np.asarray(centre) + direction * diameter * 0.3
    end = np.asarray(centre) + direction * reach[:, None]
    return Tree(start.astype(np.float32), end.astype(np.float32), np.tile(np.array([1.2, 0.5], np.float32), (count, 1)))


def _draw_wedge(rng: np.random.Generator, centre: Point, diameter: float) -> Wedge:
    outward = np.arctan2(rng.normal(8, 25), np.sign(centre[0]) * 50)
    reach = diameter / 2 + rng.uniform(25, 75)
    return Wedge(centre, float(outward), rng.uniform(0.28, 0.6), reach, 0.8 * diameter)
