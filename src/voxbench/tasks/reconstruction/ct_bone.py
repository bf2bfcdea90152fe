"""What is bone in a CT, before it is known which: a threshold from the image, marrow filled, points on the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.tasks.reconstruction.surface_fit import Targets
from voxbench.types import AnyArray

FINEST_MM = 0.8
LEAST_MM = 60.0
AIR_HU = -1000.0
SOFT_HU, HARD_HU = 0.0, 1500.0
"""The threshold is looked for among voxels between these."""
LOWEST_HU, HIGHEST_HU = 130.0, 250.0
"""No lower than tendon, cartilage and noise reach; no higher than half way from soft tissue to what a CT of 1 mm shows
of the thin shell at the joint."""
NOT_CT_HU, DENSE_HU = -50.0, 300.0
LEAST_BONE = 2e-4
"""Share of voxels that must be denser than `DENSE_HU`."""
SPECK_ML = 1.0
POINTS = 6000
POINT_STEP_MM = 1.6
BLUR_MM = 0.8
SLOPE_HU = 100.0
"""About how many HU the image changes over a millimetre across the surface of a bone."""


@dataclass(frozen=True, eq=False)
class CtBone:
    """Bone in a CT.

    Attributes:
        depth: About how deep a place lies in bone, mm (from its HU, within a few mm), on a grid along the world's axes;
            marrow counts as bone.
        threshold_hu: What separates.
    """

    depth: Volume
    threshold_hu: float

    @property
    def box(self) -> AnyArray:
        """Centres of the first and last voxel, mm, (2, 3)."""
        grid = self.depth.grid
        return np.stack([grid.origin, grid.world_from_voxel(np.array(grid.shape) - 1.0)])

    def points(self, count: int = POINTS) -> Targets:
        """Points on the surface of bone, evenly, with normals."""
        from scipy.ndimage import gaussian_filter
        from skimage.measure import marching_cubes

        grid = self.depth.grid
        smooth = gaussian_filter(np.clip(self.depth.array, -2, 2), BLUR_MM / grid.spacing)
        step = max(1, round(POINT_STEP_MM / float(grid.spacing.mean())))
        vertices, faces, _, _ = marching_cubes(smooth, 0.0, step_size=step, gradient_direction="ascent")
        corners = grid.world_from_voxel(vertices.astype(np.float64))[faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        size = np.linalg.norm(across, axis=1)
        up_to = np.cumsum(size)
        chosen = np.searchsorted(up_to, (np.arange(count) + 0.5) / count * up_to[-1])
        mixed = np.random.default_rng(0).permutation(chosen)  # so that every part of them is spread out
        return Targets(
            corners[mixed].mean(axis=1),
            across[mixed] / np.maximum(size[mixed], 1e-12)[:, None],
            np.full(count, -1),
            np.zeros(count),
            float(up_to[-1]) / 2 / count,
            self.box,
        )


def find_bone(ct: Volume) -> CtBone:
    """What is bone.

    Args:
        ct: Hounsfield units, any orientation; at least 60 mm along each axis.

    Raises:
        InputError: These are no CT numbers, there is no bone, or the volume is too small.
    """
    require_ct(ct)
    image = upright(ct)
    hu, spacing = image.array, image.grid.spacing
    threshold = bone_threshold(hu)
    mask = _filled(hu > threshold, spacing)
    mask = _without_specks(mask, float(np.prod(spacing)))
    depth = np.clip((hu - np.float32(threshold)) / np.float32(SLOPE_HU), -4, 4)
    marrow = mask & (hu <= threshold)
    depth[marrow] = 0.5
    # specks are no bone, whatever their HU
    np.minimum(depth, np.where(_near(mask), np.float32(4), np.float32(-0.5)), out=depth)
    return CtBone(Volume(depth, image.grid), threshold)


def require_ct(ct: Volume) -> None:
    """Refuse what is no CT of bone.

    Raises:
        InputError: Not finite, constant, too small, no CT numbers, or no bone.
    """
    ct.require_usable("CT")
    extent = np.asarray(ct.grid.shape) * ct.grid.spacing
    if extent.min() < LEAST_MM:
        raise InputError(
            f"the volume is too small for a knee: {' x '.join(f'{e:.4g}' for e in extent)} mm; "
            f"at least {LEAST_MM:g} along each axis are needed\n  is the spacing in the file right, in mm?"
        )
    low = float(ct.array.min())
    if low > NOT_CT_HU:
        raise InputError(
            f"these are not CT numbers: nothing is below {NOT_CT_HU:g} HU, where fat and air are "
            f"(smallest value {low:.4g}, largest {float(ct.array.max()):.4g})\n"
            "  an MR image, or a CT scaled to other numbers, cannot be thresholded; give the CT in HU"
        )
    share = float(np.mean(ct.array > DENSE_HU))
    if share < LEAST_BONE:
        raise InputError(
            f"no bone in this CT: {100 * share:.3g} % of its voxels are above {DENSE_HU:g} HU "
            f"(largest {float(ct.array.max()):.4g}); {100 * LEAST_BONE:g} % are needed"
        )


def upright(ct: Volume) -> Volume:
    """The CT on a grid along the world's axes (R, A, S), float32, voxels no finer than 0.8 mm."""
    step = np.maximum(np.abs(ct.grid.direction) @ ct.grid.spacing, FINEST_MM)
    corners = ct.grid.corners
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.floor((high - low) / step + 1e-6).astype(int) + 1
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.diag(step), low
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), Affine(matrix, "world", "voxel"))
    image = Volume(np.asarray(ct.array, np.float32), ct.grid)
    return resample(image, onto=grid, outside=AIR_HU)


