"""How regular a displacement field is: local volume change, folding, non-diffeomorphic volume.

Fields are planar and in voxels of their own grid (``DisplacementField.in_voxels()``): regularity does not depend on the
spacing, only volumes do, and those are given in voxels and percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from voxbench import _core
from voxbench.errors import GridMismatchError

PlanarField = Float[np.ndarray, "3 i j k"]
"""Displacement in voxels, a component at a time, float32 or float64."""
OtherMask = Bool[np.ndarray, "x y z"]
"""A mask whose shape is still to be compared."""


@dataclass(frozen=True)
class Diffeomorphism:
    """How far a map is from being invertible and smooth, over the voxels looked at.

    Attributes:
        voxels: Voxels looked at: those of the mask, the outermost layer of the grid left out.
        volume: Non-diffeomorphic volume, voxels.
        folded: Voxels whose Jacobian determinant by central differences is not positive.
        tetrahedra: Ten tetrahedra meet a voxel; how many of all of them are not positive.
    """

    voxels: int
    volume: float
    folded: int
    tetrahedra: int

    @property
    def volume_percent(self) -> float:
        """Non-diffeomorphic volume (NDV) in percent of the voxels looked at; NaN if there are none."""
        return self.volume / self.voxels * 100 if self.voxels else float("nan")

    @property
    def folded_percent(self) -> float:
        """Folded voxels in percent; NaN if none was looked at."""
        return self.folded / self.voxels * 100 if self.voxels else float("nan")

    @property
    def tetrahedra_percent(self) -> float:
        """Tetrahedra that are not positive, in percent of all ten per voxel; NaN if no voxel was looked at."""
        return self.tetrahedra / self.voxels * 10 if self.voxels else float("nan")


def diffeomorphism(displacement: PlanarField, mask: OtherMask | None = None) -> Diffeomorphism:
    """Measure non-diffeomorphic volume and folding in float64.

    With T the map (identity + displacement), ten one-sided determinants are taken at a voxel: one for each choice of
    forward or backward difference along the three axes, and two of the differences to the face diagonals,
    det[T(x-1,y-1,z)-T, T(x-1,y,z-1)-T, T(x,y-1,z-1)-T] and det[T(x+1,y+1,z)-T, T(x,y+1,z+1)-T, T(x+1,y,z+1)-T].
    A negative one, -J, adds J/12 of a voxel.

    Args:
        displacement: In voxels.
        mask: Where to look; everywhere by default.

    Raises:
        GridMismatchError: The mask has another shape than the field.

    References:
        Y. Liu et al., Int. J. Computer Vision, 2024, doi:10.1007/s11263-024-02047-1
    """
    volume, counts = _core.diffeomorphism(_contiguous(displacement), _bytes(mask, displacement))
    voxels, folded, tetrahedra = (int(n) for n in counts.sum(axis=0))
    return Diffeomorphism(voxels, float(volume.sum()), folded, tetrahedra)


def jacobian_determinants(displacement: PlanarField) -> Float64[np.ndarray, "u v w"]:
    """Determinant of the map's Jacobian by central differences, the outermost voxels left out.

    Args:
        displacement: In voxels, at least three along every axis.
    """
    return _core.central_determinant(_contiguous(displacement))


def sd_log_jacobian(
    displacement: PlanarField, mask: OtherMask | None = None, *, shift: float = 0.0, crop: int = 1
) -> float:
    """Standard deviation of the logarithm of the Jacobian determinant, clipped to [1e-9, 1e9].

    Args:
        displacement: In voxels.
        mask: Where to look; everywhere by default.
        shift: Added to the determinant before the logarithm; the Learn2Reg evaluations add 3 and crop 2.
        crop: Layers of voxels left out at every face, at least 1.

    Raises:
        GridMismatchError: The mask has another shape than the field.
    """
    _bytes(mask, displacement)
    inner = (slice(crop - 1, 1 - crop or None),) * 3
    logs = np.log(np.clip(jacobian_determinants(displacement)[inner] + shift, 1e-9, 1e9))
    if mask is not None:
        logs = logs[mask[(slice(crop, -crop),) * 3]]
    return float(logs.std()) if logs.size else float("nan")


def _contiguous(displacement: np.ndarray) -> np.ndarray:
    single = displacement.dtype in (np.float32, np.float16)
    return np.ascontiguousarray(displacement, dtype=np.float32 if single else np.float64)


def _bytes(mask: np.ndarray | None, displacement: np.ndarray) -> np.ndarray | None:
    """The mask as the core takes it."""
    if mask is None:
        return None
    if mask.shape != displacement.shape[1:]:
        raise GridMismatchError(
            f"mask and field differ in shape\n  mask   {mask.shape}\n  field  {displacement.shape[1:]}"
        )
    return np.ascontiguousarray(mask).view(np.uint8)
