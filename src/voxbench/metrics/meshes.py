"""Distances between the surfaces of two meshes, and how much of their insides they share.

Two kinds of distance, under two names: from points to a *surface* (exact for each point), and from points to the
nearest of other *points*, which is never less and does not vanish between two samples of one surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Affine, Grid
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.voxelise import voxelise
from voxbench.types import Points

LARGEST_GRID = 1 << 31
LARGEST_SAMPLE = 50_000_000
OtherPoints = Float64[np.ndarray, "m 3"]
"""Points of another number."""


@dataclass(frozen=True, eq=False)
class DirectedDistances:
    """From places on one surface to another surface.

    Attributes:
        distances: mm, float64 (n,).
        weights: How much each place counts, float64 (n,): its area, mm^2; 0 where it only matters for the maximum.
    """

    distances: np.ndarray
    weights: np.ndarray

    @property
    def mean(self) -> float:
        """Weighted mean, mm."""
        return float((self.distances * self.weights).sum() / self.weights.sum())

    @property
    def maximum(self) -> float:
        """mm; places of no weight take part."""
        return float(self.distances.max())

    def percentile(self, percent: float | int) -> float:
        """The distance within which ``percent`` of the weight lies, mm."""
        order = np.argsort(self.distances, kind="stable")
        within = np.cumsum(self.weights[order])
        at = int(np.searchsorted(within, percent / 100 * within[-1]))
        return float(self.distances[order[min(at, len(order) - 1)]])


@dataclass(frozen=True, eq=False)
class MeshDistances:
    """Distances both ways.

    Attributes:
        forward: From the first to the second.
        backward: From the second to the first.
    """

    forward: DirectedDistances
    backward: DirectedDistances

    @property
    def assd(self) -> float:
        """Mean over both surfaces pooled, mm: the larger surface counts more."""
        weights = self.forward.weights.sum(), self.backward.weights.sum()
        return float(np.average((self.forward.mean, self.backward.mean), weights=weights))

    @property
    def masd(self) -> float:
        """Mean of the two directed means, mm."""
        return (self.forward.mean + self.backward.mean) / 2

    @property
    def hd(self) -> float:
        """Hausdorff distance: the larger of the two maxima, mm."""
        return max(self.forward.maximum, self.backward.maximum)

    @property
    def hd95(self) -> float:
        """The larger of the two 95th percentiles, mm."""
        return max(self.forward.percentile(95), self.backward.percentile(95))


@dataclass(frozen=True)
class MeshOverlap:
    """Volumes counted in voxels.

    Attributes:
        first: Volume inside the first mesh, mm^3.
        second: Volume inside the second.
        shared: Volume inside both.
    """

    first: float
    second: float
    shared: float

    @property
    def dice(self) -> float:
        """Twice the shared volume over the sum of both; NaN if no voxel centre lies in either."""
        total = self.first + self.second
        return 2 * self.shared / total if total else float("nan")


def mesh_distances(first: Mesh, second: Mesh, step: float | int = 1.0) -> MeshDistances:
    """Measure the distances between two surfaces, each taken at places that stand for its area.

    Faces are cut into smaller ones with edges of at most ``step``; the middle of each stands for its area, and every
    vertex takes part in the maximum. The distance from each place to the other surface is exact.

    Args:
        first: Any mesh, closed or not.
        second: Any mesh.
        step: Longest edge of what a place stands for, mm.

    Raises:
        EmptyShapeError: A mesh has no area.
        InputError: A mesh is so large that it would take more than 50 million places.
    """
    return MeshDistances(_directed(first, second, step), _directed(second, first, step))


def point_distances(first: Points, second: OtherPoints) -> MeshDistances:
    """Measure the distances between two sets of points, each to the nearest of the other; every point counts alike.

    Args:
        first: mm, (n, 3).
        second: mm, (m, 3).
    """
    ways = [nearest_points(first, second)[0], nearest_points(second, first)[0]]
    forward, backward = (DirectedDistances(way, np.ones(len(way))) for way in ways)
    return MeshDistances(forward, backward)


def nearest_points(points: Points, others: OtherPoints) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of other points: its distance (mm, float64) and its index, both (n,)."""
    from scipy.spatial import KDTree

    distances, nearest = KDTree(others, compact_nodes=False, balanced_tree=False).query(points)
    return np.asarray(distances), np.asarray(nearest)


