"""Linear motions by few parameters, each of which moves the content's rim by about one millimetre per unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

Model = Literal["none", "translation", "rigid", "similarity", "affine"]
Pose = Float64[np.ndarray, "3 4"]
"""Where a point lands that is given relative to the sampled content's centre: linear part, then the centre's image."""

SIZES: dict[Model, int] = {"none": 0, "translation": 3, "rigid": 6, "similarity": 7, "affine": 12}


@dataclass(frozen=True, eq=False)
class Motion:
    """The poses around one pose that a model can reach.

    Attributes:
        model: Which kind of motion.
        base: The pose at parameters of zero.
        radius: Distance from the centre at which a unit of any parameter is a millimetre, mm.
    """

    model: Model
    base: Pose
    radius: float

    @property
    def size(self) -> int:
        """Number of parameters: three of the shift, then rotation and scale, or the nine of a linear map."""
        return SIZES[self.model]

    def pose(self, parameters: np.ndarray) -> Pose:
        """The pose at these parameters."""
        factor = self._factor(parameters[3:] / self.radius)[0]
        return np.column_stack([factor @ self.base[:, :3], self.base[:, 3] + parameters[:3]])

    def pull(self, parameters: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """The gradient by the parameters, from the gradient (3, 4) by the pose."""
        changes = self._factor(parameters[3:] / self.radius)[1] / self.radius
        by_factor = gradient[:, :3] @ self.base[:, :3].T
        return np.concatenate([gradient[:, 3], np.einsum("nab,ab->n", changes, by_factor)])

    def _factor(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The matrix that multiplies the base's linear part, and its change by each of its parameters."""
        if self.model == "affine":
            return np.eye(3) + q.reshape(3, 3), np.eye(9).reshape(9, 3, 3)
        if self.model not in ("rigid", "similarity"):
            return np.eye(3), np.zeros((0, 3, 3))
        rotation, turns = rotation_by(q[:3])
        if self.model == "rigid":
            return rotation, turns
        scale = np.exp(q[3])
        return scale * rotation, scale * np.concatenate([turns, rotation[None]])


def cross_matrix(w: np.ndarray) -> np.ndarray:
    """The matrix of the vector product with ``w``."""
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])


def rotation_by(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotation about ``w`` by its length in radians, and its derivative by each component, (3, 3, 3)."""
    angle = float(np.linalg.norm(w))
    K = cross_matrix(w)
    if angle < 1e-6:
        sine, cosine, left = 1.0, 0.5, 1 / 6
    else:
        sine, cosine = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
        left = (angle - np.sin(angle)) / angle**3
    rotation = np.eye(3) + sine * K + cosine * K @ K
    jacobian = np.eye(3) + cosine * K + left * K @ K
    return rotation, np.stack([cross_matrix(jacobian[:, a]) @ rotation for a in range(3)])
