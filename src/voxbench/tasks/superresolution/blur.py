"""Blur along one axis as a matrix, and its application to volumes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from voxbench.errors import InputError

FINE = 16
"""Steps per voxel at which a profile is tabulated."""
CHUNK = 64
"""Rows of a banded matrix multiplied together as one dense block."""
SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))

AxisMatrix = Float32[np.ndarray, "m n"]
"""Samples of an observation (rows) from voxels of the volume (columns), along one axis."""


@dataclass(frozen=True)
class AxisBlur:
    """Sensitivity of a sample along one axis: a Gaussian, convolved with a box and a triangle, all in mm.

    Attributes:
        fwhm: Full width at half maximum of the Gaussian (point spread of the reconstruction kernel).
        box: Width of the box (slice thickness).
        triangle: Half the base of the triangle: the spacing of the samples between which the observation was
            interpolated linearly before it came to us (0: not interpolated). Sample and interpolation averaged over
            all positions of the samples is a convolution with this triangle.
    """

    fwhm: float
    box: float = 0.0
    triangle: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative and infinite widths."""
        for name in ("fwhm", "box", "triangle"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"a blur width is zero or positive, in mm; {name} is {getattr(self, name)}")

    @property
    def reach(self) -> float:
        """Distance from the centre beyond which nothing is seen, mm."""
        return 4 * self.fwhm * SIGMA_PER_FWHM + self.box / 2 + self.triangle

    def cumulative(self, spacing: float) -> tuple[Float64[np.ndarray, " p"], Float64[np.ndarray, " p"]]:
        """Positions (voxels of ``spacing`` mm) and the share of the profile up to each."""
        step = 1.0 / FINE
        half = int(np.ceil((self.reach / spacing + 1) * FINE))
        at = np.arange(-half, half + 1) * step
        profile = np.zeros(at.size)
        profile[half] = 1.0
        for kernel in (_gauss(self.fwhm / spacing), _box(self.box / spacing), _triangle(self.triangle / spacing)):
            profile = np.convolve(profile, kernel, mode="same")
        edges = np.concatenate([at - step / 2, [at[-1] + step / 2]])
        share = np.concatenate([[0.0], np.cumsum(profile)])
        return edges, share / share[-1]


def _steps(half_width: float) -> Float64[np.ndarray, " q"]:
    """Fine positions covering a half width, in voxels, symmetric about 0."""
    half = int(np.ceil(half_width * FINE + 0.5))
    return np.arange(-half, half + 1) / FINE


def _gauss(fwhm: float) -> Float64[np.ndarray, " q"]:
    """A Gaussian on the fine positions, of sum 1; a single 1 for no width."""
    sigma = fwhm * SIGMA_PER_FWHM
    if sigma * FINE < 0.25:
        return np.ones(1)
    kernel = np.exp(-0.5 * (_steps(4 * sigma) / sigma) ** 2)
    return kernel / kernel.sum()


def _box(width: float) -> Float64[np.ndarray, " q"]:
    """A box on the fine positions, its end cells filled in part."""
    if width * FINE < 0.5:
        return np.ones(1)
    at = _steps(width / 2)
    kernel = np.clip(0.5 + (width / 2 - np.abs(at)) * FINE, 0, 1)
    return kernel / kernel.sum()


def _triangle(spacing: float) -> Float64[np.ndarray, " q"]:
    """A triangle on the fine positions."""
    if spacing * FINE < 0.5:
        return np.ones(1)
    kernel = np.clip(1 - np.abs(_steps(spacing)) / spacing, 0, None)
    return kernel / kernel.sum()


def axis_matrix(blur: AxisBlur, positions: Float64[np.ndarray, " m"], count: int, spacing: float) -> AxisMatrix:
    """What each sample sees of each voxel along one axis.

    A voxel counts by the share of the profile over its extent; what lies beyond the first or last voxel counts for
    that voxel (the volume goes on as it ends), so that every row has sum 1.

    Args:
        blur: The profile, mm.
        positions: Where the samples lie, in voxels of the volume.
        count: Number of voxels of the volume along the axis.
        spacing: Of the voxels, mm.

    Returns:
        Float32 matrix, (samples, voxels).
    """
    edges, share = blur.cumulative(spacing)
    faces = np.arange(count + 1) - 0.5
    seen = np.interp(faces[None] - positions[:, None], edges, share)
    seen[:, 0], seen[:, -1] = 0.0, 1.0
    return np.diff(seen, axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Banded:
    """A banded matrix as dense blocks of some rows and the columns they touch.

    Attributes:
        shape: Rows, columns.
        blocks: First row, first column, dense part.
    """

    shape: tuple[int, int]
    blocks: tuple[tuple[int, int, np.ndarray], ...]

    @staticmethod
    def of(matrix: AxisMatrix) -> Banded:
        """Cut a matrix into blocks, leaving out the zeros outside its band."""
        blocks = []
        for first in range(0, matrix.shape[0], CHUNK):
            rows = matrix[first : first + CHUNK]
            used = np.flatnonzero(np.abs(rows).max(axis=0) > 1e-7)
            low, high = int(used[0]), int(used[-1]) + 1
            blocks.append((first, low, np.ascontiguousarray(rows[:, low:high])))
        return Banded((matrix.shape[0], matrix.shape[1]), tuple(blocks))

    def along(self, array: np.ndarray, axis: int, transposed: bool = False) -> np.ndarray:
        """Multiply along one axis of a volume (with the transpose, if so asked)."""
        size = list(array.shape)
        size[axis] = self.shape[1] if transposed else self.shape[0]
        if len(self.blocks) == 1 and self.blocks[0][2].shape == self.shape:
            matrix = self.blocks[0][2]
            return _times(matrix.T if transposed else matrix, array, axis)
        out = np.zeros(size, dtype=array.dtype)
        for row, column, block in self.blocks:
            rows = _span(axis, row, block.shape[0])
            columns = _span(axis, column, block.shape[1])
            if transposed:
                out[columns] += _times(block.T, array[rows], axis)
            else:
                out[rows] = _times(block, array[columns], axis)
        return out


def _span(axis: int, first: int, count: int) -> tuple[slice, ...]:
    """Index of a range along one axis."""
    return tuple(slice(first, first + count) if a == axis else slice(None) for a in range(3))


def _times(matrix: np.ndarray, array: np.ndarray, axis: int) -> np.ndarray:
    """A small dense matrix times a volume along one axis."""
    matrix = matrix.astype(array.dtype, copy=False)
    if axis == 2:
        flat = np.ascontiguousarray(array).reshape(-1, array.shape[2])
        return (flat @ matrix.T).reshape(*array.shape[:2], -1)
    if axis == 1:
        return np.matmul(matrix, array)
    return (matrix @ np.ascontiguousarray(array).reshape(array.shape[0], -1)).reshape(-1, *array.shape[1:])
