"""Random smooth maps of known strength, together with their inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from voxbench import _core
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Affine, DisplacementField, Grid, invert
from voxbench.simulate.fields import smooth_noise
from voxbench.types import Vector3

LARGEST_STEP = 0.1
"""Voxels a point moves in the first step of scaling and squaring, at most."""
STEEPEST = 0.75
"""Largest amplitude / smoothness: beyond it the map folds between the voxels of ordinary grids."""


@dataclass(frozen=True, eq=False)
class Diffeomorphism:
    """A smooth map of the world and its inverse, on one grid.

    Attributes:
        forward: u with y = x + u(x).
        inverse: v with x = y + v(y).
    """

    forward: DisplacementField
    inverse: DisplacementField

    @property
    def grid(self) -> Grid:
        """The grid both lie on."""
        return self.forward.grid

    def reversed(self) -> Diffeomorphism:
        """The same with the two directions exchanged."""
        return Diffeomorphism(self.inverse, self.forward)


def random_diffeomorphism(
    grid: Grid, rng: np.random.Generator, amplitude_mm: float = 6.0, smoothness_mm: float = 16.0
) -> Diffeomorphism:
    """The flow of a random smooth stationary velocity field that vanishes at the faces of the grid.

    The velocity is Gaussian-smoothed noise scaled so that its longest vector is ``amplitude_mm``; as the flow lasts
    one unit of time, no point moves further than that. It is integrated by scaling and squaring and inverted by
    fixed-point iteration, so that forward and inverse undo each other to within interpolation.

    Args:
        grid: Where both fields are given.
        rng: Source of randomness; the same state gives the same map.
        amplitude_mm: Largest speed, mm; 0 gives the identity.
        smoothness_mm: Standard deviation of the Gaussian, mm.

    Raises:
        InputError: The amplitude is negative, or so large for the smoothness that the sampled map may fold.

    References:
        V. Arsigny et al., MICCAI 2006, doi:10.1007/11866565_113
    """
    if amplitude_mm < 0 or smoothness_mm <= 0 or amplitude_mm > STEEPEST * smoothness_mm:
        raise InputError(
            f"a diffeomorphism of {amplitude_mm:g} mm with a smoothness of {smoothness_mm:g} mm: the amplitude must "
            f"lie between 0 and {STEEPEST} x smoothness = {STEEPEST * smoothness_mm:g} mm\n"
            "  take a smoother or weaker one"
        )
    velocity = _velocity(grid, rng, smoothness_mm)
    longest = float(np.linalg.norm(velocity, axis=-1).max())
    scale = amplitude_mm / longest if longest > 0 else 0.0
    field = DisplacementField((velocity * scale).astype(np.float32), grid)
    forward = DisplacementField.from_voxels(flow(field.in_voxels()), grid)
    return Diffeomorphism(forward, invert(forward))


def flow(velocity: np.ndarray) -> np.ndarray:
    """Exponential of a stationary velocity field by scaling and squaring; planar float32 (3, i, j, k), voxels."""
    longest = float(np.abs(velocity).max())
    squarings = max(0, int(np.ceil(np.log2(max(longest, 1e-12) / LARGEST_STEP))))
    now = np.ascontiguousarray(velocity / 2**squarings, dtype=np.float32)
    then = np.empty_like(now)
    for _ in range(squarings):
        _core.compose_planar(now, now, 1.0, then)
        now, then = then, now
    return now


class Pose(Config):
    """How far a random affine map goes."""

    rotation_degrees: float = Field(default=5.0, ge=0, le=180, description="Largest rotation, degrees.")
    translation_mm: float = Field(default=5.0, ge=0, description="Largest shift along each world axis, mm.")
    scaling: float = Field(default=0.05, ge=0, lt=1, description="Largest relative change of size along each axis.")
    shear: float = Field(default=0.0, ge=0, lt=1, description="Largest shear.")


NEARBY = Pose()
"""About how far apart two heads lie in a scanner."""


def random_affine(about: Vector3, rng: np.random.Generator, pose: Pose = NEARBY) -> Affine:
    """A random affine map of world points near the identity.

    Args:
        about: The point it turns and scales about, usually ``grid.centre``; it moves by the translation only.
        rng: Source of randomness.
        pose: How far it goes; each part is drawn uniformly.
    """
    from scipy.spatial.transform import Rotation

    axis = rng.normal(size=3)
    angle = np.radians(rng.uniform(-1, 1) * pose.rotation_degrees)
    rotation = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    shape = np.diag(1 + rng.uniform(-1, 1, 3) * pose.scaling)
    shape[np.triu_indices(3, 1)] = rng.uniform(-1, 1, 3) * pose.shear
    linear = rotation @ shape
    return Affine.from_parts(linear, about - linear @ about + rng.uniform(-1, 1, 3) * pose.translation_mm)


def _velocity(grid: Grid, rng: np.random.Generator, smoothness_mm: float) -> np.ndarray:
    """Smooth random vectors (i, j, k, 3), world axes, zero at the faces of the grid."""
    parts = np.stack([smooth_noise(grid, rng, smoothness_mm) for _ in range(3)], axis=-1)
    return parts * _window(grid, 2 * smoothness_mm)[..., None]


def _window(grid: Grid, width_mm: float) -> np.ndarray:
    """Rises smoothly from 0 at each face to 1 at ``width_mm`` inside (at the middle, where that is nearer)."""
    window = np.ones((1, 1, 1), np.float32)
    for axis, (n, step) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        depth = np.minimum(np.arange(n), np.arange(n)[::-1]) * step
        rise = np.sin(np.pi / 2 * np.minimum(1, depth / max(1e-9, min(width_mm, depth.max())))) ** 2
        window = window * np.expand_dims(rise, tuple(a for a in range(3) if a != axis)).astype(np.float32)
    return window
