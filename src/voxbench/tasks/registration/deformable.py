"""Symmetric diffeomorphic registration of two arrays on one working grid.

Both images are warped to a common middle: ``fixed(x + p(x))`` against ``moving(x + q(x))``. Each step composes both
maps with a small smooth update along the similarity's exact gradient, so either map stays one-to-one; the result is
``q`` after the inverse of ``p``, its inverse ``p`` after the inverse of ``q``: the two are consistent by construction.

References:
    B. Avants et al., Symmetric diffeomorphic image registration with cross-correlation, Medical Image Analysis
    12:26-41, 2008, doi:10.1016/j.media.2007.06.004
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import Field, model_validator

from voxbench import _core
from voxbench.config import Config
from voxbench.tasks.registration.fields import Fields, compose_planar, inverse_of, refine_inverse, unfold

CAUTION = 0.5
"""What is left of the step when the metric is below where the level began: there was nothing to find."""
WINDOW = 5
"""Steps over whose mean the metric must still rise."""


class DeformableConfig(Config):
    """Deformable registration; lengths are in voxels of the level unless they say otherwise."""

    metric: Literal["ncc", "mind"] = Field(
        default="ncc",
        description="ncc: local correlation, squared; mind: self-similarity features, for different contrasts.",
    )
    scales: tuple[int, ...] = Field(
        default=(4, 2, 1), description="Voxel size of each level over the finest, coarse to fine."
    )
    iterations: tuple[int, ...] = Field(default=(100, 100, 30), description="Steps on each level at most.")
    symmetric: bool = Field(default=True, description="Warp both images to a middle; otherwise the moving image only.")
    radius: int = Field(default=2, ge=1, le=16, description="Half width of the correlation window.")
    update_smoothing: float = Field(default=1.73, gt=0, le=10, description="Gaussian sigma on each update (fluid).")
    field_smoothing: float = Field(default=0.5, ge=0, le=10, description="Gaussian sigma on the whole field (elastic).")
    step: float = Field(default=0.35, gt=0, le=1, description="Largest displacement of a step.")
    last_step: float = Field(
        default=0.25, gt=0, le=1, description="Share of the step left at the last iteration of a level."
    )
    noise: float = Field(
        default=1e-5, ge=0, description="Least variance of a window that counts; the images' range is 1."
    )
    tolerance: float = Field(default=2e-5, ge=0, description="Relative gain per step below which a level ends.")
    label_weight: float = Field(default=1.0, ge=0, description="Share of the step given to matching label maps.")
    landmark_weight: float = Field(default=1.0, ge=0, description="Share of the landmarks' distance closed by a step.")
    landmark_reach: float = Field(default=6.0, gt=0, description="Gaussian sigma of a landmark's pull.")

    @property
    def moves_both(self) -> bool:
        """Whether the fixed image is warped too; descriptors are compared from one side only."""
        return self.symmetric and self.metric == "ncc"

    @model_validator(mode="after")
    def _levels_agree(self) -> DeformableConfig:
        if len(self.scales) != len(self.iterations):
            raise ValueError(
                f"--scales has {len(self.scales)} levels, --iterations {len(self.iterations)}: give one number for each"
            )
        if any(b >= a for a, b in zip(self.scales, self.scales[1:], strict=False)) or min(self.scales) < 1:
            raise ValueError(f"--scales must fall, down to 1 or more; got {self.scales}")
        return self


@dataclass(frozen=True)
class Level:
    """What happened on one level.

    Attributes:
        scale: Voxel size over the finest.
        iterations: Steps taken.
        before: Metric at the level's start; higher is better.
        after: Metric at its end.
    """

    scale: int
    iterations: int
    before: float
    after: float


@runtime_checkable
class Force(Protocol):
    """One term of what drives the two maps on a level."""

    def __call__(self, fields: Fields, forces: Fields) -> float:
        """Add to the forces on either side (an image term: write them); return the metric, higher is better."""
        ...


@runtime_checkable
class ImageForce(Force, Protocol):
    """The term that compares the images.

    Attributes:
        least: A smoothed force below this is rounding; it is not scaled up to a whole step.
        room: At least three volumes of the level that may be overwritten between calls.
    """

    least: ClassVar[float]

    @property
    def room(self) -> np.ndarray: ...  # noqa: D102


Terms = tuple[ImageForce, *tuple[Force, ...]]
"""The image term, then the others."""


@dataclass(frozen=True, eq=False)
class Deformation:
    """Two maps that undo each other, on the working grid.

    Attributes:
        forward: Planar float32 (3, i, j, k), voxels: moving(x + forward(x)) looks like fixed.
        inverse: The way back.
        levels: Coarse to fine.
    """

    forward: np.ndarray
    inverse: np.ndarray
    levels: tuple[Level, ...] = field(default_factory=tuple)


def deform(
    shape: tuple[int, int, int],
    level_terms: Callable[[int], tuple[tuple[int, int, int], Terms]],
    config: DeformableConfig,
    start: np.ndarray | None = None,
    progress: Callable[[Level], None] | None = None,
) -> Deformation:
    """Find the two maps.

    Args:
        shape: Of the working grid.
        level_terms: For a scale, the shape of that level and its forces; the first is the image term.
        config: Settings.
        start: Planar displacement on the working grid, voxels, to begin from.
        progress: Told about each finished level.

    Returns:
        The maps, without folds.
    """
    fields: Fields | None = None
    last_scale = 1
    levels: list[Level] = []
    for scale, iterations in zip(config.scales, config.iterations, strict=True):
        size, terms = level_terms(scale)
        if fields is None:
            fields = Fields.starting(size, start, shape, config.moves_both)
        else:
            fields = fields.regridded(size, last_scale / scale)
        level = _run_level(fields, terms, config, scale, iterations)
        last_scale = scale
        levels.append(level)
        if progress:
            progress(level)
    assert fields is not None
    if last_scale > 1:
        fields = fields.regridded(shape, float(last_scale))
    forward, inverse = _both_ways(fields)
    return Deformation(forward, inverse, tuple(levels))


def _run_level(fields: Fields, terms: Terms, config: DeformableConfig, scale: int, iterations: int) -> Level:
    """Steps, changing the fields in place, until the metric no longer rises or the iterations are used up."""
    image, *others = terms
    forces, room = fields.empty_like(), image.room[:3]
    history: list[float] = []
    caution = 1.0
    for iteration in range(iterations):
        history.append(image(fields, forces))
        caution *= CAUTION if history[-1] < history[0] else 1.0
        fade = caution * (1 - (1 - config.last_step) * iteration / iterations)
        for force in forces.sides:
            _core.gaussian(force, np.full(3, config.update_smoothing, np.float32), False)
            _core.scale_to(force, config.step * fade, image.least)
        for term in others:
            term(fields, forces)
        for side, force in zip(fields.sides, forces.sides, strict=True):
            _core.compose_planar(side, force, 1.0, room)
            if config.field_smoothing:
                _core.gaussian(room, np.full(3, config.field_smoothing, np.float32), False)
            side[...] = room
        if _settled(history, config.tolerance):
            break
    after = image(fields, forces)
    before = history[0] if history else after
    return Level(scale, len(history), before, after)


def _settled(history: list[float], tolerance: float) -> bool:
    """Whether the mean of the last steps rose by less than the tolerance a step over the mean of those before."""
    if len(history) < 2 * WINDOW:
        return False
    now, then = np.mean(history[-WINDOW:]), np.mean(history[-2 * WINDOW : -WINDOW])
    return bool(now - then < tolerance * WINDOW * abs(then))


def _both_ways(fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Forward and inverse displacement from the two halves, free of folds."""
    if fields.fixed is None:
        unfold(fields.moving)
        return fields.moving, inverse_of(fields.moving)
    forward = compose_planar(fields.moving, inverse_of(fields.fixed))
    inverse = compose_planar(fields.fixed, inverse_of(fields.moving))
    unfold(forward)
    # where folds were smoothed away, or linear interpolation of the halves left a residue, the inverse follows
    refine_inverse(forward, inverse)
    return forward, inverse
