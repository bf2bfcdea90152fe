"""The two axes of a flat shape drawn on pixels: its longest diameter, and its extent perpendicular to that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

SMOOTHING = 0.7
"""Pixels; with less, short axes of ellipses come out more than a pixel too long, with more, long ones too short."""
NARROW = 3.0
"""Pixels; of what is narrower, smoothing leaves nothing to measure."""
SLIGHT = 4.0
"""Pixels; the tips of what is narrower pass between pixel centres."""
PADDING = 4
"""Pixels around a shape that the smoothing reaches."""

Flat = Bool[np.ndarray, "a b"]


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


def axes_in_plane(pixels: Flat, spacing: tuple[float, float]) -> tuple[float, float]:
    """Longest diameter of a flat shape and its extent perpendicular to that, mm; see `flat_axes`."""
    found = flat_axes(pixels, spacing)
    return found.long_mm, found.short_mm


def flat_axes(pixels: Flat, spacing: tuple[float, float]) -> FlatAxes:
    """Both axes of a flat shape.

    Their direction, and the short axis, come from the outline smoothed by `SMOOTHING` pixels: staircases of pixels
    turn the longest diameter and widen what lies across it. The long axis is the shape's own extent in that direction;
    pixels reach to the middles of their sides, which is exact along rows and columns, and askew biased less than from
    corner to corner (too long) or centre to centre (too short). Where smoothing takes more than staircases (lines,
    dust) there is none. What is narrower than `SLIGHT` pixels has tips that pixels miss: it is as long as the ellipse
    with its second moments, but no shorter than above and no longer than from corner to corner. Even so nothing
    narrower than two pixels is known to a pixel.

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
    reach = rim @ along
    if np.ptp(rim @ across) < SLIGHT * min(spacing):
        reach = _with_tips(pixels, size, along, reach)
    return _drawn(along, reach, across, outline @ across, outline @ along)


def _with_tips(pixels: Flat, size: np.ndarray, along: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """First and last place along a direction, of a shape whose tips its pixels miss."""
    points = np.argwhere(pixels) * size
    apart = points - points.mean(axis=0)
    moments = apart.T @ apart / len(points) + np.diag(size**2) / 12
    ellipse = 4 * float(np.sqrt(np.linalg.eigvalsh(moments)[-1]))
    drawn = float(np.ptp(reach))
    corners = max(drawn, float(np.ptp(points @ along) + np.abs(along) @ size))
    more = min(max(ellipse, drawn), corners) - drawn
    return np.array([reach.min() - more / 2, reach.max() + more / 2])


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
