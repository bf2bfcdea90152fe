"""The discrete method: every displacement of a window is tried, the best smooth choice is taken, then refined.

Descriptors (mind.py) of both images are averaged onto a coarse grid. For every cell the cost of every displacement in
a window is the mean squared difference of the descriptors. Choosing the displacement d(x) closest in cost and close to
a smooth field u, and smoothing d into the next u, with the tie between them ever stronger, minimises cost plus
roughness without getting caught in the nearest local minimum. The same is done from the moving to the fixed image, and
the two fields are drawn together until each undoes the other. Finer grids repeat this on the image warped so far, and
a descent on the descriptors' difference, composing small smooth updates, finishes.

References:
    M. P. Heinrich et al., Non-parametric discrete registration with convex optimisation, WBIR 2014,
    doi:10.1007/978-3-319-08554-8_6.
    H. Siebert, C. Grossbroehmer, L. Hansen and M. P. Heinrich, ConvexAdam, IEEE TMI 2024,
    doi:10.1109/TMI.2024.3480757 (its last step is Adam with a diffusion penalty; ours composes, and so cannot fold).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field, model_validator

from voxbench import _core
from voxbench.config import Config
from voxbench.errors import DimensionError, GridMismatchError, NotFiniteError
from voxbench.tasks.registration.mind import mind_ssc, mind_ssc_packed
from voxbench.types import FloatImage, PlanarVoxelVectors

Features = Float32[np.ndarray, "c i j k"]
Triple = Float32[np.ndarray, "3"]
OtherVectors = Float32[np.ndarray, "3 a b c"]


class ConvexConfig(Config):
    """Settings of the discrete method."""

    grid_spacing: tuple[int, ...] = Field(
        default=(4, 2, 2), description="Voxels per cell of each search, coarse to fine."
    )
    half_width: tuple[int, ...] = Field(default=(3, 2, 1), description="Half width of each search window, cells.")
    coupling: tuple[float, ...] = Field(
        default=(6e-5, 2e-4, 6e-4, 2e-3, 6e-3, 2e-2),
        description="How strongly displacement and smooth field are tied, pass by pass; cost 1 = one cell squared.",
    )
    smoothing: float = Field(default=1.0, gt=0, le=8, description="Sigma that smooths the field between passes, cells.")
    consistency: int = Field(
        default=15, ge=0, description="Passes that draw forward and backward field together; 0: one way."
    )
    mind_radius: int = Field(default=1, ge=0, le=8, description="Half width of the descriptor's patches, voxels.")
    mind_dilation: int = Field(default=2, ge=1, description="Distance of the descriptor's neighbours, voxels.")
    refine_spacing: tuple[int, ...] = Field(default=(1,), description="Voxels per control cell of each refinement.")
    refine_iterations: tuple[int, ...] = Field(default=(20,), description="Iterations of each refinement.")
    refine_step: float = Field(
        default=0.5, gt=0, le=0.5, description="Longest step of an iteration, cells; falls to a quarter."
    )
    update_smoothing: float = Field(default=1.73, ge=0, le=8, description="Sigma that smooths each update, cells.")
    field_smoothing: float = Field(
        default=0.5, ge=0, le=8, description="Sigma that smooths the field each iteration, cells."
    )

    @model_validator(mode="after")
    def _lengths_agree(self) -> ConvexConfig:
        """One half width per grid, one number of iterations per refinement, at least one search and one pass."""
        for one, other in (("grid_spacing", "half_width"), ("refine_spacing", "refine_iterations")):
            a, b = getattr(self, one), getattr(self, other)
            if len(a) != len(b):
                raise ValueError(f"{one} and {other} come in pairs: {a} has {len(a)}, {b} has {len(b)}")
        if not self.grid_spacing or not self.coupling:
            raise ValueError("grid_spacing and coupling need at least one value each")
        if min((*self.grid_spacing, *self.refine_spacing)) < 1:
            raise ValueError("grid_spacing and refine_spacing: at least 1 voxel")
        if not all(1 <= q <= 8 for q in self.half_width):
            raise ValueError(f"half_width: between 1 and 8 cells; got {self.half_width}")
        if min(self.coupling) <= 0 or min((0, *self.refine_iterations)) < 0:
            raise ValueError("coupling must be positive, refine_iterations not negative")
        return self

    @staticmethod
    def preset(name: Literal["default", "fast", "far", "lumir25"]) -> ConvexConfig:
        """Named settings.

        ``fast`` searches only; ``far`` reaches 30 voxels; ``lumir25`` is near the challenge's ConvexAdam baseline: one
        grid of 2 voxels, half width 2, descriptors refined on a control grid of 2 voxels for 80 iterations.
        """
        if name == "fast":
            return ConvexConfig(refine_spacing=(), refine_iterations=())
        if name == "far":
            return ConvexConfig(grid_spacing=(6, 4, 2, 2), half_width=(5, 3, 2, 1))
        if name == "lumir25":
            return ConvexConfig(grid_spacing=(2,), half_width=(2,), refine_spacing=(2,), refine_iterations=(80,))
        return ConvexConfig()


def register_convex(
    fixed: FloatImage, moving: Float32[np.ndarray, "a b c"], spacing: np.ndarray, config: ConvexConfig | None = None
) -> PlanarVoxelVectors:
    """Displacement that brings ``moving`` onto ``fixed``, contrasts alike or not.

    Args:
        fixed: The image that stays.
        moving: The image that goes, on the same grid.
        spacing: mm per voxel along i, j, k; where axes differ, smoothness is isotropic in mm.
        config: Settings; None for the defaults.

    Returns:
        u in voxels, pulling back: ``warped(x) = moving(x + u(x))``.

    Raises:
        GridMismatchError: The shapes differ.
        DimensionError: An axis is too short for the coarsest grid.
        NotFiniteError: NaN or infinity in an image.
    """
    config = config or ConvexConfig()
    _require_pair(fixed, moving, config)
    fixed, moving = (np.ascontiguousarray(image, dtype=np.float32) for image in (fixed, moving))
    aspect = _aspect(spacing)
    total = np.zeros((3, *fixed.shape), np.float32)
    warped = moving
    for cell, half in zip(config.grid_spacing, config.half_width, strict=True):
        a, b = (mind_ssc(image, config.mind_radius, config.mind_dilation, cell) for image in (fixed, warped))
        found = _search(a, b, _Search(half, aspect, config))
        total = _composed(total, _finer(found, cell, fixed.shape))
        warped = np.empty_like(moving)
        _core.warp_planar(moving, total, warped)
    del warped
    for cell, iterations in zip(config.refine_spacing, config.refine_iterations, strict=True):
        total = _refined(fixed, moving, total, _Refinement(cell, iterations, aspect, config))
    return total


def _require_pair(fixed: np.ndarray, moving: np.ndarray, config: ConvexConfig) -> None:
    if fixed.shape != moving.shape:
        raise GridMismatchError(
            f"fixed has shape {fixed.shape}, moving {moving.shape}; both must lie on one working grid\n"
            "  resample moving onto fixed's grid first"
        )
    need = 2 * max(config.grid_spacing)
    if min(fixed.shape) < need:
        raise DimensionError(
            f"an image of shape {fixed.shape} has fewer than two cells of {need // 2} voxels along an axis\n"
            f"  use a smaller grid_spacing, or images of at least {need} voxels along each axis"
        )
    for name, image in (("fixed", fixed), ("moving", moving)):
        if not np.isfinite(image).all():
            raise NotFiniteError(f"{name}: some voxels are NaN or infinite; replace them first, e.g. numpy.nan_to_num")


def _aspect(spacing: np.ndarray) -> np.ndarray:
    """Spacing over its geometric mean: one for cubic voxels."""
    spacing = np.asarray(spacing, dtype=np.float64)
    return (spacing / np.prod(spacing) ** (1 / 3)).astype(np.float32)


def _sigma(cells: float, aspect: np.ndarray) -> Triple:
    """The same length along each axis, in cells; the core takes at most 18."""
    return np.minimum(cells / aspect, 18).astype(np.float32)


@dataclass(frozen=True)
class _Search:
    """What one discrete search needs to know."""

    half_width: int
    aspect: Triple
    config: ConvexConfig


def _search(fixed: Features, moving: Features, search: _Search) -> PlanarVoxelVectors:
    """The smooth field, in cells, that matches two feature images; drawn together with its way back."""
    forward = _one_way(fixed, moving, search)
    if search.config.consistency == 0:
        return forward
    backward = _one_way(moving, fixed, search)
    there, back = np.empty_like(forward), np.empty_like(backward)
    for _ in range(search.config.consistency):
        _core.compose_planar(backward, forward, 1.0, there)
        _core.compose_planar(forward, backward, 1.0, back)
        forward -= 0.5 * there
        backward -= 0.5 * back
    return forward


def _one_way(fixed: Features, moving: Features, search: _Search) -> PlanarVoxelVectors:
    """Coupled convex optimisation: best displacement near the smooth field, then smooth, ever more tightly tied."""
    cost = _core.ssd_volume(fixed, moving, search.half_width)
    smooth = np.zeros((3, *fixed.shape[1:]), np.float32)
    best = np.empty_like(smooth)
    sigma = _sigma(search.config.smoothing, search.aspect)
    for weight in search.config.coupling:
        _core.coupled_argmin(cost, search.half_width, np.float32(weight) * search.aspect**2, smooth, best)
        smooth, best = best, smooth
        _core.gaussian(smooth, sigma, True)
    return smooth


@dataclass(frozen=True)
class _Refinement:
    """What one refinement needs to know."""

    cell: int
    iterations: int
    aspect: Triple
    config: ConvexConfig


def _refined(fixed: FloatImage, moving: FloatImage, start: PlanarVoxelVectors, to: _Refinement) -> PlanarVoxelVectors:
    """Descend on the descriptors' difference, composing with small smooth steps on a control grid."""
    config = to.config
    a, b = (mind_ssc_packed(image, config.mind_radius, config.mind_dilation, to.cell) for image in (fixed, moving))
    field = start if to.cell == 1 else _coarser(start, to.cell)
    update, composed = np.empty_like(field), np.empty_like(field)
    for iteration in range(to.iterations):
        _core.feature_force(a, b, field, update)
        _core.gaussian(update, _sigma(config.update_smoothing, to.aspect), False)
        longest = _longest(update)
        if longest == 0:
            break
        step = config.refine_step * (1 - 0.75 * iteration / to.iterations) / longest
        _core.compose_planar(field, update, -step, composed)
        field, composed = composed, field
        _core.gaussian(field, _sigma(config.field_smoothing, to.aspect), True)
    return field if to.cell == 1 else _finer(field, to.cell, fixed.shape)


