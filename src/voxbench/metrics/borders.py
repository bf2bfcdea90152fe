"""Distances between the borders of two masks, voxel by voxel.

A border is made of a mask's own voxels: those with a neighbour outside the mask. Which neighbours count (the six across
faces, or all 26) and whether the image's edge counts as outside changes the numbers by tens of percent, and so does the
way the two directed lists are averaged; every combination in use has its name here. Surfaces with areas, between the
voxels, are in ``surface``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Integer

from voxbench.errors import GridMismatchError
from voxbench.types import Labels, Mask

Box = tuple[slice, slice, slice]
Neighbours = Literal["faces", "full"]
"""Across which a voxel is at the border: 6, or all 26."""
OtherMask = Bool[np.ndarray, "x y z"]
"""A mask whose shape is still to be compared."""
OtherLabels = Integer[np.ndarray, "x y z"]
"""Labels whose shape is still to be compared."""
Borders = tuple[np.ndarray, np.ndarray]
"""Border voxels of two masks, in one box."""


@dataclass(frozen=True, eq=False)
class BorderDistances:
    """From every border voxel of one mask the distance to the other's nearest border voxel, both ways.

    A mask without a border (it is empty, or it fills the image and the edge does not count) gives an empty list, and
    infinite distances to it.

    Attributes:
        forward: From the first mask's border voxels, mm, float64 (n,).
        backward: From the second's.
    """

    forward: np.ndarray
    backward: np.ndarray

    @property
    def directed_means(self) -> tuple[float, float]:
        """Mean distance each way, mm; NaN from a mask without a border."""
        return _mean(self.forward), _mean(self.backward)

    @property
    def assd(self) -> float:
        """Mean of both lists pooled, mm; infinite if one mask has no border, NaN if neither has."""
        return _mean(np.concatenate((self.forward, self.backward)))

    @property
    def masd(self) -> float:
        """Mean of the two directed means, mm; NaN if a mask has no border."""
        one, other = self.directed_means
        return (one + other) / 2

    def hausdorff(self, percent: float | int = 100) -> float:
        """The larger of the two directed percentiles (linear interpolation), mm; infinite or NaN as `assd`."""
        if not (self.forward.size and self.backward.size):
            return float("inf") if self.forward.size or self.backward.size else float("nan")
        return max(float(np.percentile(way, percent)) for way in (self.forward, self.backward))

    def dice_at(self, tolerance: float | int) -> float:
        """Surface Dice: share of both borders' voxels within ``tolerance`` (mm) of the other; NaN if there are none."""
        return _mean((np.concatenate((self.forward, self.backward)) <= tolerance).astype(np.float64))


def border_distances(
    first: Mask,
    second: OtherMask,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    neighbours: Neighbours = "faces",
    edge: bool = True,
) -> BorderDistances:
    """Measure the distances between the border voxels of two masks on one grid.

    Distances are float32 inside (relative error below 1e-6), exact for equal spacings.

    Args:
        first: True inside.
        second: True inside.
        spacing: Distance between voxel centres along i, j, k, mm.
        neighbours: Whether a voxel is at the border when one of the 6 across its faces, or of all 26, is outside.
        edge: Whether what lies beyond the image counts as outside the mask.

    Raises:
        GridMismatchError: The shapes differ.
    """
    return distances_between(borders_of(first, second, neighbours, edge), spacing)


def borders_of(first: Mask, second: OtherMask, neighbours: Neighbours = "faces", edge: bool = True) -> Borders:
    """The border voxels of two masks on one grid, in the smallest box that holds all of them.

    Args:
        first: True inside.
        second: True inside.
        neighbours: As for `border_distances`.
        edge: As for `border_distances`.

    Raises:
        GridMismatchError: The shapes differ.
    """
    if first.shape != second.shape:
        raise GridMismatchError(f"the masks differ in shape\n  first   {first.shape}\n  second  {second.shape}")
    box = box_of(first | second, margin=1)
    one, other = (border(mask[box], neighbours, edge) for mask in (first, second))
    # What has no border voxel at all is not worth a distance transform.
    inner = box_of(one | other)
    return one[inner], other[inner]


def distances_between(borders: Borders, spacing: tuple[float, float, float]) -> BorderDistances:
    """The distances between two sets of border voxels, as `borders_of` gives them."""
    one, other = borders
    return BorderDistances(distances_to(other, one, spacing), distances_to(one, other, spacing))


def border(mask: Mask, neighbours: Neighbours = "faces", edge: bool = True) -> Mask:
    """The voxels of a mask that have a neighbour outside it.

    Args:
        mask: True inside.
        neighbours: Which neighbours count.
        edge: Whether what lies beyond the array counts as outside the mask.
    """
    inner = mask.copy()
    for axis in range(3):
        # Taking the minimum along one axis after another looks at all 26; always from the mask itself at the 6.
        source = mask if neighbours == "faces" else inner.copy()
        _and_neighbours(inner, source, axis, edge)
    return mask & ~inner


def box_of(mask: Mask, margin: int = 0) -> Box:
    """The smallest box around what is true, grown by a margin within the array; an empty one if nothing is."""
    box = [slice(0, 0)] * 3
    left = mask
    for axis, n in enumerate(mask.shape):
        others = tuple(a for a in range(3) if a != axis)
        true = np.flatnonzero(left.any(axis=others))
        if not true.size:
            return slice(0, 0), slice(0, 0), slice(0, 0)
        first, last = int(true[0]), int(true[-1]) + 1
        box[axis] = slice(max(first - margin, 0), min(last + margin, n))
        # The further axes need not look at what is empty.
        left = left[tuple(slice(first, last) if a == axis else slice(None) for a in range(3))]
    return box[0], box[1], box[2]


def box_of_labels(first: Labels, second: OtherLabels, margin: int = 0) -> Box:
    """The smallest box around what is not 0 in either label map, grown by a margin; little memory is needed."""
    # One after the other, so that there is one mask at a time.
    boxes = [box_of(labels != 0) for labels in (first, second)]
    some = [box for box in boxes if box[0].stop]
    if not some:
        return boxes[0]
    i, j, k = (
        slice(max(min(own.start for own in axis) - margin, 0), min(max(own.stop for own in axis) + margin, n))
        for axis, n in zip(zip(*some, strict=True), first.shape, strict=True)
    )
    return i, j, k


def distances_to(target: Mask, at: Mask, spacing: tuple[float, float, float]) -> np.ndarray:
    """Distance to the nearest true voxel of ``target`` from every true voxel of ``at``, mm, float64 (n,)."""
    if not target.any():
        return np.full(int(np.count_nonzero(at)), np.inf)
    import edt

    outside = np.ascontiguousarray(~target).view(np.uint8)
    if spacing[0] == spacing[1] == spacing[2]:
        # Squared distances between voxels are whole numbers, exact in float32 up to boxes of 4096 voxels across.
        squared = edt.edtsq(outside, parallel=1)
        return np.sqrt(squared[at].astype(np.float64)) * float(spacing[0])
    squared = edt.edtsq(outside, anisotropy=tuple(float(s) for s in spacing), parallel=1)
    return np.sqrt(squared[at].astype(np.float64))


def _and_neighbours(inner: np.ndarray, source: np.ndarray, axis: int, edge: bool) -> None:
    """Keep of ``inner`` what has both neighbours along an axis in ``source``."""
    inner, source = np.moveaxis(inner, axis, 0), np.moveaxis(source, axis, 0)
    inner[1:] &= source[:-1]
    inner[:-1] &= source[1:]
    if edge and inner.shape[0]:
        inner[0] = False
        inner[-1] = False


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
