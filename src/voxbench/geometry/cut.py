"""Meshes cut by a plane and closed again where they were cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry.mesh import Mesh, same_positions
from voxbench.types import AnyArray, Points, Triple


@dataclass(frozen=True, eq=False)
class Plane:
    """The points x with ``normal . x = offset``; the side the normal points to is beyond it.

    Attributes:
        normal: Of length 1.
        offset: mm.
    """

    normal: AnyArray
    offset: float

    @staticmethod
    def through(point: Triple, normal: Triple) -> Plane:
        """The plane through a point across a direction of any length.

        Raises:
            InputError: The direction has no length.
        """
        direction = np.asarray(normal, dtype=np.float64)
        length = float(np.linalg.norm(direction))
        if not length > 0:
            raise InputError(f"a plane needs a direction; got {tuple(direction.tolist())}")
        return Plane(direction / length, float(np.asarray(point, dtype=np.float64) @ direction) / length)

    def heights(self, points: Points) -> np.ndarray:
        """How far points lie beyond the plane, mm; negative before it."""
        return points @ self.normal - self.offset


@dataclass(frozen=True, eq=False)
class Section:
    """What a cut leaves: vertices between old ones, and faces; made from one shape, it serves all of its kind.

    Attributes:
        first: An old vertex for each new one, (n,).
        second: Another; the same where the vertex was kept.
        share: How far the new vertex lies from the first to the second, 0 to 1, (n,).
        faces: Of the new vertices, the lids included, (m, 3).
    """

    first: AnyArray
    second: AnyArray
    share: AnyArray
    faces: AnyArray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Anything known at the old vertices (positions, displacements), at the new ones; vertices lie along axis 0."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return values[self.first] * (1 - share) + values[self.second] * share


def cut_mesh(mesh: Mesh, *planes: Plane) -> Mesh:
    """What lies before all planes, closed by a flat lid where a plane cuts.

    Args:
        mesh: A closed mesh; edges that are cut lie between two faces that turn the same way.
        planes: Taken one after another; one that misses the mesh changes nothing.

    Raises:
        InputError: The mesh is open, or the cut is not made of simple outlines side by side.
        EmptyShapeError: Nothing is left.
    """
    for plane in planes:
        if (plane.heights(mesh.vertices[mesh.faces].reshape(-1, 3)) < 0).all():
            continue
        first, place = same_positions(mesh.vertices)
        whole = Mesh(mesh.vertices[first], place[mesh.faces])
        section = cut_section(whole, plane)
        mesh = Mesh(section.of(whole.vertices), section.faces)
    return mesh


def cut_section(mesh: Mesh, plane: Plane) -> Section:
    """How a cut leaves a mesh, as a recipe that also serves other positions of the same vertices.

    Args:
        mesh: A closed mesh whose vertices are all at different positions.
        plane: What lies beyond it goes.

    Raises:
        InputError: The mesh is open, or the cut is not made of simple outlines side by side.
        EmptyShapeError: Nothing is left.
    """
    if not mesh.is_closed:
        raise InputError(f"only a closed mesh can be cut and closed again: {mesh.open_edges} edges are open")
    heights = plane.heights(mesh.vertices)
    scale = float(np.ptp(mesh.vertices, axis=0).max())
    heights = np.where(np.abs(heights) < 1e-9 * scale, -1e-9 * scale, heights)  # a vertex in the plane is kept
    kept = heights < 0
    if not kept[mesh.faces].any():
        raise EmptyShapeError("nothing of the mesh lies before the plane")
    edges = _Crossings(mesh.faces, kept)
    old = np.flatnonzero(kept)
    number = np.cumsum(kept) - 1
    first, second = np.concatenate([old, edges.inside]), np.concatenate([old, edges.outside])
    gap = heights[first] - heights[second]
    share = np.divide(heights[first], gap, out=np.zeros(len(first)), where=gap != 0)
    section = Section(first, second, share, np.zeros((0, 3), np.int64))
    faces = [number[mesh.faces[kept[mesh.faces].all(axis=1)]]]
    faces += [edges.split(number, len(old))]
    faces += [_lid(loop, section.of(mesh.vertices), plane) for loop in edges.loops(len(old))]
    return Section(first, second, share, np.concatenate([part for part in faces if len(part)]))


class _Crossings:
    """Where edges cross a plane. Every crossed edge is known by its vertex inside and its vertex outside."""

    def __init__(self, faces: np.ndarray, kept: np.ndarray) -> None:
        inside = kept[faces]
        count = inside.sum(axis=1)
        self._mixed = np.flatnonzero((count > 0) & (count < 3))
        # turn each face so that its lone vertex (inside or outside) comes first
        self._lone_inside = count[self._mixed] == 1
        lone = np.argmax(inside[self._mixed] == self._lone_inside[:, None], axis=1)
        self._turned = np.take_along_axis(faces[self._mixed], (lone[:, None] + np.arange(3)) % 3, axis=1)
        ends = np.concatenate([self._turned[:, [0, 1]], self._turned[:, [0, 2]]])
        both = np.tile(self._lone_inside, 2)
        ends = np.where(both[:, None], ends, ends[:, ::-1])
        pairs, which = np.unique(ends, axis=0, return_inverse=True)
        self.inside, self.outside = (pairs[:, 0], pairs[:, 1]) if len(pairs) else (ends[:, 0], ends[:, 1])
        self._to_next, self._to_last = which.reshape(2, -1)

    def split(self, number: np.ndarray, offset: int) -> np.ndarray:
        """What is left of the faces that are cut."""
        lone = self._lone_inside
        a, b = self._to_next + offset, self._to_last + offset
        apex, right, left = number[self._turned].T
        tips = np.stack([apex, a, b], axis=1)[lone]
        lower = np.stack([a, right, left], axis=1)[~lone]
        upper = np.stack([a, left, b], axis=1)[~lone]
        return np.concatenate([tips, lower, upper])

    def loops(self, offset: int) -> list[list[int]]:
        """Outlines of the cut, each in the order a lid that looks beyond the plane has them."""
        start = np.where(self._lone_inside, self._to_last, self._to_next)
        end = np.where(self._lone_inside, self._to_next, self._to_last)
        following = dict(zip(start.tolist(), end.tolist(), strict=True))
        if len(following) < len(start) or set(following) != set(following.values()):
            raise InputError("the cut goes through an edge of more than two faces, or faces do not turn the same way")
        found = []
        while following:
            at = first = next(iter(following))
            loop = []
            while True:
                loop.append(at + offset)
                at = following.pop(at, first)
                if at == first:
                    break
            found.append(loop)
        return found


def _lid(loop: Sequence[int], vertices: np.ndarray, plane: Plane) -> np.ndarray:
    """Triangles that close an outline, facing beyond the plane."""
    normal = plane.normal
    across = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
    across /= np.linalg.norm(across)
    flat = vertices[list(loop)] @ np.stack([across, np.cross(normal, across)], axis=1)
    if _twice_area(flat) < 0:
        raise InputError(
            "the cut has a hole in it (an outline within an outline)\n  close the inner surface first, or cut elsewhere"
        )
    return np.array(loop)[_triangles(flat)]


def _triangles(outline: np.ndarray) -> np.ndarray:
    """A simple polygon, counter-clockwise, in triangles: ear after ear is taken off, the best shaped first."""
    left = list(range(len(outline)))
    found = []
    while len(left) > 3:
        ring = outline[left]
        before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
        turn = _cross(ring - before, after - ring)
        length = ((after - before) ** 2).sum(axis=1) + 1e-300
        order = np.argsort(-turn / length)
        ear = next((int(at) for at in order if turn[at] > 0 and _is_empty(ring, int(at))), int(order[0]))
        found.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*found, tuple(left)])


def _is_empty(ring: np.ndarray, at: int) -> bool:
    """Whether no other corner lies in the triangle of a corner and its neighbours."""
    corners = [(at - 1) % len(ring), at, (at + 1) % len(ring)]
    others = np.delete(ring, corners, axis=0)
    a, b, c = ring[corners]
    sides = [_cross(end - start, others - start) for start, end in ((a, b), (b, c), (c, a))]
    return not bool((np.stack(sides) >= 0).all(axis=0).any())


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def _twice_area(outline: np.ndarray) -> float:
    return float(_cross(outline, np.roll(outline, -1, axis=0)).sum())
