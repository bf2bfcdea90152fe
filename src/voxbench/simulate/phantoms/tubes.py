"""Tubes along smooth curves: vessels, airways, the oesophagus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Stations = Float64[np.ndarray, "n 4"]
"""x, y, z and radius along a tube, mm."""
STEP_MM = 6.0
"""Length of the straight pieces that a curve is drawn with."""
EDGE_MM = 3.0
"""How far outside a tube depths are right; beyond they say no more than that it is far."""


@dataclass(frozen=True, eq=False)
class Tube:
    """Straight pieces with round ends, each of a radius that changes evenly.

    Attributes:
        stations: Where the pieces meet.
        extra: Added to the radius, mm.
    """

    stations: Stations
    extra: float = 0.0

    def wider(self, by: float) -> Callable[[np.ndarray, np.ndarray, float], np.ndarray]:
        """The depth function of the same tube with a larger radius."""
        return Tube(self.stations, self.extra + by).depth

    def depth(self, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
        """Depth below the surface in the plane at z, mm; at most a little below 0 outside; empty if far away.

        Args:
            x: (a, 1).
            y: (1, b).
            z: One height.
        """
        a, b = self.stations[:-1], self.stations[1:]
        reach = np.maximum(a[:, 3], b[:, 3]) + self.extra + EDGE_MM
        low, high = np.minimum(a[:, :3], b[:, :3]) - reach[:, None], np.maximum(a[:, :3], b[:, :3]) + reach[:, None]
        near = (low[:, 2] <= z) & (high[:, 2] >= z) & (low[:, 0] <= x.max()) & (high[:, 0] >= x.min())
        near &= (low[:, 1] <= y.max()) & (high[:, 1] >= y.min())
        if not near.any():
            return np.empty((0, 0))
        out = np.full((x.shape[0], y.shape[1]), -1e3)
        for start, end, first, last in zip(a[near], b[near], low[near], high[near], strict=True):
            rows = np.flatnonzero((x[:, 0] >= first[0]) & (x[:, 0] <= last[0]))
            columns = np.flatnonzero((y[0] >= first[1]) & (y[0] <= last[1]))
            if rows.size and columns.size:
                part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                found = _piece(start, end, x[part[0]], y[:, part[1]], z) + self.extra
                out[part] = np.maximum(out[part], found)
        return out


def curve(points: Stations, width: float) -> Tube:
    """A tube through points, smoothly.

    Args:
        points: x, y, z, radius; at least two.
        width: Factor on the radii.
    """
    from scipy.interpolate import PchipInterpolator

    places = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points[:, :3], axis=0), axis=1))])
    count = max(2, int(np.ceil(places[-1] / STEP_MM)) + 1)
    stations = PchipInterpolator(places, points)(np.linspace(0, places[-1], count))
    stations[:, 3] *= width
    return Tube(stations)


def _piece(start: np.ndarray, end: np.ndarray, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    """Depth below the surface of one straight piece."""
    way = end[:3] - start[:3]
    dx, dy, dz = x - start[0], y - start[1], z - start[2]
    along = np.clip((dx * way[0] + dy * way[1] + dz * way[2]) / max(float(way @ way), 1e-9), 0, 1)
    apart = np.sqrt((dx - along * way[0]) ** 2 + (dy - along * way[1]) ** 2 + (dz - along * way[2]) ** 2)
    return start[3] + along * (end[3] - start[3]) - apart
