"""Where a network works: the image's own axes in the order and sense of RAS+, with other voxels; and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.geometry import Affine, Grid, Volume
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.types import AnyArray, Image, Triple


@dataclass(frozen=True, eq=False)
class Frame:
    """An image's grid and the working grid in the same box: no rotation between them, only order, sense and size.

    Attributes:
        native: The image's grid.
        axes: Which of the image's axes runs along the working i, j and k.
        turned: Which of those run against them.
        shape: Of the working grid.
    """

    native: Grid
    axes: tuple[int, int, int]
    turned: tuple[bool, bool, bool]
    shape: tuple[int, int, int]

    @staticmethod
    def of(native: Grid, spacing: Triple | None = None) -> Frame:
        """The frame of an image.

        Args:
            native: Its grid.
            spacing: Wanted along the world's x, y and z, mm; met up to what makes whole voxels of the box. None: the
                image's own.
        """
        world = world_axis_of_voxel_axis(native.direction)
        axes = tuple(world.index(axis) for axis in range(3))
        turned = tuple(bool(native.direction[world, axis] < 0) for world, axis in enumerate(axes))
        edges = np.asarray([native.shape[axis] for axis in axes], np.float64)
        ratio = np.ones(3) if spacing is None else np.asarray(spacing) / native.spacing[list(axes)]
        i, j, k = (max(1, round(float(n))) for n in edges / ratio)
        return Frame(native, (axes[0], axes[1], axes[2]), (turned[0], turned[1], turned[2]), (i, j, k))

    @property
    def ordered_shape(self) -> tuple[int, int, int]:
        """The image's own voxels along the working axes."""
        i, j, k = (self.native.shape[axis] for axis in self.axes)
        return i, j, k

    @property
    def spacing(self) -> np.ndarray:
        """Of the working grid, mm."""
        ratio = np.asarray(self.ordered_shape) / np.asarray(self.shape)
        return self.native.spacing[list(self.axes)] * ratio

    @property
    def grid(self) -> Grid:
        """The working grid; its outer voxel faces are the image's."""
        ratio = np.asarray(self.ordered_shape) / np.asarray(self.shape)
        matrix = np.zeros((3, 3))
        first = np.zeros(3)
        for working, axis in enumerate(self.axes):
            sense = -1.0 if self.turned[working] else 1.0
            start = self.native.shape[axis] - 0.5 if self.turned[working] else -0.5
            matrix[axis, working] = sense * ratio[working]
            first[axis] = start + sense * ratio[working] / 2
        return Grid(self.shape, self.native.world_from_voxel @ Affine.from_parts(matrix, first, "voxel", "voxel"))

    def ordered(self, array: AnyArray) -> AnyArray:
        """A view of an array on the image's grid with axes as the working grid's; writing to it writes to the array."""
        flips = tuple(slice(None, None, -1 if t else 1) for t in self.turned)
        return array.transpose(self.axes)[flips]

    def bring(self, volume: Volume) -> Image:
        """The image on the working grid: smoothed where voxels grow, then linear; float32."""
        from scipy.ndimage import gaussian_filter

        array = np.ascontiguousarray(self.ordered(volume.array), np.float32)
        ratio = np.asarray(array.shape) / np.asarray(self.shape)
        widths = np.where(ratio > 1, 0.4 * np.sqrt(np.maximum(ratio**2 - 1, 0)), 0)
        if widths.any():
            array = gaussian_filter(array, widths, mode="nearest", truncate=3)
        return along(array, [places(n, m) for n, m in zip(array.shape, self.shape, strict=True)])

    def bring_labels(self, labels: AnyArray) -> AnyArray:
        """Label ids on the working grid: those of the nearest voxels."""
        array = self.ordered(labels)
        nearest = [np.rint(places(n, m)).astype(int) for n, m in zip(array.shape, self.shape, strict=True)]
        return np.ascontiguousarray(array[np.ix_(*nearest)])


def places(source: int, wanted: int) -> np.ndarray:
    """Where centres of ``wanted`` voxels lie among ``source`` ones in the same box, kept between the first and last.

    Halves are moved a hair down, so that both neighbours are not equally near.
    """
    at = (np.arange(wanted) + 0.5) * (source / wanted) - 0.5
    return np.clip(at - 1e-9, 0, source - 1)


def along(array: AnyArray, at: Sequence[np.ndarray]) -> AnyArray:
    """Linear interpolation along the last three axes, one after the other; float32.

    Args:
        array: (..., i, j, k).
        at: Places along each of the three, in voxels, inside.
    """
    for axis, where in enumerate(at, start=array.ndim - 3):
        if len(where) == array.shape[axis] and np.abs(where - np.arange(len(where))).max() < 1e-6:
            continue
        low = np.floor(where).astype(int)
        high = np.minimum(low + 1, array.shape[axis] - 1)
        weight = (where - low).astype(np.float32).reshape(-1, *[1] * (array.ndim - 1 - axis))
        array = array.take(low, axis) * (1 - weight) + array.take(high, axis) * weight
    return array.astype(np.float32, copy=False)
