"""Distances between the surfaces of two masks, weighted by area.

A surface is the set of cells between voxel centres that the mask's boundary crosses (``surface_elements``); each lies
at the middle of its cell and counts with its area. This is the definition of DeepMind's surface-distance package
(S. Nikolov et al., J. Med. Internet Res. 23(7):e26151, 2021, doi:10.2196/26151); definitions by border voxels give
other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from voxbench.errors import GridMismatchError
from voxbench.metrics.surface_elements import element_areas, neighbour_codes
from voxbench.types import Labels, Mask

Box = tuple[slice, slice, slice]
Directed = tuple[np.ndarray, np.ndarray]
OtherMask = Bool[np.ndarray, "x y z"]
"""A mask whose shape is still to be compared."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """From every surface element of one mask the distance to the other's nearest element, both ways.

    Attributes:
        forward: From the first mask's elements: distances (mm, ascending) and areas (mm^2), float64 (n,) each.
        backward: The same from the second's elements.
    """

    forward: Directed
    backward: Directed

    def hausdorff(self, percent: float | int = 100) -> float:
        """The larger of the two directed distances within which ``percent`` of the area lies, mm.

        Infinite if one mask is empty, NaN if both are.
        """
        if self._both_empty:
            return float("nan")
        return max(_weighted_quantile(*self.forward, percent / 100), _weighted_quantile(*self.backward, percent / 100))

    @property
    def directed_means(self) -> tuple[float, float]:
        """Area-weighted mean distance each way, mm; infinite if the other mask is empty, NaN if one's own is."""
        return _mean(*self.forward), _mean(*self.backward)

    @property
    def assd(self) -> float:
        """Area-weighted mean distance of both surfaces pooled, mm."""
        return _mean(*(np.concatenate(pair) for pair in zip(self.forward, self.backward, strict=True)))

    @property
    def masd(self) -> float:
        """Mean of the two directed means, mm; NaN or infinite as they are."""
        return float(np.mean(self.directed_means))

    def dice_at(self, tolerance: float | int) -> float:
        """Surface Dice: share of both surfaces within ``tolerance`` (mm) of the other; NaN if both are empty."""
        near = sum(float(areas[distances <= tolerance].sum()) for distances, areas in (self.forward, self.backward))
        total = float(self.forward[1].sum() + self.backward[1].sum())
        return near / total if total else float("nan")

    @property
    def _both_empty(self) -> bool:
        return not (self.forward[0].size or self.backward[0].size)


def surface_distances(
    first: Mask, second: OtherMask, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks on one grid.

    A mask that touches the edge of the array has a surface there too.

    Args:
        first: True inside.
        second: True inside.
        spacing: Distance between voxel centres along i, j, k, mm.

    Raises:
        GridMismatchError: The shapes differ.
    """
    if first.shape != second.shape:
        raise GridMismatchError(f"the masks differ in shape\n  first   {first.shape}\n  second  {second.shape}")
    box = _box_of(first | second)
    codes = [neighbour_codes(mask[box]) for mask in (first, second)]
    borders = [(code != 0) & (code != 255) for code in codes]
    areas = element_areas((float(spacing[0]), float(spacing[1]), float(spacing[2])))
    ways = []
    for here, there in ((0, 1), (1, 0)):
        distances = _distances_to(borders[there], borders[here], spacing)
        weights = areas[codes[here][borders[here]]]
        order = np.lexsort((weights, distances))
        ways.append((distances[order], weights[order]))
    return SurfaceDistances(ways[0], ways[1])


def label_boxes(labels: Labels) -> dict[int, Box]:
    """The smallest box of voxels around each label that occurs and is not negative, 0 included."""
    from scipy import ndimage

    shifted = labels.astype(np.int32) + 1
    found = ndimage.find_objects(np.maximum(shifted, 0))
    return {label: box for label, box in enumerate(found) if box is not None}


def join_boxes(one: Box, other: Box) -> Box:
    """The smallest box that holds both."""
    i, j, k = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return i, j, k


def _box_of(mask: np.ndarray) -> Box:
    """The smallest box around what is true; an empty one if nothing is."""
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        true = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(true[0]), int(true[-1]) + 1) if true.size else slice(0, 0))
    return box[0], box[1], box[2]


def _distances_to(border: np.ndarray, at: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Distance to the nearest true cell of ``border`` from every true cell of ``at``, mm, float64."""
    if not border.any():
        return np.full(int(at.sum()), np.inf)
    if spacing[0] == spacing[1] == spacing[2]:
        import edt

        # Squared distances between cells are whole numbers, exact in float32 up to boxes of 4096 cells across.
        squared = edt.edtsq(np.ascontiguousarray(~border).view(np.uint8), parallel=1)
        return np.sqrt(squared[at].astype(np.float64)) * spacing[0]
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(~border, sampling=spacing))[at]


def _weighted_quantile(distances: np.ndarray, areas: np.ndarray, share: float) -> float:
    """The distance within which a share of the area lies; infinite for an empty surface."""
    if not distances.size:
        return float("inf")
    within = np.cumsum(areas) / np.sum(areas)
    return float(distances[min(int(np.searchsorted(within, share)), distances.size - 1)])


def _mean(distances: np.ndarray, areas: np.ndarray) -> float:
    return float((distances * areas).sum() / areas.sum()) if distances.size else float("nan")
