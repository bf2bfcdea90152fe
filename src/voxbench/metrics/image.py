"""How alike two images on one grid are."""

from __future__ import annotations

import numpy as np

from voxbench.errors import GridMismatchError
from voxbench.types import AnyArray, Image


def normalized_cross_correlation(reference: Image, prediction: AnyArray, mask: AnyArray | None = None) -> float:
    """Pearson's correlation of the intensities of two images over a region (global NCC), -1 to 1.

    Args:
        reference: One image.
        prediction: The other, of the same shape.
        mask: Where to look (bool); everywhere by default.

    Returns:
        NaN where it is undefined: nothing to look at, or an image that is constant there.

    Raises:
        GridMismatchError: The shapes differ.
    """
    shapes = {reference.shape, prediction.shape} | ({mask.shape} if mask is not None else set())
    if len(shapes) > 1:
        raise GridMismatchError(f"images to be compared differ in shape: {sorted(shapes)}")
    a, b = (array.ravel() if mask is None else array[mask] for array in (reference, prediction))
    if not a.size:
        return float("nan")
    a, b = _deviations(a), _deviations(b)
    scale = np.sqrt(np.vdot(a, a)) * np.sqrt(np.vdot(b, b))
    return float(np.vdot(a, b) / scale) if scale > 0 else float("nan")


def _deviations(values: np.ndarray) -> np.ndarray:
    """From the mean, as float32; zero where all values are equal."""
    mean = values.mean(dtype=np.float64)
    return (values - mean).astype(np.float32)
