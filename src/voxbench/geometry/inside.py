"""Which of many points lie inside a closed surface."""

from __future__ import annotations

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.mesh import Mesh
from voxbench.types import Points

AT_ONCE = 4_000_000


def inside(mesh: Mesh, points: Points) -> np.ndarray:
    """Which points lie inside, bool (n,): those from which a ray along z crosses the surface an odd number of times.

    A face's outline, seen along z, owns its lower and left border only, so that of two faces that meet exactly one is
    crossed where they meet.

    Args:
        mesh: A closed surface; which way its faces turn does not matter.
        points: mm, (n, 3).

    Raises:
        InputError: The surface is open.
    """
    from scipy.spatial import KDTree

    if not mesh.is_closed:
        raise InputError(f"an open surface has no inside: {mesh.open_edges} edges belong to an odd number of faces")
    crossings = np.zeros(len(points), np.int64)
    low, high = mesh.bounds
    chosen = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    if not len(chosen):
        return crossings.astype(bool)
    corners = np.stack(mesh.corners, axis=1)
    flat = corners[:, :, :2]
    middle = (flat.min(axis=1) + flat.max(axis=1)) / 2
    reach = np.sqrt(((flat - middle[:, None]) ** 2).sum(axis=2)).max(axis=1) * (1 + 1e-9) + 1e-12
    tree = KDTree(points[chosen, :2], balanced_tree=False, compact_nodes=False)
    step = max(1, AT_ONCE // max(1, len(chosen) // 50 + 1))
    for start in range(0, len(corners), step):
        near = tree.query_ball_point(middle[start : start + step], reach[start : start + step])
        counts = np.array([len(found) for found in near])
        if not counts.sum():
            continue
        which = chosen[np.concatenate([np.asarray(found, np.int64) for found in near if found])]
        face = np.repeat(np.arange(start, start + len(near)), counts)
        above = _crossed(corners[face], points[which])
        np.add.at(crossings, which[above], 1)
    return crossings % 2 == 1


def _crossed(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether the ray from each point up along z crosses the face beside it."""
    x, y, z = points.T
    odd = np.zeros(len(points), bool)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        one, two = corners[:, a], corners[:, b]
        swap = (one[:, 1] > two[:, 1]) | ((one[:, 1] == two[:, 1]) & (one[:, 0] > two[:, 0]))
        low, high = np.where(swap[:, None], two, one), np.where(swap[:, None], one, two)
        spans = (low[:, 1] <= y) & (y < high[:, 1])
        rise = np.where(spans, high[:, 1] - low[:, 1], 1)
        at = low[:, 0] + (y - low[:, 1]) * (high[:, 0] - low[:, 0]) / rise
        odd ^= spans & (x < at)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    steep = odd & (normal[:, 2] != 0)
    depth = np.where(steep, normal[:, 2], 1)
    height = corners[:, 0, 2] - ((x - corners[:, 0, 0]) * normal[:, 0] + (y - corners[:, 0, 1]) * normal[:, 1]) / depth
    return steep & (height > z)
