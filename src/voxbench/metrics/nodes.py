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
from voxbench.metrics.flat_axes import Flat, FlatAxes, flat_axes
from voxbench.types import Labels, Mask

SHORT_AXIS_MM = 10.0
"""From here on a node is enlarged."""
Place = tuple[float, float, float]


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
        long_ends: Where the long axis ends, voxel indices.
        short_ends: Where the short axis ends, voxel indices.
    """

    id: int
    voxels: int
    volume_mm3: float
    long_axis_mm: float
    short_axis_mm: float
    slice_index: int
    extents_mm: tuple[float, float, float]
    centre: Place
    long_ends: tuple[Place, Place]
    short_ends: tuple[Place, Place]

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


def _node(number: int, inside: Mask, start: np.ndarray, grid: Grid) -> Node:
    """The measures of one component, given within its box."""
    spacing = grid.spacing
    world_axes = world_axis_of_voxel_axis(grid.direction)
    upward = world_axes.index(2)
    sizes = np.array(inside.shape) * spacing
    in_plane = np.delete(spacing, upward)
    place, axes = _largest_slice(np.moveaxis(inside, upward, 0), (float(in_plane[0]), float(in_plane[1])))
    centroid = np.argwhere(inside).mean(axis=0) + start
    x, y, z = (float(sizes[world_axes.index(axis)]) for axis in range(3))
    right, front, up = (float(v) for v in grid.world_from_voxel(centroid))
    voxels = int(np.count_nonzero(inside))

    def ends(line: tuple[tuple[float, float], tuple[float, float]]) -> tuple[Place, Place]:
        flat = np.array(line) / in_plane
        i, j = (tuple(map(float, np.insert(point, upward, place) + start)) for point in flat)
        return (i[0], i[1], i[2]), (j[0], j[1], j[2])

    return Node(
        number,
        voxels,
        voxels * grid.voxel_volume,
        axes.long_mm,
        axes.short_mm,
        place + int(start[upward]),
        (x, y, z),
        (right, front, up),
        ends(axes.long),
        ends(axes.short),
    )


def _largest_slice(slices: Mask, spacing: tuple[float, float]) -> tuple[int, FlatAxes]:
    """The slice with the longest diameter (of equals the one with the larger extent across), and its axes."""
    reach = [_reach(pixels, spacing) for pixels in slices]
    best, found = -1, None
    for place in np.argsort(reach)[::-1].tolist():
        if found is not None and reach[place] < found.long_mm:
            break
        axes = flat_axes(slices[place], spacing)
        if found is None or (axes.long_mm, axes.short_mm) > (found.long_mm, found.short_mm):
            best, found = place, axes
    assert found is not None
    return best, found


def _reach(pixels: Flat, spacing: tuple[float, float]) -> float:
    """The diagonal of the box around the pixels: no diameter is longer; 0 without pixels."""
    spans = [np.flatnonzero(pixels.any(axis=1 - axis)) for axis in (0, 1)]
    if not spans[0].size:
        return 0.0
    return float(np.hypot(*((span[-1] - span[0] + 1) * s for span, s in zip(spans, spacing, strict=True))))
