"""A knee drawn from formulas, as a shape model: nothing is traced from a person, nothing has to be fetched.

Four bones as blends of ellipsoids and tapered rods. What varies are ten plain deformations (size, width, depth, bow and
torsion of the shafts, slope of the plateau, one condyle larger ...), with spreads of the order found among people.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from voxbench.geometry.articulation import FIBULA_CENTRE, FLEXION_CENTRE, JOINT_CENTRE, PATELLA_CENTRE
from voxbench.geometry.seating import seated
from voxbench.geometry.shapes import ShapeModel

LENGTH_MM = 200.0
STEP_MM = 3.0
BLEND_MM = 6.0
SOURCE = "voxbench's knee of formulas"

# of a right leg: x to the outside, y to the front, z up; the condyles reach down to about z = 0
_ROUND: Mapping[str, tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]] = MappingProxyType(
    {
        "patella": (((0, 53, 36), (19, 8, 18)), ((0, 50, 37), (6, 8, 13)), ((0, 52, 25), (9, 6, 11))),
        "femur": (
            ((23, -2, 21), (14.5, 22, 20)),
            ((-23, -2, 20), (14.5, 22, 20)),
            ((22, 17, 29), (14, 18, 20)),
            ((-22, 16, 28), (14, 17, 20)),
            ((0, 12, 40), (35, 16, 18)),
        ),
        "fibula": (((36, -17, -28), (11, 12, 14)),),
        "tibia": (
            ((18, 2, -18), (22, 24, 13)),
            ((-18, 1, -18), (22, 25, 13)),
            ((5, 2, -8), (4, 8, 9)),
            ((-5, 4, -8), (4, 8, 9)),
            ((0, 3, -30), (32, 23, 22)),
            ((3, 22, -46), (11, 10, 16)),
        ),
    }
)
"""Ellipsoids: centre and half axes, mm."""
_RODS: Mapping[str, tuple[tuple[tuple[float, float, float], tuple[float, float, float], float, float], ...]] = (
    MappingProxyType(
        {
            "femur": (((0, 10, 30), (0, 14, 115), 27, 14.5), ((0, 14, 115), (4, 16, 260), 14.5, 14)),
            "fibula": (((36, -17, -30), (33, -16, -80), 9, 6.5), ((33, -16, -80), (26, -10, -260), 6.5, 6.5)),
            "tibia": (((0, 2, -26), (0, 6, -105), 25, 13.5), ((0, 6, -105), (-4, 6, -260), 13.5, 12)),
        }
    )
)
"""Tapered rods: two ends and the radius at each, mm."""
_LANDMARKS = MappingProxyType(
    {
        FLEXION_CENTRE: (0.0, -2.0, 21.0),
        JOINT_CENTRE: (0.0, 0.0, 0.0),
        PATELLA_CENTRE: (0.0, 53.0, 35.0),
        FIBULA_CENTRE: (36.0, -17.0, -28.0),
    }
)
_BOXES = MappingProxyType(
    {
        "patella": ((-30, 35, 5), (30, 72, 66)),
        "femur": ((-56, -40, -12), (56, 56, LENGTH_MM + 6)),
        "fibula": ((10, -40, -LENGTH_MM - 6), (58, 12, 0)),
        "tibia": ((-54, -40, -LENGTH_MM - 6), (54, 52, 12)),
    }
)


def analytic_knee(step_mm: float | int = STEP_MM) -> ShapeModel:
    """The knee of formulas, seated, right leg.

    Args:
        step_mm: Distance of the surface's vertices, mm.
    """
    parts = {bone: _surface(bone, float(step_mm)) for bone in _ROUND}
    mean = np.concatenate([vertices for vertices, _ in parts.values()])
    faces = {bone: triangles for bone, (_, triangles) in parts.items()}
    moved = _variations(mean)
    length = np.sqrt((moved**2).sum(axis=(1, 2)))
    landmarks = {name: np.array(place) for name, place in _LANDMARKS.items()}
    return seated(ShapeModel(mean, moved / length[:, None, None], length, faces, landmarks, "right", SOURCE))


def _surface(bone: str, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a bone, cut flat 200 mm from the joint."""
    from skimage.measure import marching_cubes

    low, high = (np.array(end, dtype=np.float64) for end in _BOXES[bone])
    axes = [np.arange(a, b + step, step) for a, b in zip(low, high, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    depth = _depth(bone, x, y, z)
    vertices, faces, _, _ = marching_cubes(depth, 0.0, gradient_direction="ascent")
    return vertices.astype(np.float64) * step + low, faces.astype(np.int64)


def _depth(bone: str, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """About how deep a place lies in a bone, mm; negative outside."""
    at = np.stack([x, y, z], axis=-1)
    depths = [_ellipsoid(at, np.array(c, float), np.array(r, float)) for c, r in _ROUND[bone]]
    depths += [_rod(at, np.array(a), np.array(b), (float(ra), float(rb))) for a, b, ra, rb in _RODS.get(bone, ())]
    blended = depths[0]
    for other in depths[1:]:
        near = np.clip(BLEND_MM - np.abs(blended - other), 0, None)
        blended = np.maximum(blended, other) + near**2 / (4 * BLEND_MM)
    return np.minimum(blended, LENGTH_MM - np.abs(z))


def _ellipsoid(at: np.ndarray, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    scaled = (at - centre) / radii
    norm = np.sqrt((scaled**2).sum(axis=-1))
    slope = np.sqrt(((scaled / radii) ** 2).sum(axis=-1))
    return np.where(norm > 1e-6, norm * (1 - norm) / np.maximum(slope, 1e-9), radii.min())


def _rod(at: np.ndarray, start: np.ndarray, end: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    axis = end - start
    along = np.clip(((at - start) @ axis) / (axis @ axis), 0, 1)
    away = np.sqrt(((at - start - along[..., None] * axis) ** 2).sum(axis=-1))
    eased = along * along * (3 - 2 * along)
    return radii[0] + (radii[1] - radii[0]) * eased - away


def _variations(mean: np.ndarray) -> np.ndarray:
    """How far each vertex moves with one standard deviation of each variation, mm, (k, n, 3)."""
    x, y, z = mean.T
    end, none = 1 / (1 + (z / 60) ** 4), np.zeros(len(mean))  # near the joint
    shaft, back = 1 - end, np.clip(10 - y, 0, 30) / 30
    fields = (
        (0.055 * x, 0.055 * y, 0.055 * z),  # size
        (0.035 * x * end, none, none),  # width of the ends
        (none, 0.035 * y * end, none),  # their depth
        (0.06 * x * shaft, 0.06 * (y - 8) * shaft, none),  # thickness of the shafts
        (none, 1.6 * (z / 100) ** 2, none),  # bow to the front
        (1.2 * (z / 100) ** 2 * np.sign(z), none, none),  # bow to the side
        (-0.05 * y * z / 100, 0.05 * x * z / 100, none),  # torsion
        (none, none, 0.8 * x / 25 * end),  # slope of the joint to the side
        (none, none, 0.7 * y / 25 * end),  # slope to the back
        (none, -0.9 * x / 25 * back * end, none),  # one condyle further back
    )
    return np.stack([np.stack(field, axis=1) for field in fields])
