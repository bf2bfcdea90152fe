"""The volume of interest of bone morphometry: bone with the marrow it encloses."""

from __future__ import annotations

from voxbench.geometry import Volume
from voxbench.types import Mask

BONE_HU = 200
"""The threshold of the challenge's registration."""
CLOSING_MM = 1.0


def filled_bone(volume: Volume, closing_mm: float = CLOSING_MM) -> Mask:
    """Where there is bone (above 200 HU) or marrow among it: the bone closed by a ball, holes filled.

    The organisers do not say how their masks were drawn; this is ours.

    Args:
        volume: CT numbers, HU.
        closing_mm: Radius of the ball, mm: half the width of the widest gap that is closed.
    """
    import numpy as np
    from scipy.ndimage import binary_fill_holes, distance_transform_edt

    spacing = tuple(float(s) for s in volume.grid.spacing)
    bone = np.asarray(volume.array) > BONE_HU
    if not bone.any():
        return bone
    margin = [int(np.ceil(closing_mm / s)) + 1 for s in spacing]
    padded = np.pad(bone, [(m, m) for m in margin])
    grown = np.asarray(distance_transform_edt(~padded, sampling=spacing)) <= closing_mm
    grown = np.asarray(binary_fill_holes(grown))
    closed = np.asarray(distance_transform_edt(grown, sampling=spacing)) > closing_mm
    inner = tuple(slice(m, -m) for m in margin)
    return closed[inner] | bone
