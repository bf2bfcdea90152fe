"""A volume on a finer grid by interpolation alone: the methods every other one has to beat."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry import Grid, Volume
from voxbench.tasks.superresolution.taps import HALF_VOXEL, KERNELS, Kernel, prefiltered, taps

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["KERNELS", "Kernel", "interpolate"]

SLAB_VOXELS = 1 << 21
ALIGNED = 1e-4
"""Grids are parallel when no axis of one, in voxels of the other, is further off than this over the whole box."""
OUTSIDE_HU = -1024.0


def interpolate(volume: Volume, onto: Grid, kernel: Kernel, outside: float = OUTSIDE_HU) -> Volume:
    """Read a volume at the voxel centres of any grid.

    Parallel grids are done an axis at a time; others, and they are slow, voxel by voxel. Beside the result no more than
    the volume stretched along two axes is held in memory (parallel grids), or the volume itself (others). Nothing is
    averaged: onto a coarser grid the result is aliased.

    Args:
        volume: What is read; each sample stands for the middle of its voxel.
        onto: The grid of the result.
        kernel: How samples are joined, see ``KERNELS``.
        outside: Value beyond the outer faces of the volume's voxels.

    Returns:
        float32. On its own grid a volume comes back as it is, up to rounding.

    Raises:
        InputError: There is no such kernel.
    """
    if kernel not in KERNELS:
        raise InputError(f"{kernel}: no such interpolation\n  there are {', '.join(KERNELS)}")
    source = prefiltered(volume.array, kernel)
    axes = _parallel(volume.grid, onto)
    if axes is None:
        return Volume(_oblique(source, volume.grid, onto, kernel, outside), onto)
    return Volume(_separable(source, _Parallel(volume.grid, onto, axes), kernel, outside), onto)


class _Parallel:
    """Positions along each axis of the volume, for grids whose axes are parallel."""

    def __init__(self, grid: Grid, onto: Grid, axes: tuple[int, int, int]) -> None:
        map_ = grid.voxel_from_world @ onto.world_from_voxel
        start = map_(np.zeros(3))
        self.axes = axes
        """For each axis of the volume, which axis of the result runs along it."""
        self.shape = tuple(onto.shape[a] for a in axes)
        self.positions = [start[v] + map_.linear[v, a] * np.arange(onto.shape[a]) for v, a in enumerate(axes)]


def _parallel(grid: Grid, onto: Grid) -> tuple[int, int, int] | None:
    """Which axis of ``onto`` runs along each axis of ``grid``; None for oblique ones."""
    linear = (grid.voxel_from_world @ onto.world_from_voxel).linear
    axes = np.abs(linear).argmax(axis=1)
    if len(set(axes.tolist())) < 3:
        return None
    rest = np.abs(linear) * np.asarray(onto.shape)
    rest[np.arange(3), axes] = 0
    return (int(axes[0]), int(axes[1]), int(axes[2])) if rest.max() < ALIGNED else None


def _separable(source: np.ndarray, places: _Parallel, kernel: Kernel, outside: float) -> np.ndarray:
    """An axis at a time, the first one last and slab by slab."""
    first, second, third = (_matrix(p, n, kernel) for p, n in zip(places.positions, source.shape, strict=True))
    middle = np.empty((source.shape[0], *places.shape[1:]), np.float32)
    for i, plane in enumerate(source):
        middle[i] = second @ np.ascontiguousarray((third @ plane.T).T)
    flat = middle.reshape(len(middle), -1)
    # Written in the order of the result's axes, so that nothing is transposed in memory afterwards.
    out = np.empty(tuple(places.shape[places.axes.index(a)] for a in range(3)), np.float32)
    view = out.transpose(places.axes)
    step = max(1, SLAB_VOXELS // flat.shape[1])
    for i in range(0, places.shape[0], step):
        slab = first[i : i + step] @ flat
        view[i : i + step] = slab.reshape(-1, *places.shape[1:])
    for axis, (positions, n) in enumerate(zip(places.positions, source.shape, strict=True)):
        beyond = (positions < -HALF_VOXEL) | (positions > n - 1 + HALF_VOXEL)
        if beyond.any():
            np.moveaxis(view, axis, 0)[beyond] = outside
    return out


def _matrix(positions: np.ndarray, size: int, kernel: Kernel) -> csr_array:
    """The taps of one axis as a sparse matrix (positions, size), float32."""
    from scipy.sparse import csr_array

    index, weight = taps(positions, size, kernel)
    rows = np.repeat(np.arange(len(positions)), index.shape[1])
    return csr_array((weight.ravel(), (rows, index.ravel())), shape=(len(positions), size), dtype=np.float32)


def _oblique(source: np.ndarray, grid: Grid, onto: Grid, kernel: Kernel, outside: float) -> np.ndarray:
    """Voxel by voxel, in slabs along the first axis."""
    map_ = grid.voxel_from_world @ onto.world_from_voxel
    rows = np.indices((1, *onto.shape[1:])).reshape(3, -1).T.astype(np.float64)
    out = np.empty(onto.shape, np.float32)
    for i in range(onto.shape[0]):
        rows[:, 0] = i
        positions = map_(rows)
        values = _gathered(source, positions, kernel)
        limit = np.asarray(source.shape) - 1 + HALF_VOXEL
        values[((positions < -HALF_VOXEL) | (positions > limit)).any(axis=1)] = outside
        out[i] = values.reshape(onto.shape[1:])
    return out


def _gathered(source: np.ndarray, positions: np.ndarray, kernel: Kernel) -> np.ndarray:
    """The sum over all taps at positions (n, 3)."""
    (i, wi), (j, wj), (k, wk) = (taps(positions[:, a], source.shape[a], kernel) for a in range(3))
    out = np.zeros(len(positions), np.float32)
    for a, b in itertools.product(range(i.shape[1]), range(j.shape[1])):
        inner = np.zeros(len(positions), np.float32)
        for c in range(k.shape[1]):
            inner += wk[:, c] * source[i[:, a], j[:, b], k[:, c]]
        out += wi[:, a] * wj[:, b] * inner
    return out
