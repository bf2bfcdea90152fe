"""How near two bones are, and how far one may be moved towards the other."""

from __future__ import annotations

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.mesh import Mesh
from voxbench.types import Triple

APART_MM = 80.0
NEAR_ENOUGH_MM = 0.01
MOST_STEPS = 200


def separation(first: Mesh, second: Mesh) -> float:
    """Least distance of two surfaces that do not meet, mm: from the vertices of each to the faces of the other.

    Where two edges come nearest it is a little too large; on smooth surfaces, by the square of the edges' length over
    eight times the radius.
    """
    return min(_least(first, second), _least(second, first))


def approach(moving: Mesh, fixed: Mesh, direction: Triple, gap: float | int, away: float | int = APART_MM) -> float:
    """How far to move a bone along a direction until it is ``gap`` from another.

    It is first moved back by ``away``, where the two must be apart, and then forward by what is still free, again and
    again: as no step is longer than the distance, nothing is passed through.

    Args:
        moving: What moves.
        fixed: What stays.
        direction: Towards the other; of any length.
        gap: Distance to be left, mm.
        away: How far back it begins, mm.

    Returns:
        Along the direction, mm; negative if it had to move back. At most 80 mm beyond where it stood.

    Raises:
        InputError: The two never come that near.
    """
    step = np.asarray(direction, dtype=np.float64)
    step = step / np.linalg.norm(step)
    at = -float(away)
    for _ in range(MOST_STEPS):
        free = separation(Mesh(moving.vertices + at * step, moving.faces), fixed) - gap
        if free < NEAR_ENOUGH_MM:
            return at
        at += free
        if at > APART_MM:
            break
    raise InputError(f"along {np.round(step, 2).tolist()} the two surfaces do not come within {gap:g} mm of each other")


def _least(points: Mesh, surface: Mesh) -> float:
    """Least distance from vertices to a surface; those that cannot be nearest are left out."""
    from scipy.spatial import KDTree

    from voxbench import _core

    # the nearest vertex bounds the distance from above; a face is no nearer than its vertices less its longest edge
    upper, _ = KDTree(surface.vertices).query(points.vertices)
    upper = np.asarray(upper)
    a, b, c = surface.corners
    longest = float(np.sqrt(max(((p - q) ** 2).sum(axis=1).max() for p, q in ((a, b), (b, c), (c, a)))))
    chosen = np.ascontiguousarray(points.vertices[upper <= upper.min() + longest])
    return float(_core.surface_distances(chosen, surface.vertices, surface.faces).min())