def mesh_overlap(first: Mesh, second: Mesh, spacing: float | int = 0.5) -> MeshOverlap:
    """Count the voxels inside two closed meshes and inside both.

    The voxel centres lie at whole multiples of the spacing in the world, wherever the meshes are.

    Args:
        first: A closed mesh.
        second: A closed mesh.
        spacing: Distance between voxel centres, mm.

    Raises:
        InputError: A mesh is open, or would take more than 2^31 voxels.
    """
    boxes = [_box(mesh, spacing) for mesh in (first, second)]
    masks = [voxelise(mesh, _lattice(*box, spacing)) for mesh, box in zip((first, second), boxes, strict=True)]
    low, high = np.maximum(boxes[0][0], boxes[1][0]), np.minimum(boxes[0][1], boxes[1][1])
    shared = 0
    if (low < high).all():
        one, two = (
            mask[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))]
            for mask, (start, _) in zip(masks, boxes, strict=True)
        )
        shared = int(np.count_nonzero(one & two))
    voxel = float(spacing) ** 3
    return MeshOverlap(int(masks[0].sum()) * voxel, int(masks[1].sum()) * voxel, shared * voxel)


def surface_places(mesh: Mesh, step: float | int) -> tuple[np.ndarray, np.ndarray]:
    """Places that stand for a surface: middles of its faces, cut until no edge is longer than ``step``, and vertices.

    Returns:
        Places, mm, float64 (n, 3), and the area each stands for, mm^2 (n,): 0 for the vertices.

    Raises:
        EmptyShapeError: It has no area.
        InputError: It would take more than 50 million places.
    """
    if not mesh.area > 0:
        raise EmptyShapeError(f"a surface without area: {len(mesh.faces)} faces, all of them degenerate")
    corners = np.stack(mesh.corners, axis=1)
    longest = np.sqrt(((corners - np.roll(corners, 1, axis=1)) ** 2).sum(axis=2).max(axis=1))
    cuts = np.maximum(1, np.ceil(longest / step - 1e-9))
    if not (total := float((cuts**2).sum())) <= LARGEST_SAMPLE:
        raise InputError(
            f"a surface of {mesh.area:.4g} mm^2 takes {total:.3g} places at a step of {step:g} mm; 5e7 are the most\n"
            "  are its coordinates in mm? else take a longer step"
        )
    places, areas = [mesh.vertices[np.unique(mesh.faces)]], []
    areas.append(np.zeros(len(places[0])))
    for cut in np.unique(cuts).astype(int):
        chosen = cuts == cut
        middles = _middles(int(cut))
        places.append(np.einsum("sc,ncd->nsd", middles, corners[chosen]).reshape(-1, 3))
        areas.append(np.repeat(mesh.face_areas[chosen] / cut**2, len(middles)))
    return np.concatenate(places), np.concatenate(areas)


def _middles(cut: int) -> np.ndarray:
    """Barycentric coordinates of the middles of cut^2 equal parts of a triangle, (cut^2, 3)."""
    i, j = np.indices((cut, cut)).reshape(2, -1)
    upright = np.stack([i, j], axis=1)[i + j < cut] + 1 / 3
    turned = np.stack([i, j], axis=1)[i + j < cut - 1] + 2 / 3
    along = np.concatenate([upright, turned]) / cut
    return np.column_stack([1 - along.sum(axis=1), along])


def _directed(mesh: Mesh, other: Mesh, step: float | int) -> DirectedDistances:
    from voxbench import _core

    places, areas = surface_places(mesh, step)
    return DirectedDistances(_core.surface_distances(places, other.vertices, other.faces), areas)


def _box(mesh: Mesh, spacing: float | int) -> tuple[np.ndarray, np.ndarray]:
    """First lattice index and the one after the last that can be inside."""
    low, high = mesh.bounds
    start, stop = np.floor(low / spacing), np.ceil(high / spacing) + 1
    if not (voxels := float(np.prod(stop - start))) <= LARGEST_GRID:
        size = " x ".join(f"{extent:.4g}" for extent in high - low)
        raise InputError(
            f"a mesh of {size} mm takes {voxels:.3g} voxels of {spacing:g} mm; 2^31 are the most\n"
            "  are its coordinates in mm? else take larger voxels"
        )
    return start.astype(np.int64), stop.astype(np.int64)


def _lattice(start: np.ndarray, stop: np.ndarray, spacing: float | int) -> Grid:
    shape = tuple(int(n) for n in stop - start)
    to_world = Affine.from_parts(np.eye(3) * spacing, start * float(spacing), "world", "voxel")
    return Grid((shape[0], shape[1], shape[2]), to_world)
