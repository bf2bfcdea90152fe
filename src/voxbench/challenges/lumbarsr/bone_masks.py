"""The volume of interest of bone morphometry (bone with the marrow it encloses), and how well two of them agree."""

from __future__ import annotations

import numpy as np

from voxbench.geometry import Volume
from voxbench.metrics.borders import border_distances, box_of
from voxbench.types import Mask

BONE_HU = 200
"""The threshold of the challenge's registration."""
CLOSING_MM = 1.0
SMALLEST_PART = 0.01
"""Parts below this share of the largest one are specks of noise."""


def filled_bone(volume: Volume, closing_mm: float = CLOSING_MM) -> Mask:
    """Where there is bone (above 200 HU) or marrow among it: specks left out, closed by a ball, holes filled.

    A speck is a part below a hundredth of the largest one: noise behind a sharp kernel passes 200 HU in soft tissue,
    and would be joined to the bone by the closing. The organisers do not say how their masks were drawn; this is ours.

    Args:
        volume: CT numbers, HU.
        closing_mm: Radius of the ball, mm: half the width of the widest gap that is closed.
    """
    bone = np.asarray(volume.array) > BONE_HU
    _drop_specks(bone)
    box = box_of(bone)
    if box[0].stop == 0:
        return bone
    spacing = volume.grid.spacing
    margin = [int(np.ceil(closing_mm / s)) + 1 for s in spacing]
    grown = _within(np.pad(bone[box], [(m, m) for m in margin]), closing_mm, spacing)
    closed = ~_within(~_holes_filled(grown), closing_mm, spacing)
    bone[box] |= closed[tuple(slice(m, -m) for m in margin)]
    return bone


def bone_agreement(micro_ct: Mask, clinical: Mask, spacing: tuple[float, float, float]) -> dict[str, float]:
    """Dice, HD95 and HD (mm) of two bone masks on one grid; NaN or infinite where one is empty.

    Distances are between border voxels (those with a face on the outside), each way by itself, the larger one taken:
    which border and which percentile the organisers use is not published.

    Args:
        micro_ct: Bone mask of the micro-CT.
        clinical: Bone mask of the registered sequence.
        spacing: mm.

    Raises:
        GridMismatchError: The shapes differ.
    """
    distances = border_distances(micro_ct, clinical, spacing)
    return {
        "dice": dice(micro_ct, clinical),
        "hd95_mm": distances.hausdorff(95),
        "hd_mm": distances.hausdorff(100),
    }


def dice(one: Mask, other: Mask) -> float:
    """Twice the shared voxels over the sum of both; NaN if both are empty."""
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / total if total else float("nan")


def _within(mask: Mask, radius_mm: float, spacing: np.ndarray) -> Mask:
    """What is at most so far from what is true; beyond the array there is nothing."""
    import edt

    outside = np.ascontiguousarray(~mask).view(np.uint8)
    if spacing.max() - spacing.min() < 1e-6 * spacing.max():
        squared, most = edt.edtsq(outside, parallel=1), (radius_mm / float(spacing[0])) ** 2
    else:
        squared = edt.edtsq(outside, anisotropy=tuple(float(s) for s in spacing), parallel=1)
        most = radius_mm**2
    return squared <= most * (1 + 1e-5)


def _drop_specks(mask: Mask) -> None:
    """Leave, in place, the parts (voxels that touch, at a corner even) of at least a hundredth of the largest."""
    import cc3d

    parts, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    if count < 2:
        return
    sizes = cc3d.statistics(parts, no_slice_conversion=True)["voxel_counts"].astype(np.int64)
    sizes[0] = 0
    kept = sizes >= SMALLEST_PART * sizes.max()
    for plane, own in zip(mask, parts, strict=True):  # an index of the whole volume would take eight bytes a voxel
        plane[...] = kept[own]


def _holes_filled(mask: Mask) -> Mask:
    """With what of the background cannot be reached from the faces of the array, across faces of voxels."""
    import cc3d

    parts = cc3d.connected_components(np.ascontiguousarray(~mask), connectivity=6)
    faces = [np.take(parts, end, axis) for axis in range(3) for end in (0, -1)]
    reached = np.zeros(int(parts.max()) + 1, bool)
    for face in faces:
        reached[np.unique(face)] = True
    reached[0] = False  # the mask itself
    filled = np.empty(mask.shape, bool)
    for plane, own in zip(filled, parts, strict=True):
        plane[...] = ~reached[own]
    return filled
