"""Patella, femur, fibula and tibia from a CT, without training: a threshold says where bone is, a shape model which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry import Volume
from voxbench.geometry.articulation import KneePose
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.shapes import ShapeModel, Side
from voxbench.tasks.reconstruction.config import ReconstructionConfig
from voxbench.tasks.reconstruction.ct_bone import CtBone, find_bone, parts_of
from voxbench.tasks.reconstruction.depths import Depths, looked_up
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.occupancy import BONES
from voxbench.tasks.reconstruction.surface import extract
from voxbench.tasks.reconstruction.surface_starts import fit_surfaces
from voxbench.types import AnyArray

REACH_MM = 6.0
"""Bone further than this outside the fitted model is not one of the four."""
DEEP_MM = 3.0
"""What lies deeper than this in the fitted model is bone, whatever its CT number: open marrow, thin spongiosa."""
MOSTLY = 0.9
"""A connected piece of bone that lies nearest to one bone of the model by this share is that bone, all of it, if the
piece holds no more than the rest of this share of any other bone."""
NOT_ITS_OWN = 4.0
BELIEVED = 0.45
FAR_OFF_MM = 3.0
LEAST_SPACING_MM = 0.8


@dataclass(frozen=True, eq=False)
class ThresholdOccupancy:
    """Bone by the CT, and which bone by the fitted shape model.

    The logit of bone k is ``min(b, d_k + 6) - (max_j d_j - d_k)``, where b is about the depth in bone by the CT number
    and d_k the depth in bone k of the model, both in mm; where d_k > 3, b is at least d_k - 3. The surface of a bone is
    so the CT's own (b = 0), and between two bones that touch it is the place that is as deep in the one's model as in
    the other's. A piece of bone that touches no other, and nine tenths of which lie nearest to one bone of the model,
    is that bone's as a whole, unless it holds a tenth of another bone.

    Attributes:
        bone: What is bone.
        depths: Of the fitted model.
    """

    bone: CtBone
    depths: Depths

    @cached_property
    def owners(self) -> AnyArray:
        """Which bone (1 to 4) a voxel of the CT belongs to for certain, 0 where the model decides; uint8."""
        from scipy.ndimage import maximum_filter

        mask = self.bone.depth.array > 0
        parts, count = parts_of(mask)
        few = np.argwhere(mask[::2, ::2, ::2]) * 2
        depths = self.depths.at(self.bone.depth.grid.world_from_voxel(few.astype(np.float64)))
        near = np.where(depths.max(axis=1) > -REACH_MM, np.argmax(depths, axis=1) + 1, 0)
        width = len(BONES) + 1
        counts = np.bincount(parts[tuple(few.T)] * width + near, minlength=(count + 1) * width).reshape(-1, width)
        sure = counts.max(axis=1) > MOSTLY * np.maximum(counts.sum(axis=1), 1)
        # A small bone that has grown together with a large one is little of the piece, but much of itself.
        taken = counts / np.maximum(counts.sum(axis=0), 1)
        taken[np.arange(count + 1), np.argmax(counts, axis=1)] = 0
        taken[:, 0] = 0
        sure &= taken.max(axis=1) < 1 - MOSTLY
        owner = np.where(sure, np.argmax(counts, axis=1), 0).astype(np.uint8)
        owner[0] = 0
        own = owner[parts]
        return np.where(mask, own, np.asarray(maximum_filter(own, 3)))

    @property
    def low(self) -> AnyArray:
        """First voxel of the CT, mm."""
        return self.bone.box[0]

    @property
    def high(self) -> AnyArray:
        """Its last voxel, mm."""
        return self.bone.box[1]

    def margins(self, points: AnyArray) -> AnyArray:
        """Logits of background and bones, float32 (n, 5)."""
        own = self.bone.depth
        bone = looked_up(own.array, own.grid.voxel_from_world(points).T)
        depths = self.depths.at(points)
        deepest = depths.max(axis=1, keepdims=True)
        inside = np.minimum(np.maximum(bone[:, None], depths - np.float32(DEEP_MM)), depths + np.float32(REACH_MM))
        logits = np.zeros((len(points), len(BONES) + 1), np.float32)
        logits[:, 1:] = inside - (deepest - depths)
        self._owned(logits, points, np.maximum(bone[:, None], depths - np.float32(DEEP_MM)))
        return logits

    def _owned(self, logits: AnyArray, points: AnyArray, bone: AnyArray) -> None:
        """Where a voxel has an owner, bone is its, and no other's."""
        places = np.rint(self.bone.depth.grid.voxel_from_world(points)).astype(np.int64)
        places = np.clip(places, 0, np.array(self.owners.shape) - 1)
        owner = self.owners[tuple(places.T)].astype(np.int64)
        rows = np.flatnonzero(owner)
        columns = owner[rows]
        logits[rows, 1:] = np.minimum(logits[rows, 1:], bone[rows]) - np.float32(NOT_ITS_OWN)
        logits[rows, columns] = bone[rows, columns - 1]


