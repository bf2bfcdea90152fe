"""The anatomical frame of a knee, read off its bones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry.affine import Affine
from voxbench.geometry.articulation import FIBULA_CENTRE, FLEXION_CENTRE, JOINT_CENTRE, PATELLA_CENTRE
from voxbench.geometry.shapes import Side
from voxbench.types import AnyArray, Points, Vector3

CONDYLES_MM = 45.0
SHAFT_MM = (70.0, 150.0)
BACK_MM = 22.0
HEAD_MM = 40.0
FIBULA_BACK = np.radians(25.0)
"""The fibula's head lies to the outside of the tibia and, by about this angle, to the back."""


@dataclass(frozen=True, eq=False)
class KneeFrame:
    """Where a knee is and how it is turned.

    Attributes:
        model_from_world: Rigid, into a frame with x to the person's right, y to the front, z up, and the middle of the
            joint at 0.
        landmarks: The places that `Articulation.of` asks for, in that frame.
    """

    model_from_world: Affine
    landmarks: Mapping[str, Vector3]


def knee_frame(bones: Mapping[str, AnyArray], side: Side) -> KneeFrame:
    """The frame of a knee that is nearly straight.

    The z axis is the mean of the axes of the two shafts near the knee; the x axis goes through the centres of two
    spheres, one fitted to the back of each condyle of the femur (about these the knee bends), made square to z; the
    joint's middle lies under the middle of the two centres, as low as the condyles reach on average.

    Args:
        bones: Vertices of femur, tibia, fibula and, if there is one, patella, in one right-handed frame.
        side: Which leg: the fibula is on its outside.

    Raises:
        EmptyShapeError: The shafts are shorter than 70 mm, or condyles cannot be found.
    """
    femur, tibia, fibula = bones["femur"], bones["tibia"], bones["fibula"]
    up = _unit(femur.mean(axis=0) - tibia.mean(axis=0))
    for _ in range(3):
        up = _unit(_shaft(femur, up) - _shaft(tibia, -up))
    aside = _end(fibula, -up, HEAD_MM).mean(axis=0) - _end(tibia, -up, HEAD_MM).mean(axis=0)
    aside = _unit(aside - up * (aside @ up))
    outwards = 1 if side == "right" else -1
    right = outwards * np.cos(FIBULA_BACK) * aside + np.sin(FIBULA_BACK) * np.cross(up, aside)
    centres, lows = _condyles(femur, right, up)
    for _ in range(4):
        along = centres[1] - centres[0]
        right = _unit(along - up * (along @ up))
        centres, lows = _condyles(femur, right, up)
    flexion = centres.mean(axis=0)
    axes = np.stack([right, np.cross(up, right), up])
    joint = flexion + up * (float(np.mean(lows)) - flexion @ up)
    places = {
        FLEXION_CENTRE: flexion,
        JOINT_CENTRE: joint,
        FIBULA_CENTRE: _end(fibula, -up, 20.0).mean(axis=0),
    }
    if "patella" in bones:
        places[PATELLA_CENTRE] = bones["patella"].mean(axis=0)
    return KneeFrame(
        Affine.from_parts(axes, -axes @ joint, "model", "world"),
        {name: axes @ (place - joint) for name, place in places.items()},
    )


def _condyles(femur: Points, right: Vector3, up: Vector3) -> tuple[np.ndarray, list[float]]:
    """Centre of the back of the left and of the right condyle, (2, 3), and how low each reaches along ``up``."""
    front = np.cross(up, right)
    end = _end(femur, up, CONDYLES_MM)
    across = end @ right
    middle = (across.min() + across.max()) / 2
    centres, lows = [], []
    for half in (end[across < middle], end[across >= middle]):
        depth = half @ front
        back = half[depth < depth.min() + BACK_MM]
        if len(back) < 8:
            raise EmptyShapeError(f"no condyle: {len(back)} vertices at the back of the femur's end; 8 are needed")
        centres.append(_sphere(back))
        lows.append(float((half @ up).min()))
    return np.array(centres), lows


def _end(bone: np.ndarray, up: Vector3, length: float) -> np.ndarray:
    """The vertices within a length of the lower end."""
    height = bone @ up
    return bone[height < height.min() + length]


def _shaft(bone: Points, up: Vector3) -> Vector3:
    """Direction of a shaft, away from the joint at the lower end."""
    height = bone @ up - (bone @ up).min()
    low, high = SHAFT_MM
    high = min(high, float(height.max()))
    if high < low + 10:
        raise EmptyShapeError(f"a bone of {high:.0f} mm shows no shaft; {low + 10:.0f} mm are needed")
    middle = (low + high) / 2
    ends = [bone[(height > a) & (height <= b)] for a, b in ((low, middle), (middle, high))]
    centres = []
    for end in ends:
        heights = end @ up
        flat = _sphere(end - np.outer(heights, up))  # a circle: all points lie in one plane
        centres.append(flat + up * float(heights.mean() - flat @ up))
    return _unit(centres[1] - centres[0])


def _sphere(points: Points) -> Vector3:
    """Centre of the sphere nearest to points in the algebraic sense."""
    centre = points.mean(axis=0)
    moved = points - centre
    system = np.column_stack([2 * moved, np.ones(len(moved))])
    return centre + np.linalg.lstsq(system, (moved**2).sum(axis=1), rcond=None)[0][:3]


def _unit(vector: np.ndarray) -> Vector3:
    return vector / np.linalg.norm(vector)
