"""One axis of interpolation: which samples count at a position, and how much."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Kernel = Literal["nearest", "trilinear", "bicubic", "spline5", "lanczos"]
"""How samples are joined, along each axis: the nearest; a straight line; interpolating B-splines of order 3 and of
order 5 (which the challenge's published table calls lanczos); the sinc windowed by a wider sinc (Lanczos, 3 lobes)."""
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
SPLINE_ORDER: dict[str, int] = {"bicubic": 3, "spline5": 5}
LOBES = 3
HALF_VOXEL = 0.5 + 1e-6


def taps(positions: np.ndarray, size: int, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """The samples that count at positions along an axis.

    Up to half a voxel beyond the outermost centres the image is that of the outermost centre. Weights add up to 1 at
    every position.

    Args:
        positions: In voxels, any shape.
        size: Samples along the axis.
        kernel: How they are joined. For splines the samples are B-spline coefficients (``prefiltered``).

    Returns:
        Indices and weights, the shape of ``positions`` with one more axis at the end.
    """
    inside = np.clip(positions, 0, size - 1)
    if kernel == "nearest":
        index = np.floor(inside + 0.5).astype(np.int64)[..., None]
        return np.minimum(index, size - 1), np.ones(index.shape, np.float32)
    reach = {"trilinear": 1, "bicubic": 2, "spline5": 3, "lanczos": LOBES}[kernel]
    first = np.floor(inside).astype(np.int64) - reach + 1
    index = first[..., None] + np.arange(2 * reach)
    distance = inside[..., None] - index
    weight = _lanczos(distance) if kernel == "lanczos" else _b_spline(distance, SPLINE_ORDER.get(kernel, 1))
    index = np.clip(index, 0, size - 1) if kernel == "lanczos" else _mirrored(index, size)
    return index, (weight / weight.sum(axis=-1, keepdims=True)).astype(np.float32)


def prefiltered(image: np.ndarray, kernel: Kernel) -> np.ndarray:
    """What the taps of a kernel are applied to, float32: coefficients for splines, else the image itself."""
    image = np.asarray(image, np.float32)
    order = SPLINE_ORDER.get(kernel)
    if order is None:
        return image
    from scipy.ndimage import spline_filter

    coefficients = np.empty_like(image)
    spline_filter(image, order=order, output=coefficients, mode="mirror")  # pyright: ignore[reportArgumentType]
    return coefficients


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Indices reflected about the outermost centres."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    index = np.mod(index, period)
    return np.where(index >= size, period - index, index)


def _b_spline(x: np.ndarray, order: int) -> np.ndarray:
    """The centred B-spline of an odd order.

    References:
        M. Unser, IEEE Signal Process. Mag. 16(6):22-38, 1999, doi:10.1109/79.799930.
    """
    a = np.abs(x)
    if order == 1:
        return np.maximum(1 - a, 0)
    outer = np.maximum(2 - a, 0) ** 3 if order == 3 else np.maximum(3 - a, 0) ** 5
    if order == 3:
        return (outer - 4 * np.maximum(1 - a, 0) ** 3) / 6
    return (outer - 6 * np.maximum(2 - a, 0) ** 5 + 15 * np.maximum(1 - a, 0) ** 5) / 120


def _lanczos(x: np.ndarray) -> np.ndarray:
    """The sinc windowed by its own main lobe stretched over three.

    References:
        C. E. Duchon, J. Appl. Meteorol. 18:1016-1022, 1979,
        doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2.
    """
    return np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0)
