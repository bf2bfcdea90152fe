"""Local bone contrast: how far the intensities spread in small windows of the bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench import _core
from voxbench.errors import InputError
from voxbench.metrics.windows import as_bytes, same_shape
from voxbench.types import AnyArray

SIZE, STEP = 16, 8
LEAST = max(int(SIZE * SIZE * 0.05), 10)
PERCENTILES = (5, 95)


@dataclass(frozen=True)
class BoneContrast:
    """Local bone contrast of one image.

    Attributes:
        mean: Mean over the windows, in the image's units (HU); 0 if there is no window.
        std: Population standard deviation over the windows; 0 if there is no window.
        windows: How many windows have enough bone.
    """

    mean: float
    std: float
    windows: int

    @property
    def decibel(self) -> float:
        """20 log10 of the mean; minus infinity if there is no window."""
        return float(20 * np.log10(max(self.mean, 1e-10))) if self.windows else float("-inf")


def local_bone_contrast(image: AnyArray, mask: AnyArray) -> BoneContrast:
    """P95 - P5 of the masked intensities in 16 x 16 windows of every axial slice (axis 2), 8 apart.

    A window counts when at least 12 of its voxels (5 percent) are inside the mask. Percentiles are interpolated
    linearly, rounded as numpy.percentile (NumPy 2) does for float32.

    Args:
        image: Intensities [i, j, k]; int16 is not copied.
        mask: True in bone (bool).

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.
    """
    contrasts = window_contrasts(image, mask)
    if not contrasts.size:
        return BoneContrast(0.0, 0.0, 0)
    return BoneContrast(float(np.mean(contrasts)), float(np.std(contrasts)), contrasts.size)


def window_contrasts(image: AnyArray, mask: AnyArray) -> AnyArray:
    """P95 - P5 of every window that counts: slice by slice, then along the first axis, then the second; float64.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.
    """
    if mask.dtype != np.bool_:
        raise InputError(f"a mask is bool; this one is {mask.dtype}: compare it first, e.g. mask > 0")
    same_shape(image, image, mask)
    if min(image.shape[:2]) < SIZE:
        return np.empty(0)
    source = np.ascontiguousarray(image, np.int16 if image.dtype == np.int16 else np.float32)
    values = _core.window_contrasts(source, as_bytes(mask), SIZE, STEP, LEAST, *_tables())
    return values[~np.isnan(values)].astype(np.float64)


def _tables() -> tuple[AnyArray, AnyArray]:
    """For n values (the row): rank below each percentile; weight in float32, from the nearer one as in NumPy."""
    count = np.arange(SIZE * SIZE + 1, dtype=np.float64)[:, None]
    place = np.maximum(count - 1, 0) * (np.array(PERCENTILES) / 100)
    ranks = np.floor(place)
    above = place - ranks
    return ranks.astype(np.int32), np.where(above >= 0.5, above - 1, above).astype(np.float32)
