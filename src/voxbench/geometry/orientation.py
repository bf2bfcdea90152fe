"""Arrays seen along the world's axes, whichever way a file's voxels run; exact, and back again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.affine import Affine
from voxbench.geometry.grid import Grid, world_axis_of_voxel_axis
from voxbench.types import AnyArray

_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class Reordering:
    """A change of the order and the sense of an array's last three axes; no value is interpolated.

    Attributes:
        axes: For each axis of the result, the axis of the original.
        flips: Whether it runs the other way.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @staticmethod
    def to(grid: Grid, orientation: str = "RAS") -> Reordering:
        """What makes the axes of a grid point (most nearly) as the letters say, e.g. ``RAS`` or ``LPS``.

        Raises:
            InputError: The letters do not name three axes.
        """
        wanted = [_LETTERS.get(letter, (-1, 0)) for letter in orientation]
        if sorted(axis for axis, _ in wanted) != [0, 1, 2]:
            raise InputError(f"{orientation!r}: three letters, one each of R or L, A or P, S or I")
        world = world_axis_of_voxel_axis(grid.direction)
        axes = [world.index(axis) for axis, _ in wanted]
        flips = [grid.direction[w, a] * sign < 0 for a, (w, sign) in zip(axes, wanted, strict=True)]
        return Reordering((axes[0], axes[1], axes[2]), (bool(flips[0]), bool(flips[1]), bool(flips[2])))

    def __call__(self, array: AnyArray) -> AnyArray:
        """An array of the original's order in the new one (a view); leading axes stay."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        return moved[(..., *(slice(None, None, -1) if flip else slice(None) for flip in self.flips))]

    def back(self, array: AnyArray) -> AnyArray:
        """The inverse."""
        lead = array.ndim - 3
        unflipped = array[(..., *(slice(None, None, -1) if flip else slice(None) for flip in self.flips))]
        return unflipped.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(self.axes)))

    def grid(self, grid: Grid) -> Grid:
        """Where the voxels of the reordered array lie."""
        shape = [grid.shape[axis] for axis in self.axes]
        matrix = np.zeros((3, 3))
        offset = np.zeros(3)
        for new, (old, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            matrix[old, new] = -1 if flip else 1
            offset[old] = grid.shape[old] - 1 if flip else 0
        step = Affine.from_parts(matrix, offset, "voxel", "voxel")
        return Grid((shape[0], shape[1], shape[2]), grid.world_from_voxel @ step)
