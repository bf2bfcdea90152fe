"""A clinical sequence as an observation of one finer volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Grid, Volume, resample
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.tasks.superresolution.blur import AxisBlur, Banded, axis_matrix

PADDING = -1024.0
"""HU of voxels outside the field of view of a resampled observation (and the least HU there is)."""
FLANK = 0.4
"""Softness of the ends of a slice's box profile: FWHM of the Gaussian it is convolved with, in thicknesses."""
DRIFT = 0.25
"""Voxels of the volume by which the axes of two parallel grids may drift apart over an observation."""


class SequenceBlur(Config):
    """How one sequence blurs."""

    in_plane: float = Field(default=..., gt=0, description="Point spread in the slice, FWHM, mm.")
    slice_thickness: float = Field(default=..., ge=0, description="Width of the box profile across slices, mm.")
    slice_axis: int = Field(default=2, ge=0, le=2, description="Array axis across the slices.")
    sampling: tuple[float, float] | None = Field(
        default=None,
        description="Spacing in the slice and across slices before the sequence was resampled, mm; "
        "for resampled sequences only.",
    )

    def axes(self, resampled: bool) -> tuple[AxisBlur, AxisBlur, AxisBlur]:
        """The profile along each array axis of the observation."""
        fine, coarse = self.sampling if resampled and self.sampling else (0.0, 0.0)
        across = AxisBlur(FLANK * self.slice_thickness, self.slice_thickness, coarse)
        plane = AxisBlur(self.in_plane, 0.0, fine)
        first, second, third = (across if axis == self.slice_axis else plane for axis in range(3))
        return first, second, third


