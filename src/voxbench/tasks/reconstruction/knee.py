"""A knee with all that a fit may change: fifteen numbers of pose, then the coefficients of the shape model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxbench.geometry.articulation import PARAMETERS, Articulation, KneePose
from voxbench.geometry.free_form import with_free_form
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.shapes import ShapeModel
from voxbench.tasks.reconstruction.config import POSE_SPREAD, ReconstructionConfig
from voxbench.tasks.reconstruction.contours import Contour, Surface
from voxbench.tasks.reconstruction.shells import usual_shell
from voxbench.types import AnyArray

POSE = len(PARAMETERS)
FREE_WITHIN_MM = 140.0
"""Bones deform freely up to this height above and below the joint: what a radiograph of a knee may show."""
FLAT_MM = 2.0
"""Within this of the end at which a model's bone was cut, its surface is no surface of a bone."""


@dataclass(frozen=True, eq=False)
class MovingKnee:
    """A shape model whose joints move.

    Attributes:
        model: Of patella, femur, fibula and tibia.
        free: Whether free deformations are among its modes.
    """

    model: ShapeModel
    free: bool = False

    def freed(self, config: ReconstructionConfig) -> MovingKnee:
        """The knee whose bones deform freely on top of the model; itself where they do."""
        if self.free:
            return self
        return MovingKnee(with_free_form(self.model, config.free_form, config.free_modes, FREE_WITHIN_MM), True)

    @cached_property
    def joints(self) -> Articulation:
        """The joints."""
        return Articulation.of(self.model)

    @cached_property
    def spread(self) -> AnyArray:
        """Standard deviation of each parameter in the prior; its mean is 0, (15 + k,)."""
        return np.concatenate([[POSE_SPREAD[name] for name in PARAMETERS], np.ones(len(self.model.modes))])

    @cached_property
    def modes(self) -> dict[str, tuple[AnyArray, AnyArray]]:
        """Of every bone: which modes move it, and its vertices' derivatives with respect to them, (n, those, 3)."""
        found = {}
        for bone, part in self.model.ranges.items():
            own = self.model.derivative[:, part]
            which = np.flatnonzero(np.abs(own).max(axis=(1, 2)) > 0)
            found[bone] = which, np.ascontiguousarray(np.moveaxis(own[which], 0, 1))
        return found

    @cached_property
    def surfaces(self) -> dict[str, Surface]:
        """The triangles of every bone."""
        height = self.model.mean[:, 2]
        ends = float(height.min()), float(height.max())
        found = {}
        for bone, part in self.model.ranges.items():
            faces = np.asarray(self.model.faces[bone], np.int64)
            own = height[part][faces]
            counted = np.asarray((own > ends[0] + FLAT_MM) & (own < ends[1] - FLAT_MM)).all(axis=1)
            found[bone] = Surface(faces, part.stop - part.start, np.asarray(counted))
        return found

    @cached_property
    def shells(self) -> dict[str, AnyArray]:
        """How thick the cortex usually is under every vertex, mm."""
        return {bone: usual_shell(bone, self.model.mean[part, 2]) for bone, part in self.model.ranges.items()}

    def at(self, values: AnyArray) -> PosedKnee:
        """The knee for some parameters.

        Args:
            values: Pose, then coefficients, (15 + k,).
        """
        pose = KneePose.from_values(values[:POSE])
        shape = self.model.vertices(values[POSE:])
        maps, moved = self.joints.maps(pose), self.joints.derivatives(pose)
        own = {bone: shape[part] for bone, part in self.model.ranges.items()}
        return PosedKnee(
            self, own, {b: maps[b].linear for b in own}, moved, {b: maps[b](vertices) for b, vertices in own.items()}
        )

    def bones(self, values: AnyArray) -> dict[str, AnyArray]:
        """Vertices of every bone in the world for some parameters, mm."""
        return self.at(values).bones

    def meshes(self, values: AnyArray) -> dict[str, Mesh]:
        """The bones as meshes."""
        return {bone: Mesh(vertices, self.model.faces[bone]) for bone, vertices in self.bones(values).items()}


@dataclass(frozen=True, eq=False)
class PosedKnee:
    """A knee for given parameters.

    Attributes:
        knee: Of which.
        shape: Vertices of every bone in the model's frame, mm.
        turned: Rotation of every bone, (3, 3).
        moved: Derivatives of every bone's 4 x 4 matrix with respect to the pose, (15, 4, 4).
        bones: Vertices in the world, mm.
    """

    knee: MovingKnee
    shape: dict[str, AnyArray]
    turned: dict[str, AnyArray]
    moved: dict[str, AnyArray]
    bones: dict[str, AnyArray]

    @cached_property
    def normals(self) -> dict[str, AnyArray]:
        """Of every bone's vertices, outwards, in the world."""
        return {bone: self.knee.surfaces[bone].normals(vertices) for bone, vertices in self.bones.items()}

    def derivative(self, bone: str, corners: AnyArray, shares: AnyArray, along: AnyArray) -> AnyArray:
        """Of places on a bone along directions, with respect to pose and coefficients: float64 (n, 15 + k).

        Args:
            bone: Which.
            corners: Vertices of the triangles on which the places lie, counted within the bone, (n, c).
            shares: What each vertex contributes, (n, c).
            along: Direction (of any length) for each place, (n, 3).
        """
        place = np.einsum("nc,ncd->nd", shares, self.shape[bone][corners])
        moved = self.moved[bone]
        # along . (moved @ (place, 1)), as one product of matrices
        outer = (along[:, :, None] * np.concatenate([place, np.ones((len(place), 1))], axis=1)[:, None]).reshape(-1, 12)
        by_pose = outer @ moved[:, :3].reshape(len(moved), 12).T
        back = along @ self.turned[bone]
        which, modes = self.knee.modes[bone]
        found = np.zeros((len(place), POSE + len(self.knee.model.modes)))
        found[:, :POSE] = by_pose
        for column in range(corners.shape[1]):
            own = np.einsum("nkd,nd->nk", modes[corners[:, column]], back * shares[:, column, None])
            found[:, POSE + which] += own
        return found

    def slopes(self, bone: str, contour: Contour) -> AnyArray:
        """How far each piece of a contour moves along its normal with each parameter, pixels per unit, (n, 15 + k)."""
        return self.derivative(bone, contour.corners, contour.shares, contour.moves)
