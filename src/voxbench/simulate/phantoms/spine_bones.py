"""Bones of a spine as formulas: how deep a place lies in a body, an arch or the sacrum's wings."""

from __future__ import annotations

import numpy as np

from voxbench.simulate.phantoms.spine_shape import BACK, CANAL_HALF, Body

Sides = tuple[tuple[tuple[float, float, float], tuple[float, float, float], float, float], ...]


def body_depth(body: Body, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """About how deep a place lies in a vertebral body, mm; negative outside, 0 exactly on its surface."""
    along = np.clip(2 * np.abs(z) / body.height, 0, 1)
    narrow = 1 - body.waist * (1 - along**2)
    side = (1 - rim(x, y, body.half_width * narrow, body.half_depth * narrow)) * body.half_depth
    back = y + BACK * body.half_depth
    ends = np.minimum(below_endplate(body, x, y, z, 1), below_endplate(body, x, y, z, -1))
    return np.minimum(np.minimum(side, back), ends)


def rim(x: np.ndarray, y: np.ndarray, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """1 on the rim of a body's cross-section, a rounded box."""
    return (np.abs(x / a) ** 2.5 + np.abs(y / b) ** 2.5) ** np.float32(0.4)


def below_endplate(body: Body, x: np.ndarray, y: np.ndarray, z: np.ndarray, side: int) -> np.ndarray:
    """How far a place lies below the upper (1) or above the lower (-1) endplate, mm along the body's axis."""
    away = (x / body.half_width) ** 2 + (y / body.half_depth) ** 2
    hollow = body.hollow * np.clip(1 - away, 0, None)
    return body.height / 2 + y * np.float32(np.tan(body.half_wedge)) - hollow - side * z


def arch_depth(body: Body, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Pedicles, laminae, spinous, transverse and articular processes."""
    depth = np.full(x.shape, -1e3, np.float32)
    for start, end, radius, tall in arch_rods(body):
        np.maximum(depth, _rod(np.abs(x), y, z, (start, end, radius, tall)), out=depth)
    return depth


def arch_rods(body: Body) -> Sides:
    """Start, end, radius and how much higher than wide: each rod of an arch, right half, mm in the body's frame."""
    s, h = body.arch, body.height
    across, deep = (s * v for v in CANAL_HALF)
    back = -BACK * body.half_depth
    y = back - 1.5 - deep
    lumbar = body.number <= 5
    wing = body.half_width + s * (15 if lumbar else 8)
    droop = 0.3 if lumbar else 0.75
    return (
        ((across + 2, back + 5, 0.16 * h), (across + 5 * s, y, 0.16 * h), 4.2 * s, 1.7),
        ((across + 4 * s, y - 1, 0.05 * h), (0.0, y - deep - 7 * s, -0.12 * h), 3.6 * s, 2.2),
        ((0.0, y - deep - 6 * s, -0.2 * h), (0.0, y - deep - 27 * s, -droop * h), 3.0 * s, 2.7),
        ((across + 5 * s, y, 0.12 * h), (wing, y - 5 * s, 0.16 * h), 3.2 * s, 1.5),
        ((across + 6 * s, y - 2, 0.1 * h), (across + 8 * s, y - 3, 0.5 * h + 6 * s), 3.8 * s, 1.3),
        ((across + 2.5 * s, y - 9 * s, -0.1 * h), (across + 5 * s, y - 11 * s, -0.5 * h - 7 * s), 3.8 * s, 1.3),
    )


def ala_depth(body: Body, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The sacrum's wings and crest."""
    wide = body.half_width
    wing = ((0.6 * wide, -0.2 * body.half_depth, 0.0), (wide + 12, -10.0, -2.0), 0.42 * body.height, 1.0)
    y0 = -BACK * body.half_depth - 2 * CANAL_HALF[1] - 3
    crest = ((0.0, y0, 0.0), (0.0, y0 - 5, 0.0), 3.5, 2.5)
    roof = ((13.0, y0 + 4, 0.0), (0.0, y0 - 1, 0.0), 3.0, 3.0)
    return np.maximum.reduce([_rod(np.abs(x), y, z, rod) for rod in (wing, crest, roof)])


def _rod(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    rod: tuple[tuple[float, float, float], tuple[float, float, float], float, float],
) -> np.ndarray:
    """Depth below the surface of a rod with round ends, stretched along z."""
    start, end, radius, tall = rod
    direction = np.array(end, np.float32) - np.array(start, np.float32)
    px, py, pz = (p - np.float32(s) for p, s in zip((x, y, z), start, strict=True))
    squeezed = direction * np.array([1, 1, 1 / tall], np.float32)
    pz = pz / np.float32(tall)
    length = max(float(squeezed @ squeezed), 1e-6)
    t = np.clip((px * squeezed[0] + py * squeezed[1] + pz * squeezed[2]) / np.float32(length), 0, 1)
    away = (px - t * squeezed[0]) ** 2 + (py - t * squeezed[1]) ** 2 + (pz - t * squeezed[2]) ** 2
    return np.float32(radius) - np.sqrt(away)