@dataclass(frozen=True, eq=False)
class Observation:
    """Samples of a volume: each a mean of the volume under a separable profile.

    Attributes:
        values: HU, array axes in the order of the volume's axes, any real dtype (memory-mapped files stay on disk).
        positions: For each axis where the samples lie, in voxels of the volume, ascending.
        spacing: Of the volume, mm.
        blur: How the sequence blurs, its ``slice_axis`` an axis of the volume.
        resampled: The samples were interpolated from others and lie on the volume's own grid; voxels of exactly -1024
            are outside the field of view.
        noise: Standard deviation, HU.
    """

    values: np.ndarray
    positions: tuple[np.ndarray, np.ndarray, np.ndarray]
    spacing: tuple[float, float, float]
    blur: SequenceBlur
    resampled: bool
    noise: float

    @property
    def redundancy(self) -> float:
        """How many samples carry the information of one: 1, unless they were interpolated from fewer."""
        if not self.resampled:
            return 1.0
        steps = [abs(p[-1] - p[0]) / max(1, p.size - 1) * s for p, s in zip(self.positions, self.spacing, strict=True)]
        wide = [max(b.triangle, b.box, b.fwhm) for b in self.blur.axes(self.resampled)]
        return float(np.prod([max(1.0, w / max(s, 1e-6)) for w, s in zip(wide, steps, strict=True)]))

    def within(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> LocalObservation | None:
        """The samples inside a box of the volume, with their operator; None where there is no sample."""
        profiles = self.blur.axes(self.resampled)
        matrices, parts = [], []
        for axis in range(3):
            local = self.positions[axis] - start[axis]
            inside = np.flatnonzero((local > -0.5) & (local < shape[axis] - 0.5))
            if inside.size == 0:
                return None
            parts.append(slice(int(inside[0]), int(inside[-1]) + 1))
            matrices.append(axis_matrix(profiles[axis], local[inside], shape[axis], self.spacing[axis]))
        values = np.ascontiguousarray(self.values[tuple(parts)], dtype=np.float32)
        weight = np.full(1, 1 / (self.noise**2 * self.redundancy), dtype=np.float32)
        if self.resampled and bool((values == PADDING).any()):
            weight = weight * (values != PADDING)
        operator = Separable(tuple(Banded.of(m) for m in matrices))
        return LocalObservation(operator, values, weight)


@dataclass(frozen=True, eq=False)
class Separable:
    """A linear map of volumes that is a matrix along each axis.

    Attributes:
        matrices: One per axis.
    """

    matrices: tuple[Banded, ...]

    @property
    def order(self) -> list[int]:
        """Axes, those first that leave the fewest samples."""
        return sorted(range(3), key=lambda a: self.matrices[a].shape[0] / self.matrices[a].shape[1])

    def forward(self, volume: np.ndarray) -> np.ndarray:
        """Samples of a volume."""
        for axis in self.order:
            volume = self.matrices[axis].along(volume, axis)
        return volume

    def adjoint(self, samples: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
        """Apply the transposed map, for which the products (forward x, y) and (x, adjoint y) are equal.

        Args:
            samples: float32.
            onto: The result is added to this volume, if there is one.
        """
        *others, last = reversed(self.order)
        for axis in others:
            samples = self.matrices[axis].back(samples, axis)
        return self.matrices[last].back(samples, last, onto)


@dataclass(frozen=True, eq=False)
class LocalObservation:
    """The part of an observation inside a box.

    Attributes:
        operator: Samples from the box.
        values: HU of the samples, float32.
        weight: Inverse variance of the samples, 1/HU^2: one number or one per sample (0: not seen).
    """

    operator: Separable
    values: np.ndarray
    weight: np.ndarray

    def add_normal(self, volume: np.ndarray, onto: np.ndarray) -> None:
        """Add A' W A x to a volume."""
        self.operator.adjoint(self.weight * self.operator.forward(volume), onto)


def observe(volume: Volume, onto: Grid, blur: SequenceBlur, noise: float) -> Observation:
    """An observation on its own grid where its axes are parallel to the volume's, else resampled (trilinear).

    Args:
        volume: The sequence, HU; on its own grid or resampled onto ``onto`` before.
        onto: Grid of the volume to be found.
        blur: How the sequence blurs; axes as in the array of ``volume``.
        noise: Standard deviation, HU.

    Raises:
        EmptyShapeError: The sequence does not overlap the volume.
        InputError: The sequence lies at more than 30 degrees to the axes of the volume.
    """
    if volume.grid.same_as(onto, tolerance_mm=0.1 * float(onto.spacing.min())):
        return _observation(volume.array, np.eye(4), onto, blur, noise, resampled=True)
    matrix = onto.voxel_from_world.matrix @ volume.grid.world_from_voxel.matrix
    axes = world_axis_of_voxel_axis(matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0))
    main = np.zeros((3, 3))
    for axis, target in enumerate(axes):
        main[target, axis] = matrix[target, axis]
    drift = np.abs((matrix[:3, :3] - main) * (np.asarray(volume.grid.shape) - 1)[None]).max()
    if drift <= DRIFT:
        return _observation(volume.array, matrix, onto, blur, noise, resampled=False)
    cosine = np.abs(onto.direction.T @ volume.grid.direction)
    if min(cosine[t, a] for a, t in enumerate(axes)) < np.cos(np.radians(30)):
        raise InputError(
            "the sequence lies at more than 30 degrees to the axes of the volume; its blur is then not separable\n"
            f"  sequence   {volume.grid!r}\n  volume     {onto!r}\n  choose a volume grid closer to the sequence"
        )
    spacing = volume.grid.spacing
    plane = [a for a in range(3) if a != blur.slice_axis]
    sampling = (float(spacing[plane].mean()), float(spacing[blur.slice_axis]))
    turned = blur.model_copy(update={"sampling": sampling, "slice_axis": axes[blur.slice_axis]})
    on_grid = resample(volume, onto, outside=PADDING)
    return _observation(on_grid.array, np.eye(4), onto, turned, noise, resampled=True)


def _observation(
    array: np.ndarray, matrix: np.ndarray, onto: Grid, blur: SequenceBlur, noise: float, *, resampled: bool
) -> Observation:
    """An observation whose axes are the volume's, permuted or flipped."""
    axes = [int(np.abs(matrix[target, :3]).argmax()) for target in range(3)]
    values = array.transpose(axes)
    positions = []
    for target, source in enumerate(axes):
        at = matrix[target, source] * np.arange(array.shape[source]) + matrix[target, 3]
        if matrix[target, source] < 0:
            at = at[::-1]
            values = np.flip(values, target)
        if not bool(((at > -0.5) & (at < onto.shape[target] - 0.5)).any()):
            raise EmptyShapeError(
                "a sequence does not overlap the volume; are both in one world frame?\n"
                f"  sequence, voxels of the volume   {at[0]:.1f} to {at[-1]:.1f} along axis {target}\n"
                f"  volume                           0 to {onto.shape[target] - 1}"
            )
        positions.append(at.astype(np.float64))
    turned = blur.model_copy(update={"slice_axis": axes.index(blur.slice_axis)})
    first, second, third = (float(s) for s in onto.spacing)
    return Observation(
        values, (positions[0], positions[1], positions[2]), (first, second, third), turned, resampled, noise
    )


def noise_level(volume: Volume, slice_axis: int = 2, block_mm: float = 1.5) -> float:
    """Standard deviation of the noise, HU, from the flattest parts of a sequence; at least 1.

    In blocks of ``block_mm`` within slices the variance about the block's mean is taken; the 5 % quantile of all blocks
    stands for those without structure. Blocks that touch padding (-1024) or do not vary are left out. Unlike
    differences of neighbours (J. Immerkaer, 1996, doi:10.1006/cviu.1996.0060) this sees noise that a kernel or an
    interpolation has made smooth; where structure fills every block it is an upper bound.

    Args:
        volume: HU.
        slice_axis: Array axis across the slices.
        block_mm: Side of a block.
    """
    values = np.moveaxis(volume.array, slice_axis, 2)
    spacing = np.delete(volume.grid.spacing, slice_axis)
    sides = [min(max(3, round(block_mm / s)), n) for s, n in zip(spacing, values.shape[:2], strict=True)]
    across = max(1, values.shape[2] // 64)
    counts = [n // side for n, side in zip(values.shape[:2], sides, strict=True)]
    part = values[: counts[0] * sides[0], : counts[1] * sides[1], ::across].astype(np.float32)
    blocks = part.reshape(counts[0], sides[0], counts[1], sides[1], -1)
    variance = blocks.var(axis=(1, 3))
    variance = variance[(blocks.min(axis=(1, 3)) > PADDING) & (variance > 1e-4)]
    return 1.0 if variance.size == 0 else float(max(1.0, np.sqrt(np.quantile(variance, 0.05))))