def _longest(vectors: PlanarVoxelVectors) -> float:
    """Length of the longest vector; a plane at a time, to need no memory."""
    return max(float(np.sqrt(np.einsum("cjk,cjk->jk", p, p).max())) for p in np.moveaxis(vectors, 1, 0))


def _composed(outer: PlanarVoxelVectors, inner: PlanarVoxelVectors) -> PlanarVoxelVectors:
    out = np.empty_like(inner)
    _core.compose_planar(outer, inner, 1.0, out)
    return out


def _finer(field: PlanarVoxelVectors, cell: int, shape: tuple[int, ...]) -> OtherVectors:
    """A field on cells, in cells, brought to voxels, in voxels; cell 0 is centred on voxel (cell - 1) / 2."""
    out = np.empty((3, *shape), np.float32)
    _core.regrid_planar(field, _three(-(cell - 1) / 2 / cell), _three(1 / cell), _three(cell), out)
    return out


def _coarser(field: PlanarVoxelVectors, cell: int) -> OtherVectors:
    """A field on voxels, in voxels, read at the centres of cells, in cells."""
    out = np.empty((3, *(-(-n // cell) for n in field.shape[1:])), np.float32)
    _core.regrid_planar(field, _three((cell - 1) / 2), _three(cell), _three(1 / cell), out)
    return out


def _three(value: float | int) -> Triple:
    return np.full(3, value, np.float32)
