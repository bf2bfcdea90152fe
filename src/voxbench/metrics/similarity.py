"""Structural similarity (SSIM) of two windowed images, slice by slice and in 3-D."""

from __future__ import annotations

import numpy as np

from voxbench import _core
from voxbench.metrics.windows import UNIT_WINDOW, ImagePair, IntensityWindow
from voxbench.types import AnyArray

WINDOW = 7


def ssim_slices(
    reference: AnyArray,
    prediction: AnyArray,
    window: IntensityWindow = UNIT_WINDOW,
    mask: AnyArray | None = None,
    size: int | None = None,
) -> AnyArray:
    """Mean 2-D SSIM of every slice along the third axis.

    scikit-image's definition: uniform filter, data range 1, sample covariance, mean without the border of half a
    filter; rounded as its float32 path is. With a mask the images are cropped to the mask's bounding box after the
    window, and 0 outside the mask: slices outside the box are left out.

    Args:
        reference: Intensities [i, j, k]; int16 is not copied.
        prediction: The same, of the same shape.
        window: Takes the intensities to [0, 1].
        mask: Where to look (bool); everywhere by default.
        size: Width of the filter, odd; by default 7, or less in a small image (see `filter_size`).

    Returns:
        One number per slice of the box, float64; empty if the mask is; NaN if the box is smaller than the filter.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.

    References:
        Z. Wang et al., IEEE Trans. Image Process. 13:600-612, 2004, doi:10.1109/TIP.2003.819861
    """
    pair = ImagePair.of(reference, prediction, mask)
    box = bounding_box(pair)
    if box is None:
        return np.empty(0)
    extent = box[:, 1] - box[:, 0]
    size = filter_size(extent[:2]) if size is None else size
    if extent[:2].min() < size:
        return np.full(int(extent[2]), np.nan)
    return _core.ssim_slices(pair.reference, pair.prediction, pair.mask, window.numbers(), box, size)


def ssim(
    reference: AnyArray,
    prediction: AnyArray,
    window: IntensityWindow = UNIT_WINDOW,
    mask: AnyArray | None = None,
    size: int | None = None,
) -> float:
    """The mean of `ssim_slices`: every slice counts alike. NaN if the mask is empty or smaller than the filter.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.
    """
    values = ssim_slices(reference, prediction, window, mask, size)
    return float(np.mean(values)) if values.size else float("nan")


def ssim_3d(
    reference: AnyArray,
    prediction: AnyArray,
    window: IntensityWindow = UNIT_WINDOW,
    mask: AnyArray | None = None,
    size: int | None = None,
) -> float:
    """One SSIM of the volume, the filter being a cube; otherwise as `ssim_slices`.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.
    """
    pair = ImagePair.of(reference, prediction, mask)
    box = bounding_box(pair)
    if box is None:
        return float("nan")
    extent = box[:, 1] - box[:, 0]
    size = filter_size(extent) if size is None else size
    if extent.min() < size:
        return float("nan")
    return _core.ssim_volume(pair.reference, pair.prediction, pair.mask, window.numbers(), box, size)


def filter_size(extent: AnyArray) -> int:
    """7; in a small image the largest odd number below its shortest extent, but at least 3."""
    return max(3, min(WINDOW, int(extent.min()) // 2 * 2 - 1))


def bounding_box(pair: ImagePair) -> AnyArray | None:
    """Begin and end along each axis: of the mask, or of the image without one; None if the mask is empty."""
    if pair.mask is None:
        return np.array([[0, n] for n in pair.shape], np.int64)
    plane = np.asarray(pair.mask.any(axis=0))
    occupied = [np.asarray(line) for line in (pair.mask.any(axis=(1, 2)), plane.any(axis=-1), plane.any(axis=0))]
    if not occupied[0].any():
        return None
    return np.array([[line.argmax(), line.size - line[::-1].argmax()] for line in occupied], np.int64)