def bone_threshold(hu: AnyArray) -> float:
    """Otsu's threshold between soft tissue and bone, kept within what can be, HU.

    References:
        N. Otsu, IEEE Trans. Syst. Man Cybern. 9:62-66, 1979, doi:10.1109/TSMC.1979.4310076
    """
    edges = np.arange(SOFT_HU, HARD_HU + 5, 10)
    counts = np.histogram(hu, edges)[0].astype(np.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    usable = (below > 0) & (above > 0)
    apart = np.zeros(len(counts))
    means = sums[usable] / below[usable] - (sums[-1] - sums[usable]) / above[usable]
    apart[usable] = below[usable] * above[usable] * means**2
    best = edges[1:][apart >= apart.max() * (1 - 1e-9)]  # where the histogram is empty all are as good
    return float(np.clip(best.mean(), LOWEST_HU, HIGHEST_HU))


def _filled(mask: AnyArray, spacing: AnyArray) -> AnyArray:
    """Bone with what it encloses: in space, and in slices across the leg, for shafts are open where the volume ends."""
    from scipy.ndimage import binary_closing

    closed = np.asarray(binary_closing(mask, iterations=max(1, round(1.0 / float(spacing.mean()))))) | mask
    flat = np.zeros((3, 3, 3), bool)
    flat[:, 1, 1] = flat[1, :, 1] = True
    parts, count = parts_of(~closed, flat)
    outside = np.zeros(count + 1, bool)
    for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        outside[np.unique(side)] = True
    outside[0] = False
    return mask | (~outside[parts] & ~closed)


def _without_specks(mask: AnyArray, voxel: float) -> AnyArray:
    """Without parts smaller than a millilitre."""
    parts, count = parts_of(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * voxel / 1000
    kept = sizes >= SPECK_ML
    kept[0] = False
    if not kept.any():
        raise InputError("no bone in this CT: nothing dense is larger than a millilitre")
    return kept[parts]


def parts_of(mask: AnyArray, structure: AnyArray | None = None) -> tuple[AnyArray, int]:
    """Connected parts, numbered from 1, and how many there are."""
    from scipy.ndimage import label

    parts = np.empty(mask.shape, np.int32)
    label(mask, structure, output=parts)
    return parts, int(parts.max())


def _near(mask: AnyArray) -> AnyArray:
    """The voxels of a mask and those about them."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask, np.ones((3, 3, 3), bool)))
