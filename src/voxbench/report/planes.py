"""The three planes a radiologist reads, cut through a volume along the world's axes.

Whatever the voxel order, spacing or tilt of a file, a plane is sampled on square pixels in the world (RAS+, mm) and
shown in the radiological convention: the patient's right is on the left of axial and coronal planes, the nose is on the
left of sagittal ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry import DisplacementField, Grid, Volume, resample
from voxbench.types import Mask, Vector3

MARGIN_MM = 6.0
"""Kept around the object, mm, so that its edge can be seen."""


@dataclass(frozen=True)
class Plane:
    """How one of the three planes is shown.

    Attributes:
        name: axial, coronal or sagittal.
        across: World axis (0 x, 1 y, 2 z) that runs from left to right on the page.
        down: World axis that runs from top to bottom on the page.
        through: World axis the plane is cut at.
        left_to_right: +1 where ``across`` grows to the right on the page, -1 where it falls.
        letters: The patient's directions at the left, right, top and bottom edge.
    """

    name: str
    across: int
    down: int
    through: int
    left_to_right: int
    letters: tuple[str, str, str, str]


PLANES = (
    Plane("axial", across=0, down=1, through=2, left_to_right=-1, letters=("R", "L", "A", "P")),
    Plane("coronal", across=0, down=2, through=1, left_to_right=-1, letters=("R", "L", "S", "I")),
    Plane("sagittal", across=1, down=2, through=0, left_to_right=-1, letters=("A", "P", "S", "I")),
)


@dataclass(frozen=True, eq=False)
class Box:
    """The part of the world that is shown, and where the planes are cut.

    Attributes:
        low: Smallest x, y, z shown, mm.
        high: Largest x, y, z shown, mm.
        cut: Where the planes are cut, mm.
        step: Size of a pixel, mm.
    """

    low: Vector3
    high: Vector3
    cut: Vector3
    step: float

    @staticmethod
    def around(volume: Volume) -> Box:
        """The box of what is brighter than the background, a margin around it, cut through its middle."""
        mask = foreground(volume)
        counts = [np.count_nonzero(mask, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
        ends = [np.flatnonzero(count)[[0, -1]] for count in counts]
        middle = np.array([np.average(np.arange(count.size), weights=count) for count in counts])
        corners = volume.grid.world_from_voxel(
            np.array(np.meshgrid(*ends, indexing="ij"), dtype=float).reshape(3, -1).T
        )
        whole = volume.grid.corners
        low = np.maximum(corners.min(axis=0) - MARGIN_MM, whole.min(axis=0))
        high = np.minimum(corners.max(axis=0) + MARGIN_MM, whole.max(axis=0))
        return Box(low, high, volume.grid.world_from_voxel(middle), float(volume.grid.spacing.min()))

    def size(self, plane: Plane) -> tuple[float, float]:
        """Width and height of a plane, mm, at least one pixel."""
        extent = np.maximum(self.high - self.low, self.step)
        return float(extent[plane.across]), float(extent[plane.down])

    def grid(self, plane: Plane) -> Grid:
        """A grid one voxel thick: i runs to the right on the page, j down."""
        columns, rows = (int(n / self.step) + 1 for n in self.size(plane))
        direction = np.zeros((3, 3))
        direction[plane.across, 0] = plane.left_to_right
        direction[plane.down, 1] = -1.0
        direction[plane.through, 2] = 1.0
        origin = self.cut.copy()
        origin[plane.across] = self.high[plane.across] if plane.left_to_right < 0 else self.low[plane.across]
        origin[plane.down] = self.high[plane.down]
        return Grid.from_parts((columns, rows, 1), (self.step, self.step, self.step), origin, direction)

    def cut_text(self, plane: Plane) -> str:
        """Where a plane is cut, as a radiologist writes it: ``S 12 mm``."""
        position = float(self.cut[plane.through])
        letter = ("LR", "PA", "IS")[plane.through][int(position >= 0)]
        return f"{letter} {abs(position):.0f} mm"


def foreground(volume: Volume) -> np.ndarray:
    """True where a volume is clearly brighter than its background.

    Raises:
        EmptyShapeError: The volume is constant.
    """
    low, high = np.percentile(_thinned(volume.array), (1, 99.8))
    if high <= low:
        low, high = float(volume.array.min()), float(volume.array.max())
    if high <= low:
        raise EmptyShapeError(f"every voxel is {low:.4g}; there is nothing to see in a constant image")
    return volume.array > low + 0.1 * (high - low)


def window(volume: Volume) -> tuple[float, float]:
    """Darkest and brightest grey value shown: robust percentiles, blind to a few bright voxels and to the air."""
    values = _thinned(volume.array)
    inside = values[_thinned(foreground(volume))]
    if not inside.size:
        inside = volume.array[foreground(volume)]
    low = min(float(np.percentile(values, 2)), float(np.percentile(inside, 0.5)))
    high = float(np.percentile(inside, 99.7))
    return low, high if high > low else low + 1.0


def window_inside(volume: Volume, mask: Mask) -> tuple[float, float] | None:
    """The window of what lies in a mask alone (no bright fat around a brain); None if it is constant."""
    inside = _thinned(volume.array)[_thinned(mask)]
    if not inside.size:
        return None
    low, high = np.percentile(inside, (0.5, 99.7))
    return (float(low), float(high)) if high > low else None


def _thinned(array: np.ndarray) -> np.ndarray:
    """Every n-th voxel: percentiles of some millions of voxels are those of a million."""
    step = max(1, int((array.size / 1e6) ** (1 / 3)))
    return array[::step, ::step, ::step]


def cut(volume: Volume, grid: Grid) -> np.ndarray:
    """A plane as an image, rows down the page and columns across; NaN outside the volume."""
    as_float = Volume(volume.array.astype(np.float32, copy=False), volume.grid)
    return resample(as_float, grid, outside=float("nan")).array[:, :, 0].T


def cut_points(field: DisplacementField, grid: Grid, axis: int) -> np.ndarray:
    """The world coordinate along one axis, mm, that each pixel is taken from: component ``axis`` of x + u(x)."""
    component = Volume(np.ascontiguousarray(field.array[..., axis]), field.grid)
    index = np.indices(grid.shape[:2]).reshape(2, -1).T
    points = grid.world_from_voxel(np.column_stack([index, np.zeros(len(index))]).astype(np.float64))
    return cut(component, grid) + points[:, axis].reshape(grid.shape[:2]).T
