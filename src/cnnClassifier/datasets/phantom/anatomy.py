"""One patient's chest without a tumour: drawn once, painted plane by plane in Hounsfield units."""

from dataclasses import dataclass

import numpy as np

from cnnClassifier.datasets.phantom.geometry import (
    Array,
    Box,
    Plane,
    Texture,
    View,
    coverage,
    draw_texture,
    paint,
    union,
)
from cnnClassifier.datasets.phantom.mediastinum import (
    HILA,
    VEIN_ROOTS,
    Mediastinum,
    OrganCut,
    cut_organs,
    draw_mediastinum,
    outline,
    paint_airways,
    paint_mediastinum,
)
from cnnClassifier.datasets.phantom.vessels import Tree, grow_tree, vessel_cover
from cnnClassifier.datasets.phantom.wall import (
    AIR,
    Wall,
    WallPosition,
    draw_wall,
    locate,
    paint_spine,
    paint_table,
    paint_wall,
)

PLEURA_MM = 1.2
SLAB_HALF_MM = 3.0  # half the slice thickness
REACH_MM = 22.0  # how far above and below the slices vessels are grown
POINTS_PER_LITRE = 1400
BRONCHUS_LEAST_MM = 1.35  # arteries from this radius on have a visible bronchus beside them
MEDIASTINUM_REACH_MM = 118.0  # nothing of the mediastinum lies farther from the middle
FAR_MM = 60.0
COARSE_VIEW = View(80, 4.0, (0.0, 0.0), 0.0)
COARSE_STEP_MM = 6.0  # between the coarse planes in which points are scattered
SIDES = (-1, 1)


@dataclass(frozen=True)
class Fissure:
    """A sheet between lobes: y = level + slope * outward + bow * outward^2 - fall * z, in mm."""

    side: int
    level: float
    slope: float
    bow: float
    fall: float


@dataclass(frozen=True)
class Anatomy:
    """Everything of a patient but the lesion.

    `density` is the lungs' value in HU at the middle, `gravity` how much denser they get towards the back
    (HU/mm), `bronchus_side` the direction in which bronchi lie beside their arteries.
    """

    wall: Wall
    mediastinum: Mediastinum
    arteries: tuple[Tree, ...]
    veins: tuple[Tree, ...]
    fissures: tuple[Fissure, ...]
    parenchyma: Texture
    mottle: Texture
    density: float
    gravity: float
    bronchus_side: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """A plane on the way to becoming a picture.

    `hu` holds the whole picture's values; `body` is the part of it with the patient, `plane` that part's
    coordinates and `lung` the distance there to the lungs' surface in mm, negative inside them.
    """

    hu: Array
    body: Box
    plane: Plane
    lung: Array


def draw_anatomy(rng: np.random.Generator, heights: tuple[float, float]) -> Anatomy:
    """Draw a patient whose vessels cover the heights (lowest, highest) of the slices, in mm."""
    wall = draw_wall(rng)
    mediastinum = draw_mediastinum(rng, wall)
    points = scatter_in_lungs(rng, wall, mediastinum, (heights[0] - REACH_MM, heights[1] + REACH_MM))
    lungs = {side: points[points[:, 0] * side > 0] for side in SIDES}
    turn = rng.uniform(0, 2 * np.pi)
    return Anatomy(
        wall=wall,
        mediastinum=mediastinum,
        arteries=tuple(grow_tree(_root(HILA[side], mediastinum), lungs[side][::2]) for side in SIDES),
        veins=tuple(grow_tree(_root(VEIN_ROOTS[side], mediastinum), lungs[side][1::2]) for side in SIDES),
        fissures=tuple(_draw_fissure(rng, side) for side in SIDES),
        parenchyma=draw_texture(rng, 30),
        mottle=draw_texture(rng, 3.2, waves=16),
        density=rng.uniform(-890, -820),
        gravity=rng.uniform(0.25, 0.7),
        bronchus_side=(float(np.cos(turn)), float(np.sin(turn))),
    )


def scatter_in_lungs(
    rng: np.random.Generator, wall: Wall, mediastinum: Mediastinum, heights: tuple[float, float]
) -> np.ndarray:
    """Random points (n, 3) in the lungs, a few mm within their surface, as many as the volume asks for."""
    points = []
    cell = (COARSE_VIEW.spacing, COARSE_VIEW.spacing, COARSE_STEP_MM)
    for z in np.arange(heights[0], heights[1], COARSE_STEP_MM):
        plane = COARSE_VIEW.plane(float(z))
        inside = np.argwhere(lung_distance(plane, wall, mediastinum) < -4)
        volume = len(inside) * float(np.prod(cell))
        rows, columns = inside[rng.integers(len(inside), size=rng.poisson(volume * POINTS_PER_LITRE / 1e6))].T
        middle = np.stack([plane.x[rows, columns], plane.y[rows, columns], np.full(len(rows), z)], axis=1)
        points.append(middle + rng.uniform(-0.5, 0.5, middle.shape) * cell)
    return rng.permutation(np.concatenate(points))


