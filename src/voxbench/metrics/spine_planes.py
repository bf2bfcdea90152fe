"""Planes cut through one structure of a spine, and lengths read on their lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.geometry import Grid, Volume, resample
from voxbench.types import Vector3

STEP_MM = 0.5
"""Spacing of the planes."""
HALF_MM = 45.0
"""They reach this far from their middle."""
BAND_MM = (-3.0, 0.0, 3.0)
"""Sagittal planes that are averaged, mm from the middle."""


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """Where a vertebral body stands.

    Attributes:
        number: Of the vertebra.
        centre: Of the body, world, mm.
        axes: Its right, front and up, as columns.
    """

    number: int
    centre: Vector3
    axes: np.ndarray


def body_frame(number: int, centre: Vector3, up: Vector3) -> BodyFrame:
    """A frame whose right is the world's as nearly as it can be."""
    up = up / np.linalg.norm(up)
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    right /= np.linalg.norm(right)
    return BodyFrame(number, centre, np.stack([right, np.cross(up, right), up], axis=1))


def cut(mask: Volume, frame: BodyFrame, axes: tuple[int, int], offset: Vector3 | None = None) -> np.ndarray:
    """A plane along two of a frame's axes through its centre, of `STEP_MM`; the middle pixel is the centre."""
    count = 2 * int(HALF_MM / STEP_MM) + 1
    normal = np.cross(frame.axes[:, axes[0]], frame.axes[:, axes[1]])
    direction = np.stack([frame.axes[:, axes[0]], frame.axes[:, axes[1]], normal], axis=1)
    origin = frame.centre - (direction[:, 0] + direction[:, 1]) * STEP_MM * (count // 2)
    if offset is not None:
        origin = origin + offset
    grid = Grid.from_parts((count, count, 1), (STEP_MM, STEP_MM, STEP_MM), origin, direction)
    return resample(mask, grid).array[:, :, 0]


def sagittal(mask: Volume, frame: BodyFrame) -> np.ndarray:
    """The mean of some sagittal planes, y by z."""
    planes = [cut(mask, frame, (1, 2), frame.axes[:, 0] * offset) for offset in BAND_MM]
    return np.mean(planes, axis=0)


def pixel_of(value: float) -> int:
    """The pixel of a coordinate."""
    return round(float(np.clip((value + HALF_MM) / STEP_MM, 0, 2 * int(HALF_MM / STEP_MM))))


def run(line: np.ndarray, at: float = 0.0) -> tuple[float, float]:
    """Largest and smallest coordinate, mm, of the stretch above one half that holds a place, or is nearest to it."""
    inside = np.flatnonzero(line >= 0.5)
    if not inside.size:
        return float("nan"), float("nan")
    start = int(inside[np.abs(inside - pixel_of(at)).argmin()])
    outside = np.flatnonzero(line < 0.5)
    above, below = outside[outside > start], outside[outside < start]
    high = _crossing(line, int(above[0]) - 1, 1) if above.size else len(line) - 1.0
    low = _crossing(line, int(below[-1]) + 1, -1) if below.size else 0.0
    middle = len(line) // 2
    return (high - middle) * STEP_MM, (low - middle) * STEP_MM


def _crossing(line: np.ndarray, last: int, step: int) -> float:
    """Where, between the last pixel inside and the next, the value is one half."""
    inside, outside = float(line[last]), float(line[last + step])
    return last + step * (inside - 0.5) / max(inside - outside, 1e-9)
