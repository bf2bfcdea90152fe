"""Smooth random scalar fields in the world, the same whichever way the grid's axes run."""

from __future__ import annotations

import numpy as np

from voxbench import _core
from voxbench.geometry import Affine, Grid, Volume, resample

STEPS_PER_SMOOTHNESS = 2.0
"""Lattice points per standard deviation: the lattice is then read with cubic splines."""


def smooth_noise(grid: Grid, rng: np.random.Generator, smoothness_mm: float, box: Grid | None = None) -> np.ndarray:
    """White noise smoothed by a Gaussian, unit variance, float32 on ``grid``.

    It is drawn on a coarse lattice along the world's axes that covers the grid's box, so that grids of other
    spacing or orientation over one box read one field.

    Args:
        grid: Where the field is read.
        rng: Source of randomness.
        smoothness_mm: Standard deviation of the Gaussian, mm.
        box: Draw for this box rather than for that of ``grid``; beyond it (and a margin) the field is 0.
    """
    lattice = _lattice(grid if box is None else box, smoothness_mm / STEPS_PER_SMOOTHNESS)
    noise = rng.standard_normal(lattice.shape, dtype=np.float32)
    _core.gaussian(noise, np.full(3, STEPS_PER_SMOOTHNESS, np.float32), False)
    noise *= (2 * np.sqrt(np.pi) * STEPS_PER_SMOOTHNESS) ** 1.5
    return np.array(resample(Volume(noise, lattice), onto=grid, interpolation="cubic").array)


def _lattice(grid: Grid, step_mm: float) -> Grid:
    """Points ``step_mm`` apart along the world's axes, reaching four smoothing widths beyond the box."""
    ends = [(-0.5, n - 0.5) for n in grid.shape]
    faces = grid.world_from_voxel(np.array(np.meshgrid(*ends, indexing="ij"), dtype=np.float64).reshape(3, -1).T)
    low, high = faces.min(axis=0), faces.max(axis=0)
    margin = int(np.ceil(4 * STEPS_PER_SMOOTHNESS))
    count = np.ceil((high - low) / step_mm - 1e-3).astype(int) + 1 + 2 * margin
    origin = (low + high) / 2 - (count - 1) / 2 * step_mm
    return Grid((int(count[0]), int(count[1]), int(count[2])), Affine.from_parts(np.eye(3) * step_mm, origin))
