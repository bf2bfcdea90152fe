"""The area of the surface element in every cell of a mask, for any spacing.

A cell is the cube between eight neighbouring voxel centres. Its code has one bit per corner, set where the mask is
(bit 7 - (4a + 2b + c) for corner (a, b, c)). The marching-cubes surface of a cell passes through the middle of every
edge whose ends differ; this file derives its area for all 256 codes from that alone:

- a code and its complement have one surface: take the corners of the smaller half;
- on a face whose diagonal corners are set and whose others are not, the set corners are kept apart;
- what the segments on the six faces close into are polygons; one that is not flat is cut into triangles so that its
  area on the unit cube is the largest of all ways, and this cut stays for any spacing.

These rules give the areas of the table in DeepMind's surface-distance package to the last digits (tests/golden).
W. E. Lorensen and H. E. Cline, Computer Graphics 21(4):163-169, 1987, doi:10.1145/37402.37422.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

Corner = tuple[int, int, int]
Edge = tuple[Corner, Corner]
Triangle = tuple[Edge, Edge, Edge]

_CORNERS: tuple[Corner, ...] = tuple((a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1))


@lru_cache(maxsize=32)
def element_areas(spacing: tuple[float, float, float]) -> np.ndarray:
    """Area of the surface element of each neighbour code, mm^2, shape (256,), read-only.

    Args:
        spacing: Distance between voxel centres along i, j, k, mm.
    """
    areas = np.array([_area(triangles, spacing) for triangles in _triangulations()])
    areas.flags.writeable = False
    return areas


def neighbour_codes(mask: np.ndarray) -> np.ndarray:
    """The code of every cell that touches the mask's box, uint8, shape (i + 1, j + 1, k + 1).

    Cell (x, y, z) lies between the voxels x - 1 and x, and so on; beyond the box the mask is empty.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    stop = [n - 1 for n in padded.shape]
    codes = np.zeros(stop, np.uint8)
    for a, b, c in _CORNERS:
        codes |= padded[a : a + stop[0], b : b + stop[1], c : c + stop[2]] << np.uint8(7 - (4 * a + 2 * b + c))
    return codes


@lru_cache(maxsize=1)
def _triangulations() -> tuple[tuple[Triangle, ...], ...]:
    """The triangles of every code."""
    return tuple(tuple(_triangles_of(code)) for code in range(256))


def _triangles_of(code: int) -> list[Triangle]:
    inside = {corner for n, corner in enumerate(_CORNERS) if code >> (7 - n) & 1}
    if len(inside) > 4:
        inside = set(_CORNERS) - inside
    triangles: list[Triangle] = []
    for loop in _loops(inside):
        cuts = [list(cut) for cut in _cuts(loop)]
        triangles += max(cuts, key=lambda cut: round(_area(cut, (1.0, 1.0, 1.0)), 9))
    return triangles


def _faces() -> Iterator[tuple[Corner, ...]]:
    """The four corners of each face, in cyclic order."""
    for axis, side in itertools.product(range(3), (0, 1)):
        around = []
        for first, second in ((0, 0), (1, 0), (1, 1), (0, 1)):
            corner = [first, second]
            corner.insert(axis, side)
            around.append((corner[0], corner[1], corner[2]))
        yield tuple(around)


def _edge(one: Corner, other: Corner) -> Edge:
    return (one, other) if one < other else (other, one)


def _segments(inside: set[Corner]) -> Iterator[tuple[Edge, Edge]]:
    """The surface's lines on the faces, as pairs of cube edges whose middles they join."""
    for face in _faces():
        edges = [_edge(face[n - 1], face[n]) for n in range(4)]
        crossed = [n for n in range(4) if (face[n - 1] in inside) != (face[n] in inside)]
        if len(crossed) == 2:
            yield edges[crossed[0]], edges[crossed[1]]
        elif len(crossed) == 4:
            yield from ((edges[n], edges[(n + 1) % 4]) for n in range(4) if face[n] in inside)


def _loops(inside: set[Corner]) -> list[list[Edge]]:
    """The closed polygons the segments make: every crossed edge lies on two faces and so has two partners."""
    partners: dict[Edge, list[Edge]] = {}
    for one, other in _segments(inside):
        partners.setdefault(one, []).append(other)
        partners.setdefault(other, []).append(one)
    loops = []
    while partners:
        loop = [min(partners)]
        while ahead := [edge for edge in partners.pop(loop[-1]) if edge in partners]:
            loop.append(ahead[0])
        loops.append(loop)
    return loops


def _cuts(loop: list[Edge]) -> Iterator[tuple[Triangle, ...]]:
    """Every way to cut a polygon into triangles along its diagonals."""
    if len(loop) < 3:
        yield ()
    for apex in range(1, len(loop) - 1):
        for before, after in itertools.product(_cuts(loop[: apex + 1]), _cuts(loop[apex:])):
            yield (*before, (loop[0], loop[apex], loop[-1]), *after)


def _area(triangles: tuple[Triangle, ...] | list[Triangle], spacing: tuple[float, float, float]) -> float:
    if not triangles:
        return 0.0
    middles = np.array(triangles, dtype=np.float64).mean(axis=2) * spacing
    normals = np.cross(middles[:, 1] - middles[:, 0], middles[:, 2] - middles[:, 0])
    return float(np.sqrt((normals**2).sum(axis=1)).sum() / 2)
