"""Landmarks as the challenge keeps them: small blocks of one integer each in a volume."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxbench.geometry import DisplacementField, Grid, LabelMap
from voxbench.geometry.compose import vectors_at
from voxbench.types import Points

APART = 6
"""Voxels between two landmarks along some axis, at least: blocks of 3 x 3 x 3 then stay apart when they move."""


def choose_landmarks(labels: LabelMap, count: int, rng: np.random.Generator) -> Points:
    """Random places on the borders of labels, well apart and away from the faces of the grid.

    Returns:
        World points, mm, at most ``count``.
    """
    array = labels.array
    border = (ndimage.minimum_filter(array, 3) != ndimage.maximum_filter(array, 3)) & (array > 0)
    margin = APART // 2
    inner = np.zeros_like(border)
    inner[margin:-margin, margin:-margin, margin:-margin] = True
    candidates = np.argwhere(border & inner)
    rng.shuffle(candidates)
    chosen = np.empty((0, 3), np.int64)
    for voxel in candidates:
        if len(chosen) == count:
            break
        if not len(chosen) or np.abs(chosen - voxel).max(axis=1).min() >= APART:
            chosen = np.vstack([chosen, voxel])
    return labels.grid.world_from_voxel(chosen.astype(np.float64))


def moved(points: Points, map_: DisplacementField) -> Points:
    """World points through a map."""
    return points + vectors_at(map_, points)


def landmark_volume(points: Points, grid: Grid) -> LabelMap:
    """A block of 3 x 3 x 3 voxels of value n about the voxel nearest the n-th point (from 1).

    The block's centroid, which is what the evaluation reads, lies within half a voxel of the point along each axis.
    """
    volume = np.zeros(grid.shape, np.int16)
    voxels = np.floor(grid.voxel_from_world(points) + 0.5).astype(int)
    for number, (i, j, k) in enumerate(voxels, start=1):
        volume[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2, max(k - 1, 0) : k + 2] = number
    return LabelMap(volume, grid)
