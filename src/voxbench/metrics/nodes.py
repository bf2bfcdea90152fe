"""Lymph nodes, one per connected component: how large each is, as a radiologist and as a computer would say.

A node counts as enlarged when its short axis reaches 10 mm. That axis lies in the axial slice and is perpendicular to
the longest diameter there (RECIST 1.1: E. A. Eisenhauer et al., Eur. J. Cancer 45:228-247, 2009,
doi:10.1016/j.ejca.2008.10.026). It is not the smallest diameter in three dimensions: a node thin in z may well be
enlarged. Nodes that touch are one component.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.errors import GridMismatchError
from voxbench.geometry import Grid
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.types import Labels, Mask

SHORT_AXIS_MM = 10.0
"""From here on a node is enlarged."""


@dataclass(frozen=True)
class Node:
    """One connected component.

    Attributes:
        id: Its number in the components' label map, from 1.
        voxels: How many.
        volume_mm3: Of its voxels.
        long_axis_mm: The longest diameter in any one axial slice, between outer faces of pixels.
        short_axis_mm: The extent perpendicular to it, in the same slice.
        slice_index: Which slice, by index along the voxel axis nearest to the body's long axis.
        extents_mm: Of its box along the voxel axes nearest to x, y, z (right-left, front-back, up-down).
        centre: World position of its centroid (RAS+, mm).
    """

    id: int
    voxels: int
    volume_mm3: float
    long_axis_mm: float
    short_axis_mm: float
    slice_index: int
    extents_mm: tuple[float, float, float]
    centre: tuple[float, float, float]

    def enlarged(self, threshold_mm: float | int = SHORT_AXIS_MM) -> bool:
        """Whether the short axis reaches the threshold."""
        return self.short_axis_mm >= threshold_mm


def lymph_nodes(mask: Mask, grid: Grid, connectivity: Literal[6, 18, 26] = 26) -> tuple[Node, ...]:
    """Measure every connected component of a mask.

    Args:
        mask: True in nodes.
        grid: Where the voxels lie.
        connectivity: Neighbours that join voxels.

    Raises:
        GridMismatchError: The mask does not fit the grid.
    """
    if mask.shape != grid.shape:
        raise GridMismatchError(f"the mask and its grid differ in shape\n  mask  {mask.shape}\n  grid  {grid.shape}")
    return measured(components(mask, connectivity), grid)


def components(mask: Mask, connectivity: Literal[6, 18, 26] = 26) -> Labels:
    """The connected components of a mask, numbered from 1."""
    import cc3d

    if not mask.size:
        return np.zeros(mask.shape, np.uint16)
    return np.asarray(cc3d.connected_components(np.ascontiguousarray(mask), connectivity=connectivity))


def measured(numbered: Labels, grid: Grid) -> tuple[Node, ...]:
    """Measure components that are numbered already; numbers that do not occur are left out."""
    from scipy import ndimage

    if not numbered.size:
        return ()
    found = []
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        if box is not None:
            inside = numbered[box] == number
            start = np.array([axis.start for axis in box])
            found.append(_node(number, inside, start, grid))
    return tuple(found)


def enlarged(nodes: Iterable[Node], threshold_mm: float | int = SHORT_AXIS_MM) -> tuple[Node, ...]:
    """The nodes whose short axis reaches the threshold (10 mm; 9.5 is in use to allow for drawing on voxels)."""
    return tuple(node for node in nodes if node.enlarged(threshold_mm))


def axes_in_plane(pixels: np.ndarray, spacing: tuple[float, float]) -> tuple[float, float]:
    """Longest diameter of a flat shape and its extent perpendicular to that, mm.

    Pixels reach to the middles of their sides: along rows and columns the diameter is exact, and askew it is biased
    less than from corner to corner (too long) or centre to centre (too short).

    Args:
        pixels: True inside, (a, b); not empty.
        spacing: Distance between pixel centres along both axes, mm.
    """
    from scipy.spatial import ConvexHull

    points = _rim(pixels) * np.asarray(spacing)
    hull = points[ConvexHull(points).vertices]
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=-1)
    a, b = np.unravel_index(int(apart.argmax()), apart.shape)
    along = (hull[b] - hull[a]) / apart[a, b]
    across = hull @ np.array([-along[1], along[0]])
    return float(apart[a, b]), float(np.ptp(across))


def _node(number: int, inside: np.ndarray, start: np.ndarray, grid: Grid) -> Node:
    """The measures of one component, given within its box."""
    spacing = grid.spacing
    world_axes = world_axis_of_voxel_axis(grid.direction)
    upward = world_axes.index(2)
    sizes = np.array(inside.shape) * spacing
    place, (long_axis, short_axis) = _largest_slice(np.moveaxis(inside, upward, 0), np.delete(spacing, upward))
    centroid = np.argwhere(inside).mean(axis=0) + start
    x, y, z = (float(sizes[world_axes.index(axis)]) for axis in range(3))
    right, front, up = (float(v) for v in grid.world_from_voxel(centroid))
    voxels = int(np.count_nonzero(inside))
    return Node(
        number,
        voxels,
        voxels * grid.voxel_volume,
        long_axis,
        short_axis,
        place + int(start[upward]),
        (x, y, z),
        (right, front, up),
    )


def _largest_slice(slices: np.ndarray, spacing: np.ndarray) -> tuple[int, tuple[float, float]]:
    """The slice with the longest diameter (of equals the one with the larger extent across), and its axes."""
    in_plane = (float(spacing[0]), float(spacing[1]))
    reach = [_reach(pixels, in_plane) for pixels in slices]
    best, axes = -1, (0.0, 0.0)
    for place in np.argsort(reach)[::-1].tolist():
        if reach[place] < axes[0]:
            break
        found = axes_in_plane(slices[place], in_plane)
        if found > axes:
            best, axes = place, found
    return best, axes


def _reach(pixels: np.ndarray, spacing: tuple[float, float]) -> float:
    """The diagonal of the box around the pixels: no diameter is longer; 0 without pixels."""
    spans = [np.flatnonzero(pixels.any(axis=1 - axis)) for axis in (0, 1)]
    if not spans[0].size:
        return 0.0
    return float(np.hypot(*((span[-1] - span[0] + 1) * s for span, s in zip(spans, spacing, strict=True))))


def _rim(pixels: np.ndarray) -> np.ndarray:
    """Middles of the sides of each row's and each column's outermost pixels, in pixels, (n, 2)."""
    points = []
    for axis in (0, 1):
        rows = pixels if axis == 0 else pixels.T
        some = np.flatnonzero(rows.any(axis=1))
        first = rows[some].argmax(axis=1) - 0.5
        last = rows.shape[1] - rows[some, ::-1].argmax(axis=1) - 0.5
        ends = np.concatenate([np.stack((some, first), 1), np.stack((some, last), 1)])
        points.append(ends if axis == 0 else ends[:, ::-1])
    return np.concatenate(points)
