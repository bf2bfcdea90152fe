"""The algebra of maps: one after another, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxbench import _core
from voxbench.geometry.affine import Affine
from voxbench.geometry.displacement import DisplacementField, grid_points
from voxbench.geometry.grid import Grid
from voxbench.geometry.resample import Map

SLAB = 16
"""Planes composed at a time: points are float64 and would fill the memory."""
INVERSE_ITERATIONS = 60
"""Newton steps at most; each voxel stops by itself once it moves less than 1e-4 voxel."""


def compose(maps: Sequence[Map], onto: Grid) -> DisplacementField:
    """One field for several maps applied in turn, the first map first.

    A point x of ``onto`` goes through ``maps[0]``, its image through ``maps[1]``, and so on; so for ``b_from_a`` and
    ``c_from_b`` the call ``compose([b_from_a, c_from_b], onto=a.grid)`` is the field ``c_from_a``. Between the voxels
    of a field its vectors are interpolated linearly; beyond its grid the border's vector goes on.

    Args:
        maps: Affine maps and displacement fields of world points.
        onto: The grid of the result, where the first map starts.

    Returns:
        The field on ``onto``.
    """
    if len(maps) == 1 and isinstance(maps[0], DisplacementField) and maps[0].grid.same_as(onto):
        return maps[0]
    out = np.empty((*onto.shape, 3), np.float32)
    for i in range(0, onto.shape[0], SLAB):
        slab = onto.cropped((i, 0, 0), (min(i + SLAB, onto.shape[0]), *onto.shape[1:]))
        start = grid_points(slab)
        points = start
        for step in maps:
            points = step(points) if isinstance(step, Affine) else points + vectors_at(step, points)
        out[i : i + SLAB] = points - start
    return DisplacementField(out, onto)


def vectors_at(field: DisplacementField, points: np.ndarray) -> np.ndarray:
    """The field's vectors (mm) at world points of shape (..., 3); beyond the grid the border's vector goes on."""
    voxels = field.grid.voxel_from_world(points)
    return _core.sample_vectors(field.array, np.ascontiguousarray(voxels.reshape(-1, 3))).reshape(points.shape)


def invert(field: DisplacementField, onto: Grid | None = None) -> DisplacementField:
    """The field of the inverse map, so that v(y) = -u(y + v(y)), by Newton steps.

    Args:
        field: u, on the fixed grid; its map must not fold.
        onto: The grid of the result, the moving grid; by default the field's own.

    Returns:
        v on ``onto``, with x + u(x) = y exactly where y + v(y) = x. Where the inverse leaves the field's grid the
        border's vector goes on.

    References:
        M. Chen et al., Medical Physics 35:81-88, 2008, doi:10.1118/1.2816107
    """
    onto = field.grid if onto is None else onto
    planar = field.in_voxels()
    inverse = np.zeros_like(planar)
    _core.invert_planar(planar, INVERSE_ITERATIONS, inverse)
    own = DisplacementField.from_voxels(inverse, field.grid)
    if onto.same_as(field.grid):
        return own
    points = grid_points(onto)
    vectors = vectors_at(own, points)
    for _ in range(INVERSE_ITERATIONS):
        change = -vectors_at(field, points + vectors) - vectors
        vectors += change
        if np.abs(change).max() < 1e-3:
            break
    return DisplacementField(vectors.astype(np.float32), onto)
