"""Rods and plates on a jittered lattice, drawn as a distance to the nearest strut's surface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxbench.geometry import Grid
from voxbench.types import FloatImage

MARGIN_VOXELS = 1.5
"""Beyond a strut's surface its distance is still drawn this far, for the share of voxels it crosses."""
FAR_MM = 10.0
STEPS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
PLATES = ((STEPS[0], STEPS[2]), (STEPS[1], STEPS[2]))
"""The two edges from a node that a plate lies between: plates stand upright."""
BOW = 0.12
"""How far the middle of a rod is off the straight line, in lengths (standard deviation)."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Nodes, and the struts that start at each.

    Attributes:
        points: World positions (i, j, k, 3), mm.
        sizes: Thickness, mm, of the rod to the next node along each axis and of the two plates (5, i, j, k); 0: none.
        spacing_mm: Mean distance of neighbours.
    """

    points: np.ndarray
    sizes: np.ndarray
    spacing_mm: float


@dataclass(frozen=True, eq=False)
class Struts:
    """What was drawn.

    Attributes:
        distance: To the surface of the nearest strut, mm; negative within, capped away from them.
        thickness: Of the strut a voxel is in or next to, mm; 0 elsewhere.
    """

    distance: FloatImage
    thickness: FloatImage


def lattice(grid: Grid, spacing_mm: float, jitter: float, rng: np.random.Generator) -> Lattice:
    """Nodes over the box of a grid, along the world's axes, each shifted at random; no struts yet."""
    low, high = grid.corners.min(axis=0) - 2 * spacing_mm, grid.corners.max(axis=0) + 2 * spacing_mm
    count = np.ceil((high - low) / spacing_mm).astype(int) + 1
    points = np.stack(np.meshgrid(*(np.arange(n) for n in count), indexing="ij"), axis=-1) * spacing_mm + low
    points += rng.uniform(-jitter, jitter, points.shape) * spacing_mm
    return Lattice(points, np.zeros((5, *points.shape[:3])), spacing_mm)


def draw(grid: Grid, struts: Lattice, rng: np.random.Generator) -> Struts:
    """Draw every strut into its own neighbourhood.

    Args:
        grid: Where; the distance is exact up to a voxel and a half from a strut's surface.
        struts: What.
        rng: Bends the rods.
    """
    distance = np.full(grid.shape, FAR_MM, np.float32)
    thickness = np.zeros(grid.shape, np.float32)
    margin = MARGIN_VOXELS * float(grid.spacing.max())
    canvas = _Canvas(grid, distance, thickness, margin)
    for triangle, size in _pieces(struts, rng):
        canvas.add(triangle, size)
    return Struts(distance, thickness)


def _pieces(struts: Lattice, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, float]]:
    """Every strut as segments (2, 3) and triangles (3, 3), with its thickness."""
    points, sizes = struts.points, struts.sizes
    top = np.array(points.shape[:3]) - 1
    for kind, i, j, k in np.argwhere(sizes > 0):
        start = np.array((i, j, k))
        size = float(sizes[kind, i, j, k])
        if kind < 3:
            end = start + STEPS[kind]
            if (end > top).any():
                continue
            a, b = points[tuple(start)], points[tuple(end)]
            middle = (a + b) / 2 + rng.standard_normal(3) * BOW * float(np.linalg.norm(b - a))
            yield np.stack((a, middle)), size
            yield np.stack((middle, b)), size
            continue
        one, two = (np.array(edge) for edge in PLATES[kind - 3])
        if (start + one + two > top).any():
            continue
        corners = [points[tuple(start + shift)] for shift in (0 * one, one, one + two, two)]
        yield np.stack((corners[0], corners[1], corners[2])), size
        yield np.stack((corners[0], corners[2], corners[3])), size


class _Canvas:
    """The two images, and the way from world to voxels."""

    def __init__(self, grid: Grid, distance: np.ndarray, thickness: np.ndarray, margin: float) -> None:
        self._distance, self._thickness, self._margin = distance, thickness, margin
        self._voxel_from_world = grid.voxel_from_world
        self._world_from_voxel = grid.world_from_voxel
        self._reach = 1 / grid.spacing
        self._shape = np.array(grid.shape)

    def add(self, piece: np.ndarray, size: float) -> None:
        """Draw a segment (2, 3) or a triangle (3, 3) of the given thickness."""
        voxels = self._voxel_from_world(piece)
        reach = (size / 2 + self._margin) * self._reach
        low = np.maximum(np.ceil(voxels.min(axis=0) - reach).astype(int), 0)
        high = np.minimum(np.floor(voxels.max(axis=0) + reach).astype(int) + 1, self._shape)
        if (low >= high).any():
            return
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        linear = self._world_from_voxel.linear
        start = linear @ low + self._world_from_voxel.offset
        i, j, k = (np.arange(b - a, dtype=np.float64) for a, b in zip(low, high, strict=True))
        points = (
            start
            + i[:, None, None, None] * linear[:, 0]
            + (j[:, None, None] * linear[:, 1] + k[:, None] * linear[:, 2])
        )
        away = (to_segment(points, piece) if len(piece) == 2 else to_triangle(points, piece)) - size / 2
        nearer = away < self._distance[box]
        self._distance[box][nearer] = away[nearer]
        self._thickness[box][nearer] = size


def to_segment(points: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Distance of points (..., 3) to a segment (2, 3)."""
    along = ends[1] - ends[0]
    away = points - ends[0]
    share = np.clip(away @ along / max(float(along @ along), 1e-18), 0, 1)
    return np.linalg.norm(away - share[..., None] * along, axis=-1)


def to_triangle(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distance of points (..., 3) to a triangle (3, 3): to its plane above it, else to the nearest edge."""
    a, b, c = corners
    normal = np.cross(b - a, c - a)
    area = float(np.linalg.norm(normal))
    edges = ((a, b), (b, c), (c, a))
    rim = np.minimum.reduce([to_segment(points, np.stack(edge)) for edge in edges])
    if area < 1e-12:
        return rim
    normal = normal / area
    above = np.logical_and.reduce([(points - p) @ np.cross(normal, q - p) >= 0 for p, q in edges])
    return np.where(above, np.abs((points - a) @ normal), rim)
