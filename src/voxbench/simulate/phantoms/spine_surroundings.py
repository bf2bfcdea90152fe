"""What lies round a drawn spine: the canal's course, muscles, fat, vessels, bowel, the skin of the back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxbench.geometry import Grid
from voxbench.simulate.fields import smooth_noise
from voxbench.simulate.phantoms.spine_shape import CANAL_HALF, CONUS, SpineShape

SKIN_BEHIND, SKIN_IN_FRONT, SKIN_SIDE = 66.0, 120.0, 150.0
"""Where the skin is, mm from the middle of the bodies."""
_AIR, _CORTEX, _FAT, _MUSCLE, _VESSEL, _BOWEL = 0, 2, 7, 8, 9, 10


@dataclass(frozen=True, eq=False)
class Column:
    """The course of bodies and canal as functions of height (mm above L3).

    Attributes:
        bodies: (x, y) of the middle of the bodies.
        sac: (x, y) of the middle of the canal.
        slope: How far the canal moves to the front per mm upwards.
        size: Relative to the mean.
        conus: Height at which the cord ends.
        bottom: Height at which the dural sac ends.
    """

    bodies: Callable[[np.ndarray], np.ndarray]
    sac: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    size: float
    conus: float
    bottom: float

    def canal(self, grid: Grid) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Of every voxel: how far out it lies (below 1 is inside), mm across and to the front of the middle, height."""
        x, y, z = places(grid, tuple(slice(0, n) for n in grid.shape))
        return self._canal(x, y, z)

    def canal_of(self, grid: Grid, part: tuple[slice, ...]) -> np.ndarray:
        """The first of the same, of some voxels."""
        return self._canal(*places(grid, part))[0]

    def _canal(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
        middle = self.sac(z)
        slope = self.slope(z)
        across = (x - middle[..., 0]).astype(np.float32)
        front = ((y - middle[..., 1]) / np.sqrt(1 + slope**2)).astype(np.float32)
        half = [self.size * v for v in CANAL_HALF]
        taper = np.clip((z - self.bottom) / 25, 0.0, 1.0) ** 0.5
        inside = np.hypot(across / half[0], front / half[1]) / np.maximum(taper, 1e-3)
        return inside.astype(np.float32), (across, front), z


def column_of(shape: SpineShape) -> Column:
    """The course of a spine."""
    from scipy.interpolate import PchipInterpolator

    chain = [*shape.sacrum[::-1], *shape.bodies]
    ends = [body.canal + body.axes[:, 2] * body.height / 2 * side for body in (chain[0], chain[-1]) for side in (-3, 3)]
    sac = np.array([ends[0], *(body.canal for body in chain), ends[3]])
    middles = np.array([body.centre for body in chain])
    course, bodies = (
        PchipInterpolator(points[:, 2], points[:, :2], extrapolate=False) for points in (_rising(sac), _rising(middles))
    )
    # tabulated: a grid has far fewer heights than voxels, but in any orientation
    heights = np.linspace(-400, 400, 3201)

    def tabulated(function: PchipInterpolator, points: np.ndarray) -> np.ndarray:
        low, high = points[:, 2].min(), points[:, 2].max()
        inside = np.clip(heights, low, high)
        ends = function.derivative()(np.array([low + 1e-6, high - 1e-6]))
        beyond = np.where(heights < low, heights - low, 0)[:, None] * ends[0]
        beyond = beyond + np.where(heights > high, heights - high, 0)[:, None] * ends[1]
        return function(inside) + beyond

    canal, column = tabulated(course, sac), tabulated(bodies, middles)
    slope = np.gradient(canal[:, 1], heights)

    def read(table: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        def at(z: np.ndarray) -> np.ndarray:
            place = np.clip((z + 400) * 4, 0, len(heights) - 1)
            low = np.minimum(place.astype(np.int32), len(heights) - 2)
            rest = place - low
            rest = rest[..., None] if table.ndim == 2 else rest
            return table[low] * (1 - rest) + table[low + 1] * rest

        return at

    level = min(CONUS, len(shape.bodies)) - 1
    conus = float(shape.bodies[level].centre[2])
    bottom = float(shape.sacrum[-1].centre[2]) - 5
    return Column(read(column), read(canal), read(slope), shape.size, conus, bottom)


def surroundings(grid: Grid, column: Column, rng: np.random.Generator) -> np.ndarray:
    """What everything but the spine is made of, as if the spine were not there; uint8."""
    x, y, z = places(grid, tuple(slice(0, n) for n in grid.shape))
    middle = column.bodies(z)
    x, y = (x - middle[..., 0]).astype(np.float32), (y - middle[..., 1]).astype(np.float32)
    wobble = smooth_noise(grid, rng, 14.0)
    thick = rng.uniform(8, 28)
    size = column.size
    skin = np.hypot(x / SKIN_SIDE, np.where(y < 0, y / (SKIN_BEHIND + thick), y / SKIN_IN_FRONT)) + 0.01 * wobble
    found = np.full(grid.shape, _FAT, np.uint8)
    found[(y > 20) & (wobble > 0.35) & (skin < 0.85)] = _BOWEL
    back = np.hypot((np.abs(x) - 34 * size) / 30, (y + 46 * size) / 19) + 0.08 * wobble
    psoas = np.hypot((np.abs(x) - 43 * size) / 17, (y + 2) / 21) + 0.06 * wobble
    streaks = smooth_noise(grid, rng, 2.5) > 1.3
    found[((back < 1) | (psoas < 1)) & ~streaks] = _MUSCLE
    found[(np.abs(x) < 4) & (y < -38 * size) & (y > -62 * size)] = _CORTEX  # ligaments between the spines
    branch = column.conus - 110
    for side, wide in ((-1, 9.5), (1, 11)):
        vessel = np.hypot((x - side * 13) / wide, (y - 32 * size) / (0.9 * wide))
        found[(vessel < 1) & (z > branch)] = _VESSEL
    found[(np.abs(x) < 20) & (np.abs(y - 19 * size) < 2)] = _CORTEX  # the ligament in front
    found[skin > 1] = _AIR
    found[(skin > 0.985) & (skin <= 1)] = _MUSCLE
    return found


def places(grid: Grid, part: tuple[slice, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World coordinates of some voxels, mm, float32."""
    matrix, first = grid.world_from_voxel.linear, grid.origin
    i, j, k = (np.arange(one.start, one.stop) for one in part)
    found = [
        (first[n] + matrix[n, 0] * i[:, None, None] + matrix[n, 1] * j[:, None] + matrix[n, 2] * k).astype(np.float32)
        for n in range(3)
    ]
    return found[0], found[1], found[2]


def _rising(points: np.ndarray) -> np.ndarray:
    """Points by height."""
    return points[np.argsort(points[:, 2])]
