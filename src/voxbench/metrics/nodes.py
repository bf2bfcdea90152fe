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
from jaxtyping import Bool

from voxbench.errors import GridMismatchError
from voxbench.geometry import Grid
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.types import Labels, Mask

SHORT_AXIS_MM = 10.0
"""From here on a node is enlarged."""
SMOOTHING = 0.7
"""Pixels; with less, short axes of ellipses come out more than a pixel too long, with more, long ones too short."""
NARROW = 3.0
"""Pixels; of what is narrower, smoothing leaves nothing to measure."""
PADDING = 4
"""Pixels around a shape that the smoothing reaches."""

Flat = Bool[np.ndarray, "a b"]
Place = tuple[float, float, float]


@dataclass(frozen=True)
class FlatAxes:
    """The two axes of a flat shape as lines, in mm from the centre of its first pixel.

    Attributes:
        long: Ends of the long axis.
        short: Ends of the short axis, perpendicular to it.
    """

    long: tuple[tuple[float, float], tuple[float, float]]
    short: tuple[tuple[float, float], tuple[float, float]]

    @property
    def long_mm(self) -> float:
        """Length of the long axis."""
        return _length(self.long)

    @property
    def short_mm(self) -> float:
        """Length of the short axis."""
        return _length(self.short)


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


def axes_in_plane(pixels: Flat, spacing: tuple[float, float]) -> tuple[float, float]:
    """Longest diameter of a flat shape and its extent perpendicular to that, mm; see `flat_axes`."""
    found = flat_axes(pixels, spacing)
    return found.long_mm, found.short_mm


def flat_axes(pixels: Flat, spacing: tuple[float, float]) -> FlatAxes:
    """Both axes of a flat shape.

    Their direction, and the short axis, come from the outline smoothed by `SMOOTHING` pixels: staircases of pixels
    turn the longest diameter and widen what lies across it. The long axis is the shape's own extent in that direction;
    pixels reach to the middles of their sides, which is exact along rows and columns, and askew biased less than from
    corner to corner (too long) or centre to centre (too short). Where smoothing
    takes more than staircases (lines, dust) there is none.

    Args:
        pixels: True inside, (a, b); not empty.
        spacing: Distance between pixel centres along both axes, mm.
    """
    size = np.asarray(spacing)
    rim = _hull(_rim(pixels) * size)
    along, outline = _longest(rim), rim
    wide = np.ptp(rim @ _turned(along)) >= NARROW * min(spacing)
    smooth = _smooth_outline(pixels) * size if wide else ()
    if len(smooth):
        smooth = _hull(np.asarray(smooth))
        turned = _longest(smooth)
        if _agree(rim, along, smooth, turned, min(spacing)):
            along, outline = turned, smooth
    across = _turned(along)
    return _drawn(along, rim @ along, across, outline @ across, outline @ along)


def _agree(rim: np.ndarray, along: np.ndarray, smooth: np.ndarray, turned: np.ndarray, pixel: float) -> bool:
    """Whether a smooth outline is still that of the shape: half a pixel off in length, a pixel in width at most."""
    shorter = np.ptp(rim @ along) - np.ptp(rim @ turned)
    narrower = np.ptp(rim @ _turned(turned)) - np.ptp(smooth @ _turned(turned))
    return bool(shorter <= 0.5 * pixel and narrower <= pixel)


def _drawn(
    along: np.ndarray, reach_along: np.ndarray, across: np.ndarray, reach_across: np.ndarray, beside: np.ndarray
) -> FlatAxes:
    """The axes as lines that cross at right angles: the long one midway, the short one where its two ends touch.

    Args:
        along: Direction of the long axis.
        reach_along: How far every point of the shape lies along it.
        across: The direction perpendicular to it.
        reach_across: How far every point lies across.
        beside: How far those same points lie along.
    """
    low, high = float(reach_across.min()), float(reach_across.max())
    first, last = float(reach_along.min()), float(reach_along.max())
    middle = (low + high) / 2
    place = float(beside[reach_across.argmin()] + beside[reach_across.argmax()]) / 2
    return FlatAxes(
        (_point(first * along + middle * across), _point(last * along + middle * across)),
        (_point(place * along + low * across), _point(place * along + high * across)),
    )


def _point(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _hull(points: np.ndarray) -> np.ndarray:
    from scipy.spatial import ConvexHull

    return points[ConvexHull(points).vertices]


def _longest(hull: np.ndarray) -> np.ndarray:
    """Direction of the longest diameter."""
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=-1)
    a, b = np.unravel_index(int(apart.argmax()), apart.shape)
    return (hull[b] - hull[a]) / apart[a, b]


def _turned(direction: np.ndarray) -> np.ndarray:
    return np.array([-direction[1], direction[0]])


def _smooth_outline(pixels: Flat) -> np.ndarray:
    """Where the smoothed shape is a half, in pixels, (n, 2)."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import find_contours

    smoothed = gaussian_filter(np.pad(pixels, PADDING).astype(np.float64), SMOOTHING)
    return np.concatenate([np.empty((0, 2)), *find_contours(smoothed, 0.5)]) - PADDING


def _length(ends: tuple[tuple[float, float], tuple[float, float]]) -> float:
    return float(np.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]))


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


def _rim(pixels: Flat) -> np.ndarray:
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