@dataclass(frozen=True, eq=False)
class CtReconstruction:
    """Bones found in a CT.

    Attributes:
        bones: Watertight meshes in the world, mm; a bone that is not in the volume is left out.
        whole: The fitted shape model.
        side: Which leg.
        pose: How the bones stand.
        coefficients: Of the shape model, standard deviations.
        score: How close the model and the CT's bone are, 0 to 1.
        residual_mm: Median distance of each bone's model from the CT's bone.
        threshold_hu: What separates bone.
        warnings: For eyes.
    """

    bones: Mapping[str, Mesh]
    whole: Mapping[str, Mesh]
    side: Side
    pose: KneePose
    coefficients: AnyArray
    score: float
    residual_mm: Mapping[str, float]
    threshold_hu: float
    warnings: tuple[str, ...]


def reconstruct_ct(
    ct: Volume, model: ShapeModel, config: ReconstructionConfig = ReconstructionConfig()
) -> CtReconstruction:
    """The bones of one knee in a CT.

    Bone is what lies above Otsu's threshold, with the marrow that it encloses. The articulated shape model is fitted to
    its surface (pose, joints, all modes; from many places, both sides). Every place is then given to the nearest of the
    model's bones, and each bone's surface is the CT's own, to less than a voxel.

    Args:
        ct: Hounsfield units; the leg within some 30 degrees of the world's z axis, the person facing y.
        model: Of patella, femur, fibula and tibia, of either side.
        config: Side, bendings, sizes of the starts.

    Raises:
        InputError: No CT, no bone, or no knee in it.
    """
    bone = find_bone(ct)
    best, asked = fit_surfaces(knees_of(model, config), bone.points(), config)
    knee, values = best.knee, best.values
    if best.score < BELIEVED:
        raise InputError(
            f"no knee fits the bone in this CT: {best.score:.2f} of 1; {BELIEVED:g} is needed\n"
            "  is it a knee, the leg along the z axis of the world, and are spacing and orientation in the file right?"
        )
    whole = knee.meshes(values)
    spacing = max(LEAST_SPACING_MM, float(bone.depth.grid.spacing.min()))
    bones = extract(ThresholdOccupancy(bone, Depths.of(whole, bone.box)), spacing)
    residual = asked.residual_mm()
    return CtReconstruction(
        bones,
        whole,
        knee.model.side,
        KneePose.from_values(values[:POSE]),
        values[POSE:],
        best.score,
        residual,
        bone.threshold_hu,
        tuple(ct_warnings(bones, residual)),
    )


def knees_of(model: ShapeModel, config: ReconstructionConfig) -> list[MovingKnee]:
    """A movable knee for each side that is asked for."""
    sides: tuple[Side, ...] = ("right", "left") if config.side == "auto" else (config.side,)
    return [MovingKnee(model.on(side)) for side in sides]


def ct_warnings(bones: Mapping[str, Mesh], residual: Mapping[str, float]) -> Sequence[str]:
    """What to look at before it is trusted."""
    found = [f"{bone}: none of it is in the volume" for bone in BONES if bone not in bones]
    for bone, distance in residual.items():
        if bone in bones and not distance < FAR_OFF_MM:
            found.append(f"{bone}: the shape model lies {distance:.1f} mm from the bone in the CT; look at the picture")
    return found
