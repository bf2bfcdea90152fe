"""Affine maps between named frames, composed left to right as read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import FrameMismatchError, InputError
from voxbench.types import Matrix4, Points, Vector3


@dataclass(frozen=True, eq=False)
class Affine:
    """The map ``target_from_source``: takes points of one frame, returns points of another.

    ``moving_from_world @ world_from_fixed`` is ``moving_from_fixed``; a wrong order is refused.

    Attributes:
        matrix: Homogeneous 4 x 4 matrix, float64, invertible.
        target: Frame of the points returned, e.g. ``"world"``.
        source: Frame of the points taken, e.g. ``"voxel"``.
    """

    matrix: Matrix4
    target: str = "world"
    source: str = "world"

    def __post_init__(self) -> None:
        """Check that the matrix is a finite, invertible affine map, and freeze it."""
        matrix = np.array(self.matrix, dtype=np.float64)
        if not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise InputError(f"not an affine map: {self.name} has the matrix\n{matrix}\n  the last row must be 0 0 0 1")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise InputError(f"not invertible: {self.name} has determinant {np.linalg.det(matrix[:3, :3]):.3g}")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    @staticmethod
    def identity(target: str = "world", source: str = "world") -> Affine:
        """The map that leaves points where they are."""
        return Affine(np.eye(4), target, source)

    @staticmethod
    def from_parts(linear: np.ndarray, offset: np.ndarray, target: str = "world", source: str = "world") -> Affine:
        """The map ``x -> linear @ x + offset``."""
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        matrix[:3, 3] = offset
        return Affine(matrix, target, source)

    @property
    def name(self) -> str:
        """``target_from_source``."""
        return f"{self.target}_from_{self.source}"

    @property
    def linear(self) -> np.ndarray:
        """The 3 x 3 part."""
        return self.matrix[:3, :3]

    @property
    def offset(self) -> Vector3:
        """Where the source's origin lands."""
        return self.matrix[:3, 3]

    def __matmul__(self, other: Affine) -> Affine:
        """First ``other``, then ``self``."""
        if self.source != other.target:
            raise FrameMismatchError(
                f"{self.name} @ {other.name}: the left map takes '{self.source}' points, "
                f"the right one returns '{other.target}' points"
            )
        return Affine(self.matrix @ other.matrix, self.target, other.source)

    def __call__(self, points: Points) -> Points:
        """Map points, shape (..., 3)."""
        return np.asarray(points, dtype=np.float64) @ self.linear.T + self.offset

    def inverse(self) -> Affine:
        """The map back."""
        return Affine(np.linalg.inv(self.matrix), self.source, self.target)

    def renamed(self, target: str, source: str) -> Affine:
        """The same numbers between frames of other names."""
        return Affine(self.matrix, target, source)

    def close_to(self, other: Affine, tolerance: float = 1e-4) -> bool:
        """Whether no element differs by more than ``tolerance``."""
        return bool(np.abs(self.matrix - other.matrix).max() <= tolerance)

    def __repr__(self) -> str:
        rows = "; ".join(" ".join(f"{v:.4g}" for v in row) for row in self.matrix[:3])
        return f"Affine({self.name}: {rows})"
