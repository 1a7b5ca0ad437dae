"""Branching vessels of the lungs, grown in space once per patient and cut by every slice.

Arteries and veins are trees that reach scattered points of the lung at least cost, weighing the wire against the
way back to the hilum (Cuntz et al., "One rule to grow them all", PLoS Comput Biol 2010); calibres
follow Murray's law (Murray, PNAS 1926): r^3 of a stem is the sum of r^3 of its branches.
"""

from dataclasses import dataclass

import numpy as np

from cnnClassifier.datasets.phantom.geometry import Array, Plane, coverage, length

TIP_RADIUS = 0.42  # mm: the finest vessel drawn
MURRAY = 2.2
EDGE_MM = 1.1
WAY_BACK = 0.45  # weight of the path to the hilum against the length of new vessel


@dataclass(frozen=True)
class Tree:
    """Vessel segments: `start` and `end` (n, 3) in mm, `radius` (n, 2) at either end."""

    start: Array
    end: Array
    radius: Array

    def near(self, z: float, half: float) -> np.ndarray:
        """Indices of segments that enter the slab z +- half."""
        low = np.minimum(self.start[:, 2], self.end[:, 2])
        high = np.maximum(self.start[:, 2], self.end[:, 2])
        return np.nonzero((low < z + half) & (high > z - half))[0]


def grow_tree(root: tuple[float, float, float], points: np.ndarray) -> Tree:
    """Connect points (n, 3) to the root, nearest to it first, each where it costs least."""
    order = np.argsort(np.linalg.norm(points - root, axis=1))
    nodes = np.vstack([root, points[order]])
    parent = np.zeros(len(nodes), int)
    path = np.zeros(len(nodes))
    for node in range(1, len(nodes)):
        away = nodes[:node] - nodes[node]
        wire = np.sqrt(np.einsum("nd,nd->n", away, away))
        parent[node] = np.argmin(wire + WAY_BACK * path[:node])
        path[node] = path[parent[node]] + wire[parent[node]]
    return _with_calibres(nodes, parent)


def _with_calibres(nodes: np.ndarray, parent: np.ndarray) -> Tree:
    flow = np.zeros(len(nodes))
    for node in range(len(nodes) - 1, 0, -1):
        flow[node] = max(flow[node], TIP_RADIUS**MURRAY)
        flow[parent[node]] += flow[node]
    calibre = flow ** (1 / MURRAY)
    end_radius = np.where(calibre[1:] > TIP_RADIUS * 1.01, calibre[1:] * 0.93, 0.75 * TIP_RADIUS)
    radius = np.stack([calibre[1:], end_radius], axis=1)
    return Tree(nodes[parent[1:]].astype(np.float32), nodes[1:].astype(np.float32), radius.astype(np.float32))


def vessel_cover(plane: Plane, tree: Tree, half: float) -> Array:
    """How much vessel each pixel of a slab z +- half mm holds (0-1)."""
    cover = np.zeros(plane.x.shape, np.float32)
    pieces = _pieces_in_slab(plane, tree, half)
    patch = 2 ** np.ceil(np.log2(2 * pieces.reach / plane.view.spacing + 4)).astype(int)
    for size in np.unique(patch):
        _add_pieces(cover, plane, pieces.take(patch == size), int(size))
    return cover


@dataclass(frozen=True)
class _Pieces:
    """What a slab holds of a tree, seen from above: ends (n, 2) as mm right and down, radii (n, 2), share (n)."""

    start: Array
    end: Array
    radius: Array
    share: Array

    @property
    def reach(self) -> Array:
        away = np.linalg.norm(self.end - self.start, axis=1) / 2
        return np.asarray(away + self.radius.max(axis=1) + 1, np.float32)

    def take(self, chosen: np.ndarray) -> "_Pieces":
        return _Pieces(self.start[chosen], self.end[chosen], self.radius[chosen], self.share[chosen])


def _pieces_in_slab(plane: Plane, tree: Tree, half: float) -> _Pieces:
    """Cut the segments at the slab's faces; a vessel thinner than the slab is paler in it."""
    near = tree.near(plane.z, half)
    start, end, radius = tree.start[near], tree.end[near], tree.radius[near]
    rise = end[:, 2] - start[:, 2]
    rise = np.where(np.abs(rise) < 1e-3, np.float32(1e-3), rise)
    faces = (np.float32(plane.z) + np.array([[-half], [half]], np.float32) - start[:, 2]) / rise
    low, high = np.clip(np.sort(faces, axis=0), 0, 1)
    along = end - start
    level = length(along[:, 0], along[:, 1]) / np.maximum(np.linalg.norm(along, axis=1), 1e-6)
    cut_radius = radius[:, :1] + (radius[:, 1:] - radius[:, :1]) * np.stack([low, high], axis=1)
    share = np.clip(cut_radius.sum(axis=1) / np.maximum(2 * half * level, 1e-6), 0.3, 1)
    ends = [start + along * cut[:, None] for cut in (low, high)]
    seen = [np.stack(plane.view.offset(point[:, 0], point[:, 1]), axis=1) for point in ends]
    return _Pieces(seen[0], seen[1], cut_radius, share.astype(np.float32))


def _add_pieces(cover: Array, plane: Plane, pieces: _Pieces, size: int) -> None:
    """Draw pieces that each fit a patch of size x size pixels, all at once; the densest wins where they cross."""
    middle = (pieces.start + pieces.end) / 2
    first = np.rint((middle - [plane.right[0], plane.down[0]]) / plane.view.spacing).astype(int) - size // 2
    columns, rows = (first[:, axis, None] + np.arange(size) for axis in (0, 1))
    inside = _within(rows, len(plane.down))[:, :, None] & _within(columns, len(plane.right))[:, None, :]
    rows, columns = rows.clip(0, len(plane.down) - 1), columns.clip(0, len(plane.right) - 1)
    dx = plane.right[columns][:, None, :] - pieces.start[:, 0, None, None]
    dy = plane.down[rows][:, :, None] - pieces.start[:, 1, None, None]
    ax, ay = (pieces.end - pieces.start).T[:, :, None, None]
    along = np.clip((dx * ax + dy * ay) / np.maximum(ax * ax + ay * ay, 1e-6), 0, 1)
    r0, r1 = pieces.radius.T[:, :, None, None]
    distance = length(dx - along * ax, dy - along * ay) - (r0 + along * (r1 - r0))
    drawn = pieces.share[:, None, None] * coverage(distance, EDGE_MM) * inside
    hit = drawn > 0
    place = np.broadcast_to((rows * cover.shape[1])[:, :, None] + columns[:, None, :], drawn.shape)
    np.maximum.at(cover.reshape(-1), place[hit], drawn[hit])


def _within(index: np.ndarray, size: int) -> np.ndarray:
    return np.asarray((index >= 0) & (index < size))
