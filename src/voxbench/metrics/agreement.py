"""PSNR, MAE, RMSE, NRMSE and NCC of two windowed images, all from one reading of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.metrics.windows import ImagePair, IntensityWindow
from voxbench.types import AnyArray

_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class AgreementSums:
    """Sums over the region, in float64 and in float32 with the rounding of numpy.sum (NumPy 2).

    Attributes:
        window: The intensity window applied before.
        voxels: How many voxels the region has.
        first: Sums of a, b, |a - b|, (a - b)^2; float64.
        second: Sums of a'^2, b'^2, a'b' about `centres`; float64.
        first_float32: As `first`, with float32 rounding.
        second_float32: As `second`, with float32 rounding.
        centres: The means of a and b as float32.
        lowest: Least windowed intensity of the reference.
        highest: Largest windowed intensity of the reference.
    """

    window: IntensityWindow
    voxels: int
    first: AnyArray
    second: AnyArray
    first_float32: AnyArray
    second_float32: AnyArray
    centres: AnyArray
    lowest: np.float32
    highest: np.float32


@dataclass(frozen=True)
class ImageAgreement:
    """How well a prediction agrees with its reference over a region, in a window's units (its width is 1); float64.

    Attributes:
        voxels: Size of the region; everything is NaN if it is empty.
        mse: Mean squared error.
        mae: Mean absolute error.
        data_range: Range of the windowed reference in the region.
        ncc: Pearson's correlation; NaN where one image is constant.
    """

    voxels: int
    mse: float
    mae: float
    data_range: float
    ncc: float

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio, dB, the peak being the window's width; infinite where nothing differs."""
        return float("inf") if self.mse == 0 else float(-10 * np.log10(self.mse))

    @property
    def rmse(self) -> float:
        """Root mean squared error."""
        return float(np.sqrt(self.mse))

    @property
    def nrmse(self) -> float:
        """RMSE over the reference's range; NaN where that is zero."""
        return self.rmse / self.data_range if self.data_range > 0 else _NAN


def agreement_sums(
    reference: AnyArray, prediction: AnyArray, windows: Sequence[IntensityWindow], mask: AnyArray | None = None
) -> tuple[AgreementSums, ...]:
    """What every pixel-wise measure is made of, for several windows at once.

    The float32 sums follow numpy.sum of NumPy 2: over the array in Fortran order without a mask, in C order of the
    boolean index with one. Images of int16 are not copied.

    Args:
        reference: Intensities [i, j, k].
        prediction: The same, of the same shape.
        windows: At most 8.
        mask: Where to look (bool); everywhere by default.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.
    """
    pair = ImagePair.of(reference, prediction, mask)
    numbers = np.stack([window.numbers() for window in windows])
    voxels, tree, sums, span = pair.agreement(numbers, None)
    centres = (tree[:, :2].astype(np.float64) / max(voxels, 1)).astype(np.float32)
    _, tree2, sums2, _ = pair.agreement(numbers, np.ascontiguousarray(centres))
    result = []
    for w, window in enumerate(windows):
        low, high = window.apply(span)
        about = (sums[w], sums2[w, :3], tree[w], tree2[w, :3], centres[w])
        result.append(AgreementSums(window, voxels, *about, low, high))
    return tuple(result)


def image_agreement(
    reference: AnyArray,
    prediction: AnyArray,
    windows: Sequence[IntensityWindow],
    mask: AnyArray | None = None,
) -> tuple[ImageAgreement, ...]:
    """PSNR, MAE, RMSE, NRMSE and NCC over a region, for several windows at once.

    Args:
        reference: Intensities [i, j, k].
        prediction: The same, of the same shape.
        windows: At most 8, applied to both images.
        mask: Where to look (bool); everywhere by default.

    Raises:
        GridMismatchError: The shapes differ.
        InputError: Not three axes, or a mask that is not bool.
    """
    return tuple(agreement_of(sums) for sums in agreement_sums(reference, prediction, windows, mask))


def agreement_of(sums: AgreementSums) -> ImageAgreement:
    """The measures that sums in float64 give."""
    n = sums.voxels
    if n == 0:
        return ImageAgreement(0, _NAN, _NAN, _NAN, _NAN)
    shift = sums.first[:2] / n - sums.centres.astype(np.float64)
    variance = np.maximum(sums.second[:2] / n - shift**2, 0.0)
    covariance = sums.second[2] / n - shift[0] * shift[1]
    # below: the rounding of float32 intensities, no variation
    constant = bool((variance < 1e-14).any())
    ncc = _NAN if constant else float(np.clip(covariance / np.sqrt(variance.prod()), -1, 1))
    mae, mse = sums.first[2] / n, sums.first[3] / n
    return ImageAgreement(n, float(mse), float(mae), float(sums.highest - sums.lowest), ncc)
