"""Bone morphometry: how much bone, how thick, how far apart, how many.

Conventions, for all of it:

* The distance of a voxel is that of its centre to the nearest voxel centre outside the phase; the diameter of a sphere
  is twice that, with no half-voxel correction. A plate n voxels thick has thickness n (n even) or n + 1 (n odd). A
  ball or a rod around a voxel centre has twice its radius within 0.7 voxels (large ones 0.1). One that lies between
  voxel centres loses about twice the way from its middle to the nearest of them: up to 1.73 voxels (ball), 1.41 (rod).
* Sphere fitting with ``centres="half-voxels"`` is right within a voxel for balls, rods and plates along the axes of 4
  to 20 voxels, wherever they lie (plates in other directions: 0.6 too thick on average, 1.3 at worst). It is not the
  default because of thinner ones: between 1.5 and 4 voxels it makes rods 0.4 and oblique plates 1.0 too thick on
  average, where voxel centres make them 0.1 too thin and 0.6 too thick; and trabeculae at 105 um are two voxels thick.
* Outside the region of interest nothing belongs to a phase: spheres end at its border. The border of the *image* is no
  surface: what reaches it is taken to go on.
* Voxels are isotropic; all lengths are mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from voxbench import _core
from voxbench.errors import EmptyShapeError, GridMismatchError, InputError, NotFiniteError
from voxbench.types import AnyArray, Mask, Triple

Centres = Literal["voxels", "half-voxels"]
"""Where the spheres of sphere fitting may lie: around voxel centres, or around points between them, too."""

ISOTROPIC = 1e-3
"""Largest relative difference of the spacings that counts as none."""


@dataclass(frozen=True)
class Thickness:
    """Thickness of one phase, over its voxels; NaN where the phase is empty or nothing bounds it.

    Attributes:
        mean: Mean, mm.
        std: Population standard deviation, mm.
        largest: Maximum, mm.
    """

    mean: float
    std: float
    largest: float


@dataclass(frozen=True)
class BoneMorphometry:
    """Morphometry of the bone in a region.

    Attributes:
        bone_volume: Voxels of bone.
        total_volume: Voxels of the region.
        trabecular_thickness: Tb.Th by sphere fitting.
        trabecular_separation: Tb.Sp by sphere fitting in what is not bone.
        distance_thickness: Twice the mean distance over all bone voxels (its mean), a smaller number than Tb.Th.
        distance_separation: The same of what is not bone.
        skeleton_thickness: Twice the mean distance over the skeleton of the bone (Lee's thinning); NaN where thinning
            leaves nothing, None if it was not asked for.
        skeleton_separation: The same of what is not bone.
    """

    bone_volume: int
    total_volume: int
    trabecular_thickness: Thickness
    trabecular_separation: Thickness
    distance_thickness: Thickness
    distance_separation: Thickness
    skeleton_thickness: Thickness | None = None
    skeleton_separation: Thickness | None = None

    @property
    def bone_volume_fraction(self) -> float:
        """BV/TV: voxels of bone over voxels of the region."""
        return self.bone_volume / self.total_volume

    @property
    def trabecular_number_plate(self) -> float:
        """Tb.N of the plate model, 1/mm: (BV/TV) / Tb.Th. The published numbers of LumbarSR are of this kind."""
        return _ratio(self.bone_volume_fraction, self.trabecular_thickness.mean)

    @property
    def trabecular_number_spacing(self) -> float:
        """Tb.N as the inverse of the mean period, 1/mm: 1 / (Tb.Th + Tb.Sp)."""
        return _ratio(1.0, self.trabecular_thickness.mean + self.trabecular_separation.mean)


def bone_morphometry(
    bone: Mask,
    spacing: Triple,
    region: Bool[np.ndarray, "*region"] | None = None,
    skeletons: bool = False,
    centres: Centres = "voxels",
) -> BoneMorphometry:
    """BV/TV, Tb.Th, Tb.Sp and, from them, Tb.N, of a bone in a region.

    Args:
        bone: True where there is bone; what lies outside the region does not count.
        spacing: Of the voxels, mm; equal along the three axes.
        region: Region of interest; the whole image if None.
        skeletons: Whether to thin both phases too (scikit-image, slow on large volumes).
        centres: Where the spheres of sphere fitting may lie.

    Raises:
        GridMismatchError: Bone and region have different shapes.
        InputError: The voxels are not isotropic.
        EmptyShapeError: There is nothing in the region.

    References:
        T. Hildebrand and P. Rüegsegger, J. Microscopy 185:67-75, 1997, doi:10.1046/j.1365-2818.1997.1340694.x
        M. L. Bouxsein et al., J. Bone Miner. Res. 25:1468-1486, 2010, doi:10.1002/jbmr.141
    """
    side = isotropic_spacing(spacing)
    if region is not None and region.shape != bone.shape:
        raise GridMismatchError(
            f"bone and region of interest have different shapes\n  bone    {bone.shape}\n  region  {region.shape}"
        )
    total = bone.size if region is None else int(region.sum())
    if total == 0:
        raise EmptyShapeError("the region of interest is empty: there is nothing to measure")
    if region is not None:
        box = _box(region)
        bone, region = bone[box], region[box]
    solid = bone if region is None else bone & region
    count = int(solid.sum())
    fitted, halved, thinned = _phase(solid, side, skeletons, centres)
    space = ~bone if region is None else region & ~bone
    fitted_space, halved_space, thinned_space = _phase(space, side, skeletons, centres)
    return BoneMorphometry(count, total, fitted, fitted_space, halved, halved_space, thinned, thinned_space)


def local_thickness(phase: Mask, centres: Centres = "voxels") -> Float32[np.ndarray, "i j k"]:
    """Diameter in voxels of the largest sphere that fits in the phase and holds the voxel; 0 outside the phase.

    Spheres lie around voxel centres and hold no centre of a voxel outside the phase; a voxel is held when its centre
    lies inside. Exact: every such sphere is accounted for. Needs 7 bytes per voxel besides the mask and the list of
    spheres (16 to 32 bytes each, one for some of the phase's voxels); 9 where spheres are wider than 251 voxels.

    With ``centres="half-voxels"`` there are more of them: of the 26 points half a voxel or its diagonals away from a
    voxel none of whose neighbours is farther from the outside, those whose sphere is larger than the spheres of the 2,
    4 or 8 voxels beside the point. And some are smaller, where the nearest centres outside tell of flat surfaces: if
    all of these lie straight ahead and straight behind along one axis, the sphere ends at the faces before them, half a
    voxel nearer; between voxels, if they lie in pairs half a voxel to both sides of a plane, the way to them is taken
    along that plane. By neither rule does a sphere hold a centre outside.

    Args:
        phase: True inside.
        centres: Where the spheres may lie.

    Raises:
        EmptyShapeError: Nothing bounds the phase: it fills the image.

    References:
        T. Hildebrand and P. Rüegsegger, J. Microscopy 185:67-75, 1997, doi:10.1046/j.1365-2818.1997.1340694.x
        E. Remy and E. Thiel, Pattern Recognit. Lett. 23:649-661, 2002, doi:10.1016/S0167-8655(01)00141-6
    """
    squared = squared_distances(phase)
    _core.local_thickness(squared, centres == "half-voxels")
    return squared


def squared_distances(phase: Mask) -> Float32[np.ndarray, "i j k"]:
    """Squared distance, in voxels, of each centre to the nearest one outside the phase; whole numbers, 0 outside.

    Raises:
        EmptyShapeError: Nothing bounds the phase: it fills the image.
    """
    import edt

    if phase.all():
        raise EmptyShapeError("the phase fills the whole image: nothing bounds it, so it has no thickness")
    squared = edt.edtsq(np.ascontiguousarray(phase), black_border=False, order="C", parallel=_core.threads())
    return np.ascontiguousarray(squared)


def otsu_threshold(image: AnyArray, region: Bool[np.ndarray, "*region"] | None = None) -> float:
    """Otsu's threshold of the intensities in a region, in 256 bins; bone is what lies above.

    Raises:
        EmptyShapeError: The region is empty, or all intensities in it are equal.
        NotFiniteError: Some of them are NaN or infinite.

    References:
        N. Otsu, IEEE Trans. Syst. Man Cybern. 9:62-66, 1979, doi:10.1109/TSMC.1979.4310076
    """
    values = image.ravel() if region is None else image[region]
    if not values.size:
        raise EmptyShapeError("the region of interest is empty: there is no threshold to find")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise NotFiniteError("some intensities are NaN or infinite: Otsu's threshold needs numbers")
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise EmptyShapeError(f"all intensities are {low:g}: Otsu's threshold needs two kinds of voxels")
    counts, edges = np.histogram(values, 256, (low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * centres)
    weights = below * (below[-1] - below)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (total[-1] * below - total * below[-1]) ** 2 / weights
    return float(edges[1 + int(np.nanargmax(np.where(weights > 0, between, np.nan)))])


def isotropic_spacing(spacing: Triple) -> float:
    """The side of a voxel, mm.

    Raises:
        InputError: The voxels are not isotropic, or have no size.
    """
    sides = np.asarray(spacing, np.float64)
    if not np.all(np.isfinite(sides)) or sides.min() <= 0:
        raise InputError(f"spacing must be positive; it is {_spoken(sides)} mm")
    if sides.max() - sides.min() > ISOTROPIC * sides.max():
        raise InputError(
            "bone morphometry needs isotropic voxels\n"
            f"  spacing  {_spoken(sides)} mm\n"
            "  resample the image onto a grid of equal spacing first"
        )
    return float(sides.mean())


def _phase(phase: Mask, side: float, skeleton: bool, centres: Centres) -> tuple[Thickness, Thickness, Thickness | None]:
    """By sphere fitting, by distances over all voxels, by distances over the skeleton."""
    unbounded = bool(phase.all())
    if unbounded or not phase.any():
        nothing = Thickness(float("nan"), float("nan"), float("nan"))
        return nothing, nothing, nothing if skeleton else None
    squared = squared_distances(phase)
    halved = _statistics(2 * np.sqrt(squared[phase]), side)
    thinned = None
    if skeleton:
        from skimage.morphology import skeletonize

        thinned = _statistics(2 * np.sqrt(squared[skeletonize(phase)]), side)
    _core.local_thickness(squared, centres == "half-voxels")
    return _statistics(squared[phase], side), halved, thinned


def _box(region: Mask) -> tuple[slice, ...]:
    """The region and one voxel around it: all that its spheres can see."""
    box = []
    for axis in range(3):
        there = np.flatnonzero(region.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(int(there[0]) - 1, 0), int(there[-1]) + 2))
    return tuple(box)


def _statistics(values: Float32[np.ndarray, " n"], side: float) -> Thickness:
    """Of thicknesses in voxels."""
    if not values.size:
        return Thickness(float("nan"), float("nan"), float("nan"))
    mean = float(values.mean(dtype=np.float64))
    return Thickness(side * mean, side * float(values.std(dtype=np.float64)), side * float(values.max()))


def _ratio(numerator: float, denominator: float) -> float:
    """NaN where there is nothing to divide by."""
    return numerator / denominator if denominator else float("nan")


def _spoken(sides: np.ndarray) -> str:
    return " x ".join(f"{value:.6g}" for value in sides)
