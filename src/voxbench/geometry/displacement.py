"""Displacement fields: one vector per voxel of the fixed grid, in mm, pulling back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import GridMismatchError, NotFiniteError
from voxbench.geometry.affine import Affine
from voxbench.geometry.grid import Grid
from voxbench.types import AnyArray, PlanarVoxelVectors, Points


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """The map ``moving_point = x + u(x)`` for every x on the fixed grid: ``warped(x) = moving(x + u(x))``.

    Attributes:
        array: u, float32, shape (i, j, k, 3), mm along the world's RAS+ axes; read-only, C-contiguous.
        grid: The fixed grid.
    """

    array: AnyArray
    grid: Grid

    def __post_init__(self) -> None:
        """Check the array against the grid and freeze it."""
        if self.array.shape != (*self.grid.shape, 3):
            raise GridMismatchError(
                f"a displacement field has one 3-vector per voxel: expected {(*self.grid.shape, 3)}, "
                f"got {self.array.shape}"
            )
        array = np.ascontiguousarray(self.array, dtype=np.float32).view()
        if not np.isfinite(array).all():
            raise NotFiniteError("displacement field: some vectors are NaN or infinite")
        array.flags.writeable = False
        object.__setattr__(self, "array", array)

    @staticmethod
    def zeros(grid: Grid) -> DisplacementField:
        """The field that moves nothing."""
        return DisplacementField(np.zeros((*grid.shape, 3), np.float32), grid)

    @staticmethod
    def from_affine(moving_from_fixed: Affine, grid: Grid) -> DisplacementField:
        """The field of an affine map of world points."""
        points = grid_points(grid)
        return DisplacementField((moving_from_fixed(points) - points).astype(np.float32), grid)

    @staticmethod
    def from_voxels(planar: PlanarVoxelVectors, grid: Grid) -> DisplacementField:
        """From vectors in voxels of ``grid``, shape (3, i, j, k)."""
        linear = grid.world_from_voxel.linear.astype(np.float32)
        return DisplacementField(np.moveaxis(planar, 0, -1) @ linear.T, grid)

    def in_voxels(self) -> PlanarVoxelVectors:
        """Vectors in voxels of the fixed grid, shape (3, i, j, k)."""
        linear = self.grid.voxel_from_world.linear.astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(self.array @ linear.T, -1, 0))

    @property
    def magnitude(self) -> np.ndarray:
        """Length of each vector, mm."""
        return np.sqrt(np.einsum("ijkc,ijkc->ijk", self.array, self.array))

    def __repr__(self) -> str:
        size = self.magnitude
        return f"DisplacementField({self.grid}   mean {size.mean():.3g} mm, largest {size.max():.3g} mm)"


def grid_points(grid: Grid) -> Points:
    """World positions of all voxel centres, shape (i, j, k, 3), float64."""
    index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid.shape), indexing="ij"), axis=-1)
    return grid.world_from_voxel(index)
