"""Arrays on a grid: intensities and label ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from voxbench.errors import DimensionError, EmptyShapeError, GridMismatchError, InputError, NotFiniteError
from voxbench.geometry.grid import Grid
from voxbench.types import AnyArray


def _on_grid(array: np.ndarray, grid: Grid, kind: str) -> np.ndarray:
    """The array as a read-only, C-contiguous view or copy, after checking that it fits its grid."""
    if array.ndim != 3:
        raise DimensionError(f"a {kind} has three axes; this array has {array.ndim}: {array.shape}")
    if array.shape != grid.shape:
        raise GridMismatchError(f"the array has shape {array.shape}, its grid {grid.shape}")
    contiguous = np.ascontiguousarray(array).view()
    contiguous.flags.writeable = False
    return contiguous


@dataclass(frozen=True, eq=False)
class Volume:
    """Intensities on a grid.

    Attributes:
        array: Read-only, C-contiguous, indexed [i, j, k]; any real dtype.
        grid: Where the voxels lie.
    """

    array: AnyArray
    grid: Grid

    def __post_init__(self) -> None:
        """Check the array against the grid and freeze it."""
        object.__setattr__(self, "array", _on_grid(self.array, self.grid, "volume"))

    def require_usable(self, name: str) -> None:
        """Refuse NaNs, infinities and constant images.

        Raises:
            NotFiniteError: Some voxels are NaN or infinite.
            EmptyShapeError: All voxels have one value.
        """
        if np.issubdtype(self.array.dtype, np.floating):
            bad = self.array.size - int(np.isfinite(self.array).sum())
            if bad:
                raise NotFiniteError(
                    f"{name}: {bad} of {self.array.size} voxels are NaN or infinite\n"
                    "  replace them first, e.g. numpy.nan_to_num"
                )
        low, high = self.array.min(), self.array.max()
        if low == high:
            raise EmptyShapeError(f"{name}: every voxel is {low}; there is nothing to see in a constant image")

    def __repr__(self) -> str:
        low, high = self.array.min(), self.array.max()
        return f"Volume({self.grid}   {self.array.dtype} {low:.4g} to {high:.4g})"


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Label ids on a grid; 0 is background.

    Attributes:
        array: Read-only, C-contiguous integers, indexed [i, j, k].
        grid: Where the voxels lie.
        names: Names of some or all of the ids.
    """

    array: AnyArray
    grid: Grid
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the array against the grid, make ids whole numbers, and freeze."""
        array = self.array
        if not np.issubdtype(array.dtype, np.integer):
            whole = array.astype(np.int32)
            if not np.array_equal(whole, array):
                raise InputError("label ids must be whole numbers; this array holds others (is it an image?)")
            array = whole
        object.__setattr__(self, "array", _on_grid(array, self.grid, "label map"))
        object.__setattr__(self, "names", MappingProxyType(dict(self.names)))

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids present, background left out, ascending."""
        return tuple(int(i) for i in np.unique(self.array) if i != 0)

    def mask(self, *ids: int) -> np.ndarray:
        """True where one of the ids is (anything but background if none is given)."""
        if not ids:
            return self.array != 0
        return np.isin(self.array, ids)

    def __repr__(self) -> str:
        return f"LabelMap({self.grid}   {len(self.ids)} labels)"
