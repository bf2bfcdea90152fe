"""Blur along one axis as a matrix, and its application to volumes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from voxbench import _core
from voxbench.errors import InputError

FINE = 16
"""Steps per voxel at which a profile is tabulated."""
LEAST_WEIGHT = 1e-7
"""Weights up to this are left out of a band."""
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
    """A banded matrix, of each row the columns that are not zero, and the same of its transposed.

    Attributes:
        shape: Rows, columns.
        first: First column of each row, int32.
        weights: Of the columns from there on, float32, (rows, width).
        transposed: ``first`` and ``weights`` of the transposed matrix.
    """

    shape: tuple[int, int]
    first: np.ndarray
    weights: np.ndarray
    transposed: tuple[np.ndarray, np.ndarray]

    @staticmethod
    def of(matrix: np.ndarray) -> Banded:
        """Leave out the zeros outside the band."""
        first, weights = _band(matrix)
        return Banded((matrix.shape[0], matrix.shape[1]), first, weights, _band(matrix.T))

    def along(self, array: np.ndarray, axis: int) -> np.ndarray:
        """Multiply along one axis of a float32 volume."""
        out = _resized(array, axis, self.shape[0])
        _core.band_along(array, axis, self.first, self.weights, out, False)
        return out

    def back(self, array: np.ndarray, axis: int, onto: np.ndarray | None = None) -> np.ndarray:
        """Multiply with the transposed along one axis; with ``onto`` the product is added to it."""
        add = onto is not None
        out = _resized(array, axis, self.shape[1]) if onto is None else onto
        if axis == 2:
            _core.band_spread(array, self.first, self.weights, out, add)
        else:
            _core.band_along(array, axis, *self.transposed, out, add)
        return out


def _band(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = np.abs(matrix) > LEAST_WEIGHT
    columns = matrix.shape[1]
    low = used.argmax(axis=1)
    high = np.where(used.any(axis=1), columns - used[:, ::-1].argmax(axis=1), 1)
    width = int((high - low).max())
    first = np.minimum(low, columns - width)
    weights = np.take_along_axis(matrix, first[:, None] + np.arange(width), axis=1)
    return first.astype(np.int32), np.ascontiguousarray(weights, dtype=np.float32)


def _resized(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    size = list(array.shape)
    size[axis] = count
    return np.empty(size, np.float32)
