"""Register a moving image to a fixed one: motion first, then deformation; the result on the images' own grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxbench import _core
from voxbench.geometry import Affine, DisplacementField, Grid, Volume, compose, invert
from voxbench.tasks.registration.config import EXTERNAL, RegistrationConfig
from voxbench.tasks.registration.convex import register_convex
from voxbench.tasks.registration.deformable import Deformation, Level, deform
from voxbench.tasks.registration.external import register_external
from voxbench.tasks.registration.fields import inverse_of, unfold
from voxbench.tasks.registration.initial import initial_affine
from voxbench.tasks.registration.working import Extras, Working, prepare


@dataclass(frozen=True)
class Progress:
    """What a registration says while it runs.

    Attributes:
        stage: ``affine``, ``convex``, ``level 4``…
        metric: Similarity reached there, higher is better.
    """

    stage: str
    metric: float


@dataclass(frozen=True, eq=False)
class Registration:
    """What came out.

    Attributes:
        displacement: On the fixed grid: warped(x) = moving(x + u(x)).
        inverse: On the moving grid, the way back.
        affine: moving_from_fixed on world points, the motion found first (part of ``displacement``).
        levels: What happened on each level of the deformable method, coarse to fine.
        config: The settings.
    """

    displacement: DisplacementField
    inverse: DisplacementField
    affine: Affine
    levels: tuple[Level, ...]
    config: RegistrationConfig


def register(
    fixed: Volume,
    moving: Volume,
    config: RegistrationConfig = RegistrationConfig(),
    extras: Extras = Extras(),
    progress: Callable[[Progress], None] | None = None,
) -> Registration:
    """Find which point of the moving image is which point of the fixed one.

    Args:
        fixed: The image that stays.
        moving: The image that goes, on any grid.
        config: Method, preset and every other setting.
        extras: Masks, label maps, landmarks.
        progress: Told about every finished stage.

    Returns:
        Displacement fields both ways, without folds unless an external program made them.

    Raises:
        NotFiniteError: An image holds NaN or infinity.
        EmptyShapeError: An image is constant, or the two do not overlap.
        GridMismatchError: A mask or label map does not lie on its image's grid.
        UsageError: Labels or landmarks without their partner.
        MissingToolError: The external program asked for is not there.
    """
    fixed.require_usable("fixed image")
    moving.require_usable("moving image")
    extras.check(fixed.grid, moving.grid)
    _core.threads(config.threads)
    tell = progress or (lambda _: None)
    if config.method in EXTERNAL:
        field = register_external(fixed, moving, config.method, config.external)
        return Registration(field, invert(field, moving.grid), Affine.identity(), (), config)
    affine, metric = initial_affine(fixed, moving, config, extras)
    if metric is not None:
        tell(Progress("affine", metric))
    if config.method in ("affine", "rigid", "none"):
        forward = DisplacementField.from_affine(affine, fixed.grid)
        return Registration(forward, DisplacementField.from_affine(affine.inverse(), moving.grid), affine, (), config)
    work = prepare(fixed, moving, affine, extras, (config.spacing, max(config.deformable.scales)))
    found = _deformation(work, config, tell)
    forward, inverse = _on_own_grids(found, work, affine, (fixed.grid, moving.grid))
    return Registration(forward, inverse, affine, found.levels, config)


def _deformation(work: Working, config: RegistrationConfig, tell: Callable[[Progress], None]) -> Deformation:
    """The deformable part on the working grid."""
    start = None
    if config.method == "convex" or config.start == "convex":
        start = register_convex(work.fixed, work.moving, np.full(3, work.spacing), config.convex)
        unfold(start)
    if config.method == "convex":
        assert start is not None
        return Deformation(start, inverse_of(start))
    return deform(
        work.grid.shape,
        lambda scale: work.level_terms(config.deformable, scale),
        config.deformable,
        start,
        lambda level: tell(Progress(f"level {level.scale}", level.after)),
    )


def _on_own_grids(
    found: Deformation, work: Working, affine: Affine, grids: tuple[Grid, Grid]
) -> tuple[DisplacementField, DisplacementField]:
    """The fields on the fixed and the moving image's grid, the affine included."""
    fixed, moving = grids
    still = affine.close_to(Affine.identity(), 1e-9)
    forward = _brought(found.forward, work.grid, fixed)
    if not still:
        forward = compose([forward, affine], fixed)
    if still and moving.same_as(fixed):
        return forward, _brought(found.inverse, work.grid, moving)
    back = DisplacementField.from_voxels(found.inverse, work.grid)
    return forward, compose([affine.inverse(), back], moving)


def _brought(planar: np.ndarray, work: Grid, onto: Grid) -> DisplacementField:
    """A field of the working grid on a grid with the same axes; beyond the working grid its border's vectors go on."""
    relation = work.voxel_from_world.matrix @ onto.world_from_voxel.matrix
    ratio = np.diag(relation)[:3]
    out = np.empty((3, *onto.shape), np.float32)
    offset = relation[:3, 3].astype(np.float32)
    _core.regrid_planar(planar, offset, ratio.astype(np.float32), (1 / ratio).astype(np.float32), out)
    return DisplacementField.from_voxels(out, onto)
