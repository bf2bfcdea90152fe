"""A knee with all that a fit may change: fifteen numbers of pose, then the coefficients of the shape model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxbench.geometry.articulation import PARAMETERS, Articulation, KneePose
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.shapes import ShapeModel
from voxbench.tasks.reconstruction.config import POSE_SPREAD
from voxbench.tasks.reconstruction.contours import Contour, Surface
from voxbench.types import AnyArray

POSE = len(PARAMETERS)
FLAT_MM = 2.0
"""Within this of the end at which a model's bone was cut, its surface is no surface of a bone."""


@dataclass(frozen=True, eq=False)
class MovingKnee:
    """A shape model whose joints move.

    Attributes:
        model: Of patella, femur, fibula and tibia.
    """

    model: ShapeModel

    @cached_property
    def joints(self) -> Articulation:
        """The joints."""
        return Articulation.of(self.model)

    @cached_property
    def spread(self) -> AnyArray:
        """Standard deviation of each parameter in the prior; its mean is 0, (15 + k,)."""
        return np.concatenate([[POSE_SPREAD[name] for name in PARAMETERS], np.ones(len(self.model.modes))])

    @cached_property
    def surfaces(self) -> dict[str, Surface]:
        """The triangles of every bone."""
        height = self.model.mean[:, 2]
        ends = float(height.min()), float(height.max())
        found = {}
        for bone, part in self.model.ranges.items():
            faces = np.asarray(self.model.faces[bone], np.int64)
            own = height[part][faces]
            flat = (own < ends[0] + FLAT_MM).any(axis=1) | (own > ends[1] - FLAT_MM).any(axis=1)
            found[bone] = Surface(faces, part.stop - part.start, ~flat)
        return found

    def bones(self, values: AnyArray) -> dict[str, AnyArray]:
        """Vertices of every bone in the world, mm.

        Args:
            values: Pose, then coefficients, (15 + k,).
        """
        shape = self.model.vertices(values[POSE:])
        maps = self.joints.maps(KneePose.from_values(values[:POSE]))
        return {bone: maps[bone](shape[part]) for bone, part in self.model.ranges.items()}

    def meshes(self, values: AnyArray) -> dict[str, Mesh]:
        """The bones as meshes."""
        return {bone: Mesh(vertices, self.model.faces[bone]) for bone, vertices in self.bones(values).items()}

    def derivative(self, values: AnyArray, bone: str, corners: AnyArray, shares: AnyArray) -> AnyArray:
        """Of places on a bone with respect to pose and coefficients, mm per unit, float64 (n, 3, 15 + k).

        Args:
            values: Pose, then coefficients.
            bone: Which.
            corners: Vertices of the triangles on which the places lie, counted within the bone, (n, c).
            shares: What each vertex contributes, (n, c).
        """
        pose = KneePose.from_values(values[:POSE])
        part = self.model.ranges[bone]
        shape = self.model.vertices(values[POSE:])[part]
        place = np.einsum("nc,ncd->nd", shares, shape[corners])
        moved = self.joints.derivatives(pose)[bone]
        by_pose = np.einsum("pde,ne->ndp", moved[:, :3, :3], place) + moved[:, :3, 3].T
        turned = self.joints.maps(pose)[bone].linear
        modes = np.einsum("nc,kncd->nkd", shares, self.model.derivative[:, part][:, corners])
        return np.concatenate([by_pose, np.einsum("ed,nkd->nek", turned, modes)], axis=2)

    def slopes(self, values: AnyArray, bone: str, contour: Contour) -> AnyArray:
        """How far each piece of a contour moves along its normal with each parameter, pixels per unit, (n, 15 + k)."""
        moved = self.derivative(values, bone, contour.corners, contour.shares)
        return np.einsum("nd,ndp->np", contour.moves, moved)
