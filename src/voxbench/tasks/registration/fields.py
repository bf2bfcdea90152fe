"""The pair of displacement fields that a registration carries, and operations on planar fields in voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench import _core
from voxbench.types import PlanarVoxelVectors

Shape = tuple[int, int, int]

LEAST_JACOBIAN = 0.02
"""A map counts as folded where a one-sided Jacobian determinant is below this: a margin for float32 files."""
UNFOLDING_ROUNDS = 60
INVERSE_STEPS = 40


@dataclass(frozen=True, eq=False)
class Fields:
    """Displacements of both images to the middle.

    Attributes:
        moving: Planar float32 (3, i, j, k), voxels: the moving image is read at x + moving(x).
        fixed: Likewise for the fixed image; None when it stays.
    """

    moving: PlanarVoxelVectors
    fixed: PlanarVoxelVectors | None

    @staticmethod
    def starting(size: Shape, start: PlanarVoxelVectors | None, shape: Shape, symmetric: bool) -> Fields:
        """Fields on a level: nothing moved, or the moving image by ``start`` (given on the grid of ``shape``)."""
        moving = np.zeros((3, *size), np.float32) if start is None else regrid(start, size, ratio_of(shape, size))
        return Fields(moving, np.zeros_like(moving) if symmetric else None)

    @property
    def shape(self) -> Shape:
        """Of the level."""
        return self.moving.shape[1], self.moving.shape[2], self.moving.shape[3]

    @property
    def sides(self) -> tuple[PlanarVoxelVectors, ...]:
        """The fields there are, the moving image's first."""
        return (self.moving,) if self.fixed is None else (self.moving, self.fixed)

    def empty_like(self) -> Fields:
        """Room for as many fields."""
        return Fields(np.empty_like(self.moving), None if self.fixed is None else np.empty_like(self.fixed))

    def regridded(self, size: Shape, factor: float) -> Fields:
        """Brought to a level whose voxels are smaller by ``factor``."""
        fixed = None if self.fixed is None else regrid(self.fixed, size, factor)
        return Fields(regrid(self.moving, size, factor), fixed)


def ratio_of(shape: Shape, size: Shape) -> float:
    """How many times smaller the voxels of the grid of ``size`` are; below one when they are larger."""
    return 1.0 / round(max(a / b for a, b in zip(shape, size, strict=True)))


def regrid(field: PlanarVoxelVectors, size: Shape, factor: float) -> np.ndarray:
    """A field on a grid with voxels smaller by ``factor``, whose first voxel begins at the same face."""
    out = np.empty((3, *size), np.float32)
    offset = (1 / factor - 1) / 2
    _core.regrid_planar(
        field,
        np.full(3, offset, np.float32),
        np.full(3, 1 / factor, np.float32),
        np.full(3, factor, np.float32),
        out,
    )
    return out


def compose_planar(outer: PlanarVoxelVectors, inner: PlanarVoxelVectors) -> np.ndarray:
    """First ``inner``, then ``outer``."""
    out = np.empty_like(outer)
    _core.compose_planar(outer, inner, 1.0, out)
    return out


def inverse_of(field: PlanarVoxelVectors) -> PlanarVoxelVectors:
    """The inverse map's field."""
    inverse = np.zeros_like(field)
    refine_inverse(field, inverse)
    return inverse


def refine_inverse(field: PlanarVoxelVectors, inverse: PlanarVoxelVectors) -> None:
    """Bring a guess of the inverse to the inverse, in place."""
    _core.invert_planar(field, INVERSE_STEPS, inverse)


def unfold(field: PlanarVoxelVectors) -> None:
    """Smooth the field a little, in place, wherever its map folds or nearly does, until it nowhere does."""
    sigma = np.full(3, 1.0, np.float32)
    for _ in range(UNFOLDING_ROUNDS):
        bad = _core.jacobian_minimum(field) < LEAST_JACOBIAN
        if not bad.any():
            break
        for box in _boxes(bad):
            patch = np.ascontiguousarray(field[(slice(None), *box)])
            smooth = patch.copy()
            _core.gaussian(smooth, sigma, True)
            share = bad[box].astype(np.float32)
            _core.gaussian(share, np.full(3, 1.5, np.float32), False)
            share = np.minimum(1, 12 * share)
            field[(slice(None), *box)] = patch + share * (smooth - patch)


def _boxes(bad: np.ndarray) -> list[tuple[slice, slice, slice]]:
    """Boxes that together hold every bad voxel with room around it."""
    from scipy import ndimage

    labels = np.empty(bad.shape, np.int32)
    ndimage.label(ndimage.binary_dilation(bad, iterations=4), output=labels)
    grown = []
    for found in ndimage.find_objects(labels):
        i, j, k = (slice(max(0, s.start - 2), min(n, s.stop + 2)) for s, n in zip(found, bad.shape, strict=True))
        grown.append((i, j, k))
    return grown