def lung_distance(plane: Plane, wall: Wall, mediastinum: Mediastinum) -> Array:
    """Distance to the surface of the lungs in mm, negative inside them."""
    return _lung(locate(plane, wall), _border(plane, wall, mediastinum)[0])


def wall_depth(plane: Plane, wall: Wall) -> Array:
    """Distance outwards from the inner surface of the rib cage in mm, negative inside it."""
    return locate(plane, wall).depth


def paint_chest(whole: Plane, anatomy: Anatomy) -> Scene:
    """Paint table, wall, lungs and mediastinum; vessels and airways as the plane's slab cuts them."""
    picture = np.full(whole.x.shape, AIR, np.float32)
    paint_table(picture, whole, anatomy.wall)
    body = _body(whole, anatomy.wall)
    plane, hu = whole.cut(body), picture[body]
    position = locate(plane, anatomy.wall)
    border, organs, box = _border(plane, anatomy.wall, anatomy.mediastinum)
    lung = _lung(position, border)
    paint_wall(hu, plane, anatomy.wall, position)
    middle = plane.cut(box)
    inside = np.maximum(border, position.depth + np.float32(PLEURA_MM))[box]
    paint_mediastinum(hu[box], middle, anatomy.mediastinum, organs, inside)
    paint_spine(hu, plane, anatomy.wall)
    _paint_lungs(hu, plane, anatomy, lung)
    paint_airways(hu[box], middle, anatomy.mediastinum)
    return Scene(picture, body, plane, lung)


def _body(plane: Plane, wall: Wall) -> Box:
    """The part of the plane with the patient: most of a picture's rows show only air."""
    half_width, top, bottom = wall.extent
    scale = 1.06 + abs(np.sin(plane.view.tilt)) * half_width / (bottom - top) * 2
    return plane.box(0, (top + bottom) / 2, 1.1 * half_width, scale * (bottom - top) / 2)


def _border(plane: Plane, wall: Wall, mediastinum: Mediastinum) -> tuple[Array, list[OrganCut], Box]:
    """Distance to the mediastinum; its organs, cut in the box around it."""
    box = plane.box(0, 0, MEDIASTINUM_REACH_MM)
    middle = plane.cut(box)
    organs = cut_organs(middle, mediastinum)
    border = np.full(plane.x.shape, FAR_MM, np.float32)
    border[box] = outline(middle, wall, mediastinum, organs)
    return border, organs, box


def _lung(position: WallPosition, border: Array) -> Array:
    """The space between cage and mediastinum, with rounded recesses."""
    return -union([-position.depth - np.float32(PLEURA_MM), border], blend=2.5)


def _paint_lungs(hu: Array, plane: Plane, anatomy: Anatomy, lung: Array) -> None:
    inside = coverage(lung, 1.2)
    tissue = anatomy.density + anatomy.gravity * plane.y + 14 * anatomy.parenchyma(plane) + 16 * anatomy.mottle(plane)
    paint(hu, inside, tissue)
    for fissure in anatomy.fissures:
        _paint_fissure(hu, plane, fissure, inside)
    for tree in anatomy.arteries:
        _paint_bronchi(hu, plane, tree, anatomy.bronchus_side, inside)
    for tree in (*anatomy.arteries, *anatomy.veins):
        paint(hu, inside * vessel_cover(plane, tree, SLAB_HALF_MM), min(anatomy.mediastinum.blood, 120))


def _paint_bronchi(hu: Array, plane: Plane, tree: Tree, side: tuple[float, float], inside: Array) -> None:
    """A bronchus beside each larger artery: dark lumen, thin wall (the signet ring of textbooks)."""
    large = tree.radius[:, 0] > BRONCHUS_LEAST_MM
    away = np.array([*side, 0.0], np.float32)
    shift = tree.radius[large, :1] * 1.9 * away
    start, end = tree.start[large] + shift, tree.end[large] + shift
    wall = Tree(start, end, 0.75 * tree.radius[large] + 0.7)
    lumen = Tree(start, end, 0.75 * tree.radius[large])
    paint(hu, inside * vessel_cover(plane, wall, 0.6), -250)
    paint(hu, inside * vessel_cover(plane, lumen, 0.6), -960)


def _draw_fissure(rng: np.random.Generator, side: int) -> Fissure:
    return Fissure(
        side, rng.uniform(-12, 14), rng.uniform(-0.25, 0.15), rng.uniform(-0.0035, 0.001), rng.uniform(0.5, 0.9)
    )


def _paint_fissure(hu: Array, plane: Plane, fissure: Fissure, inside: Array) -> None:
    outward = plane.x * fissure.side
    level = fissure.level - fissure.fall * (plane.z + 30)
    sheet = plane.y - level - fissure.slope * outward - fissure.bow * outward**2
    line = coverage(np.abs(sheet) - 0.3, 1.6) * inside * (outward > 0)
    paint(hu, 0.28 * line, -300)


def _root(hilum: tuple[float, float, float], mediastinum: Mediastinum) -> tuple[float, float, float]:
    return (*mediastinum.place(hilum[0], hilum[1]), hilum[2])
