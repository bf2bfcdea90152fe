"""Bones of a knee put against each other: as near as the joint's cartilage leaves them, and not into one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.affine import Affine
from voxbench.geometry.articulation import (
    FIBULA_CENTRE,
    PARAMETERS,
    PATELLA_CENTRE,
    Articulation,
    KneePose,
)
from voxbench.geometry.contact import approach, separation
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.shapes import ShapeModel

SIDEWAYS_MM = np.arange(-6.0, 7.0, 1.5)
END_MM = 22.0
JOINT_MM = 5.0
"""Surfaces of two bones that are nearer than this, beyond the least distance, are those of their joint."""


@dataclass(frozen=True)
class Gaps:
    """Least distances between bones, mm; cartilage fills them.

    Attributes:
        tibia: From tibia to femur.
        patella: From patella to femur.
        fibula: From fibula to tibia.
    """

    tibia: float = 4.5
    patella: float = 4.0
    fibula: float = 1.2


def pose_meshes(bones: Mapping[str, Mesh], articulation: Articulation, pose: KneePose) -> dict[str, Mesh]:
    """Every bone where its joint carries it."""
    maps = articulation.maps(pose)
    return {bone: Mesh(maps[bone](mesh.vertices), mesh.faces) for bone, mesh in bones.items()}


def seated_pose(bones: Mapping[str, Mesh], articulation: Articulation, pose: KneePose, gaps: Gaps) -> KneePose:
    """The pose with the bones moved along their joints until their least distances are the gaps.

    Only `gap`, `patella_gap` and `fibula_gap` change.

    Args:
        bones: In the model's frame.
        articulation: The joints.
        pose: All else.
        gaps: Distances to be left.

    Raises:
        InputError: Two bones never come near each other, or others do (patella and shin, fibula and femur).
    """
    for parameter, moving, fixed, gap in (
        ("gap", "tibia", "femur", gaps.tibia),
        ("fibula_gap", "fibula", "tibia", gaps.fibula),
        ("patella_gap", "patella", "femur", gaps.patella),
    ):
        posed = pose_meshes({bone: bones[bone] for bone in (moving, fixed)}, articulation, pose)
        away = articulation.derivatives(pose)[moving][PARAMETERS.index(parameter), :3, 3]
        nearer = approach(posed[moving], posed[fixed], -away, gap)
        pose = replace(pose, **{parameter: getattr(pose, parameter) - nearer})
    posed = pose_meshes(bones, articulation, pose)
    for one, other in (("patella", "tibia"), ("fibula", "femur")):
        free = separation(posed[one], posed[other])
        if free < gaps.fibula / 2:
            raise InputError(f"{one} and {other} are {free:.2f} mm apart in this pose; flex the knee less")
    return pose


def seated(model: ShapeModel, gaps: Gaps = Gaps()) -> ShapeModel:
    """The model with the mean's bones in contact; what varies stays what it was.

    The shin goes to the side until the middle of its plateau is under the middle of the condyles, and up to the gap;
    the patella goes to where its ridge lies deepest in the groove, at most 6 mm from the middle of the condyles.

    Args:
        model: Femur, tibia, fibula, patella in the anatomical frame, with landmarks.
        gaps: Distances to be left.

    Raises:
        InputError: The bones do not come together.
    """
    bones = model.sample([])
    side = np.array([_middle(bones["femur"], -1.0) - _middle(bones["tibia"], 1.0), 0.0, 0.0])
    bones |= {bone: _moved(bones[bone], Affine.from_parts(np.eye(3), side)) for bone in ("tibia", "fibula")}
    groove = _deepest(bones["patella"], bones["femur"], gaps.patella)
    bones["patella"] = _moved(bones["patella"], Affine.from_parts(np.eye(3), groove))
    joints = Articulation.of(model)
    pose = seated_pose(bones, joints, KneePose(), gaps)
    maps = joints.maps(pose)
    shift = {"femur": np.zeros(3), "tibia": side, "fibula": side, "patella": groove}
    mean = model.mean.copy()
    for bone, part in model.ranges.items():
        mean[part] = maps[bone](mean[part] + shift[bone])
    moved = {PATELLA_CENTRE: "patella", FIBULA_CENTRE: "fibula"}
    landmarks = dict(model.landmarks) | {
        name: maps[bone](model.landmarks[name] + shift[bone]) for name, bone in moved.items()
    }
    return replace(model, mean=mean, landmarks=landmarks)


def attached(model: ShapeModel) -> ShapeModel:
    """The model with modes that carry the shin and the patella along with the femur.

    In the modes of people who were laid on the mean bone by bone, a longer femur reaches into the tibia. Here every
    mode shifts shin and patella by what the surfaces about their joints move apart or together, so that the joints of a
    large knee and of a small one are as wide as the mean's; to first order, and `KneePose` goes on from there.

    Args:
        model: Femur, tibia, fibula, patella, seated.
    """
    from scipy.spatial import KDTree

    derivative = np.array(model.derivative)
    for moving, carried in (("tibia", ("tibia", "fibula")), ("patella", ("patella",))):
        one, other = model.mean[model.ranges["femur"]], model.mean[model.ranges[moving]]
        apart, back = KDTree(other).query(one)[0], KDTree(one).query(other)[0]
        on_femur = model.derivative[:, model.ranges["femur"]][:, apart < apart.min() + JOINT_MM].mean(axis=1)
        on_moving = model.derivative[:, model.ranges[moving]][:, back < back.min() + JOINT_MM].mean(axis=1)
        for bone in carried:
            derivative[:, model.ranges[bone]] += (on_femur - on_moving)[:, None]
    deviations = np.linalg.norm(derivative.reshape(len(derivative), -1), axis=1)
    return replace(model, modes=derivative / np.maximum(deviations, 1e-300)[:, None, None], deviations=deviations)


def _deepest(patella: Mesh, femur: Mesh, gap: float) -> np.ndarray:
    """The shift to the side from which the patella gets furthest back before it meets the femur."""
    across = patella.vertices[:, 0]
    middle = _middle(femur, -1.0) - float(across.min() + across.max()) / 2
    back = np.array([0.0, -1.0, 0.0])
    shifts = [np.array([middle + x, 0.0, 0.0]) for x in SIDEWAYS_MM]
    reached = [approach(Mesh(patella.vertices + shift, patella.faces), femur, back, gap) for shift in shifts]
    return shifts[int(np.argmax(reached))]


def _middle(bone: Mesh, up: float) -> float:
    """Middle across of a bone's end, mm; the end is the upper one (1) or the lower one (-1)."""
    height = up * bone.vertices[:, 2]
    across = bone.vertices[height > height.max() - END_MM, 0]
    return float(across.min() + across.max()) / 2


def _moved(mesh: Mesh, by: Affine) -> Mesh:
    return Mesh(by(mesh.vertices), mesh.faces)
