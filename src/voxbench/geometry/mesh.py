"""A surface made of triangles: what it measures, whether it is closed, points on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxbench.errors import DimensionError, EmptyShapeError, InputError, NotFiniteError
from voxbench.types import AnyArray, Points, Vector3


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in the world (RAS+, mm). The order of vertices and faces is kept; nothing is merged.

    Attributes:
        vertices: Read-only float64 (n, 3), mm.
        faces: Read-only int32 (m, 3), three vertices each; counter-clockwise seen from outside where that matters.
    """

    vertices: AnyArray
    faces: AnyArray

    def __post_init__(self) -> None:
        """Refuse what is no triangle mesh, and freeze."""
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise DimensionError(f"vertices have three coordinates each; this array has shape {self.vertices.shape}")
        if self.faces.ndim != 2 or (self.faces.size and self.faces.shape[1] != 3):
            raise DimensionError(f"faces are triangles; this array has shape {self.faces.shape}")
        if not self.faces.size:
            raise EmptyShapeError(f"a mesh without faces; it has {len(self.vertices)} vertices")
        vertices = np.array(self.vertices, dtype=np.float64, order="C")
        bad = len(vertices) - int(np.isfinite(vertices).all(axis=1).sum())
        if bad:
            raise NotFiniteError(f"{bad} of {len(vertices)} vertices are NaN or infinite")
        low, high = int(self.faces.min()), int(self.faces.max())
        if low < 0 or high >= len(vertices):
            raise InputError(f"faces name vertices {low} to {high}; there are 0 to {len(vertices) - 1}")
        faces = np.array(self.faces, dtype=np.int32, order="C")
        for name, array in (("vertices", vertices), ("faces", faces)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @cached_property
    def bounds(self) -> tuple[Vector3, Vector3]:
        """The least and the greatest coordinates of what the faces use, mm."""
        used = self.vertices[np.unique(self.faces)]
        return used.min(axis=0), used.max(axis=0)

    @cached_property
    def face_areas(self) -> np.ndarray:
        """Area of each face, mm^2, float64 (m,)."""
        a, b, c = self.corners
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2

    @property
    def area(self) -> float:
        """Area of all faces, mm^2."""
        return float(self.face_areas.sum())

    @property
    def volume(self) -> float:
        """Enclosed volume, mm^3: positive where faces turn counter-clockwise seen from outside; NaN if not closed."""
        if not self.is_closed:
            return float("nan")
        a, b, c = (corner - self.bounds[0] for corner in self.corners)
        return float(np.einsum("nd,nd->", a, np.cross(b, c))) / 6

    @property
    def is_watertight(self) -> bool:
        """Whether every edge belongs to two faces exactly; vertices at one position count as one."""
        return bool((self._faces_per_edge == 2).all())

    @property
    def open_edges(self) -> int:
        """Edges that belong to an odd number of faces; vertices at one position count as one."""
        return int((self._faces_per_edge % 2).sum())

    @property
    def is_closed(self) -> bool:
        """Whether it parts inside from outside: no open edges. Surfaces that touch along an edge may be closed."""
        return self.open_edges == 0

    @cached_property
    def corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three corners of every face, mm, float64 (m, 3) each."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return a, b, c

    @cached_property
    def _faces_per_edge(self) -> np.ndarray:
        """How many faces each edge has; edges without length are left out."""
        place = same_positions(self.vertices)[1].astype(np.int64)
        faces = place[self.faces]
        ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        low, high = ends.min(axis=1), ends.max(axis=1)
        return np.unique((low * len(place) + high)[low != high], return_counts=True)[1]

    def __repr__(self) -> str:
        size = " x ".join(f"{extent:.4g}" for extent in self.bounds[1] - self.bounds[0])
        state = f"closed, {abs(self.volume) / 1000:.4g} ml" if self.is_closed else f"open at {self.open_edges} edges"
        return f"Mesh({len(self.vertices)} vertices, {len(self.faces)} faces   {size} mm   {state})"


def same_positions(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices at the same position, as one.

    Args:
        vertices: (n, 3).

    Returns:
        The first vertex at each position, in the order they turn up (p,), and the position of every vertex (n,).
    """
    order = np.lexsort(vertices.T)
    ordered = vertices[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    first = order[new]  # lexsort is stable: the first of its kind
    rank = np.argsort(first)
    position = np.empty(len(first), np.int64)
    position[rank] = np.arange(len(first))
    return first[rank], position[group]


def sample_surface(mesh: Mesh, count: int, generator: np.random.Generator) -> Points:
    """Points spread over a surface at random, as dense everywhere: independent, uniform by area.

    Args:
        mesh: The surface; it has some area.
        count: How many points.
        generator: Draws ``count`` numbers for the faces, then 2 ``count`` for the places in them.

    Returns:
        Points, mm, float64 (count, 3).

    Raises:
        EmptyShapeError: The surface has no area.
    """
    up_to = np.cumsum(mesh.face_areas)
    if not up_to[-1] > 0:
        raise EmptyShapeError(f"a surface without area: {len(mesh.faces)} faces, all of them degenerate")
    drawn = np.searchsorted(up_to, generator.random(count) * up_to[-1])
    a, b, c = (corner[drawn] for corner in mesh.corners)
    along = generator.random((count, 2))
    beyond = along.sum(axis=1) > 1
    along[beyond] = 1 - along[beyond]
    return along[:, :1] * (b - a) + along[:, 1:] * (c - a) + a
