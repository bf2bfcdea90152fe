"""One rigid motion for a clinical field of view: how its array lies (by trying) and where (by registration)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from voxbench.challenges.lumbarsr.bone_masks import BONE_HU, dice
from voxbench.errors import EmptyShapeError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.tasks.registration.linear import LinearConfig, register_linear
from voxbench.tasks.registration.linear_pair import finest_level

PADDING_HU = -1024.0
MOST_REDUCED = 4
"""The micro-CT is reduced by this for registration, as the organisers do, or less where it is small."""
TIE = 0.02
"""Dice by which the best candidate ought to beat the others."""

Flip = Literal["as-is", "turned", "mirrored", "headers"]
FLIPS: dict[str, tuple[int, int, int]] = MappingProxyType(  # pyright: ignore[reportAssignmentType]
    {
        "as-is": (-1, 1, -1),
        "turned": (1, -1, -1),
        "mirrored": (-1, -1, -1),
        "headers": (1, 1, 1),
    }
)
"""Signs along x, y, z of how a clinical scan lies, about its middle.

The organisers flip axes 2 and 0 of every clinical array and then try it as it is, turned by 180 degrees in plane, and
flipped along axis 1; for axial slices axes 0 and 2 are x and z in either order, and axis 1 is y. They look at arrays;
here the headers say which axis is which. ``headers`` (ours) is the scan as its headers have it.
"""


@dataclass(frozen=True)
class Candidate:
    """One way the scan may lie, registered.

    Attributes:
        flip: Its name in `FLIPS`.
        dice: Of bone above 200 HU, on the reduced micro-CT; NaN if registration failed.
        metric: The registration's squared local correlation.
        error: Why registration failed, if it did.
    """

    flip: str
    dice: float
    metric: float = float("nan")
    error: str = ""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a clinical field of view lies in the micro-CT's world.

    Attributes:
        micro_from_clinical: World to world, RAS+ mm; a mirror is part of it if the best candidate is one.
        flip: The best candidate.
        rotation_degrees: Of the rigid motion that was found after the flip.
        shift_mm: How far it moves the middle of the scan from the middle of the micro-CT.
        candidates: All of them, best first.
    """

    micro_from_clinical: Affine
    flip: str
    rotation_degrees: float
    shift_mm: float
    candidates: tuple[Candidate, ...]

    @property
    def margin(self) -> float:
        """Dice by which the best candidate beats the next one; infinite if there is none."""
        others = [c.dice for c in self.candidates[1:] if not np.isnan(c.dice)]
        return self.candidates[0].dice - others[0] if others else float("inf")

    @property
    def doubts(self) -> list[str]:
        """What somebody should look at."""
        found = []
        if np.linalg.det(self.micro_from_clinical.linear) < 0:
            found.append("the clinical scan is a mirror image of the micro-CT (slices in the wrong order?)")
        if self.margin < TIE:
            first, second = self.candidates[:2]
            found.append(
                f"two ways to lie fit alike: {first.flip} Dice {first.dice:.4f}, {second.flip} {second.dice:.4f}"
            )
        return found

    def as_record(self) -> dict[str, Any]:
        """In values that JSON holds."""
        return {
            "flip": self.flip,
            "micro_from_clinical": self.micro_from_clinical.matrix.tolist(),
            "rotation_degrees": self.rotation_degrees,
            "shift_mm": self.shift_mm,
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }


def align(micro_ct: Volume, clinical: Volume, flips: Sequence[str]) -> Alignment:
    """Register a clinical scan rigidly to the micro-CT, lying in each of several ways; the best Dice of bone wins.

    Args:
        micro_ct: HU; stays.
        clinical: HU; goes.
        flips: Names of `FLIPS`.

    Raises:
        EmptyShapeError: One of the two shows no bone, or no candidate could be registered.
    """
    _require_bone(micro_ct, "the micro-CT")
    _require_bone(clinical, "the clinical CT")
    fixed = reduced(micro_ct, clinical.grid)
    tried = [_tried(fixed, clinical, flip) for flip in flips]
    tried.sort(key=lambda pair: -np.nan_to_num(pair[0].dice, nan=-1.0))
    candidates = tuple(candidate for candidate, _ in tried)
    best, moved = tried[0]
    if moved is None:
        reasons = "\n  ".join(f"{c.flip}: {c.error}" for c in candidates)
        raise EmptyShapeError(f"no registration: the scan fits in none of the ways it may lie\n  {reasons}")
    placed, motion = moved
    turn = np.degrees(np.arccos(np.clip((np.trace(motion.linear) - 1) / 2, -1, 1)))
    shift = float(np.linalg.norm(motion(micro_ct.grid.centre) - micro_ct.grid.centre))
    return Alignment(motion.inverse() @ placed, best.flip, float(turn), shift, candidates)


def placed_by(flip: str, clinical: Grid, micro_ct: Grid) -> Affine:
    """Where the clinical world goes before registration: flipped about the scan's middle, its middle on the micro-CT's.

    By its headers it stays where it is: the search looks at middles, too.
    """
    if flip == "headers":
        return Affine.identity()
    signs = np.diag(np.asarray(FLIPS[flip], np.float64))
    return Affine.from_parts(signs, micro_ct.centre - signs @ clinical.centre)


def moved_grid(grid: Grid, by: Affine) -> Grid:
    """The same voxels after their world has moved: another header, no resampling."""
    return Grid(grid.shape, by @ grid.world_from_voxel)


def reduced(micro_ct: Volume, clinical: Grid) -> Volume:
    """The micro-CT averaged over blocks of up to four voxels, no coarser than what registration will look at."""
    factor = int(min(MOST_REDUCED, max(1, finest_level(micro_ct.grid, clinical) / micro_ct.grid.spacing.max())))
    shape = tuple(n // factor for n in micro_ct.grid.shape)
    if factor == 1 or min(shape) < 1:
        return micro_ct
    out = np.empty(shape, np.float32)
    inner = tuple(n * factor for n in shape)
    for i in range(shape[0]):  # block by block: never the whole volume in floating point
        block = micro_ct.array[i * factor : (i + 1) * factor, : inner[1], : inner[2]].astype(np.float32)
        out[i] = block.reshape(factor, shape[1], factor, shape[2], factor).mean(axis=(0, 2, 4))
    step = Affine.from_parts(np.diag([float(factor)] * 3), np.full(3, (factor - 1) / 2), "voxel", "voxel")
    return Volume(out, Grid((shape[0], shape[1], shape[2]), micro_ct.grid.world_from_voxel @ step))


def _tried(fixed: Volume, clinical: Volume, flip: str) -> tuple[Candidate, tuple[Affine, Affine] | None]:
    """A candidate, how it was placed, and the motion found (placed from fixed)."""
    placed = placed_by(flip, clinical.grid, fixed.grid)
    moving = Volume(clinical.array, moved_grid(clinical.grid, placed))
    try:
        found = register_linear(fixed, moving, LinearConfig(model="rigid", search="near"))
    except EmptyShapeError as error:
        return Candidate(flip, float("nan"), error=str(error).splitlines()[0]), None
    on = resample(moving, onto=fixed.grid, through=found.affine, outside=PADDING_HU)
    agreed = dice(np.asarray(fixed.array) > BONE_HU, np.asarray(on.array) > BONE_HU)
    return Candidate(flip, agreed, found.metric), (placed, found.affine)


def _require_bone(volume: Volume, name: str) -> None:
    if not (volume.array > BONE_HU).any():
        raise EmptyShapeError(
            f"{name} shows no bone: no voxel above {BONE_HU} HU, the largest is {volume.array.max():g}\n"
            "  is it in Hounsfield units (rescale slope and intercept)?"
        )
