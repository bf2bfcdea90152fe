"""LumbarSR's official numbers of one volume, quirk by quirk; arrays in, numbers out.

Source of every quirk: evaluation/metrics.py and batch_evaluate.py of the organisers, with NumPy 2: images are float32,
and so are their means, summed by numpy.sum's pairwise tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from voxbench.challenges.lumbarsr.cases import AIR_HU, WINDOWS
from voxbench.metrics import IntensityWindow, local_bone_contrast, ssim_slices
from voxbench.metrics.agreement import AgreementSums, agreement_of, agreement_sums
from voxbench.metrics.bone_contrast import BoneContrast

FAST_SHARE = 0.125
IDENTICAL = np.float32(1e-10)
OFFICIAL = ("psnr", "ssim", "mae")
FURTHER = ("ncc", "rmse", "nrmse")
WORST: Mapping[str, float] = {"psnr": 0.0, "ssim": -1.0, "mae": 1.0, "ncc": -1.0, "rmse": 1.0, "nrmse": float("inf")}
"""The challenge names no worst values; these are the bounds of the quantities on intensities in [0, 1]."""

Numbers = dict[str, float]


def non_air(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Where either image is above -1000 HU; it depends on the prediction."""
    mask = np.empty(reference.shape, np.bool_)
    for inside, a, b in zip(mask, reference, prediction, strict=True):
        np.logical_or(a > AIR_HU, b > AIR_HU, out=inside)
    return mask


def official_scores(
    reference: np.ndarray, prediction: np.ndarray, mask: np.ndarray | None, fast: bool = False
) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """Official numbers of one mask in the three windows, and the same quantities in float64.

    Args:
        reference: HU, int16 or float32.
        prediction: HU, of the same shape.
        mask: Where to look; None for everywhere. If it is empty every number is NaN.
        fast: SSIM from an eighth of the slices only, a different number.
    """
    official, honest = {}, {}
    sums = agreement_sums(reference, prediction, tuple(WINDOWS.values()), mask)
    for (name, window), own in zip(WINDOWS.items(), sums, strict=True):
        similarity = official_ssim(reference, prediction, window, mask, fast)
        official[name] = _pixelwise(own) | {"ssim": similarity}
        exact = agreement_of(own)
        honest[name] = {
            "psnr_float64": exact.psnr,
            "mae_float64": exact.mae,
            "rmse_float64": exact.rmse,
            "nrmse_float64": exact.nrmse,
            "ncc_float64": exact.ncc,
        }
    return official, honest


def official_ssim(
    reference: np.ndarray, prediction: np.ndarray, window: IntensityWindow, mask: np.ndarray | None, fast: bool
) -> float:
    """Mean over the axial slices of the mask's box; NaN if the mask is empty.

    ``fast`` takes one eighth of the *image's* number of slices, spread over the *box's* slices.
    """
    values = ssim_slices(reference, prediction, window, mask)
    if not values.size:
        return float("nan")
    wanted = int(reference.shape[2] * FAST_SHARE)
    if fast and wanted < values.size:
        values = values[np.linspace(0, values.size - 1, wanted, dtype=int)]
    return float(np.mean(values)) if values.size else float("nan")


def official_contrast(reference: BoneContrast, prediction: BoneContrast) -> dict[str, float | int]:
    """The columns of lbc_metrics.csv."""
    numbers: dict[str, float | int] = {}
    for name, contrast in (("gt", reference), ("pred", prediction)):
        numbers |= {
            f"lbc_{name}_mean": contrast.mean,
            f"lbc_{name}_std": contrast.std,
            f"lbc_{name}_db": contrast.decibel,
            f"lbc_{name}_n_windows": contrast.windows,
        }
    with np.errstate(invalid="ignore"):
        difference = float(np.float64(prediction.decibel) - np.float64(reference.decibel))  # two infinities: NaN
    return numbers | {
        "lbc_ratio": prediction.mean / reference.mean if reference.mean > 1e-10 else 0.0,
        "lbc_diff": abs(prediction.mean - reference.mean),
        "lbc_diff_db": difference,
    }


def contrast(image: np.ndarray, mask: np.ndarray) -> BoneContrast:
    """Local bone contrast, HU."""
    return local_bone_contrast(image, mask)


def worst_scores() -> dict[str, Numbers]:
    """What a missing prediction gets, in every window."""
    return {name: dict(WORST) for name in WINDOWS}


def summary(values: list[float]) -> dict[str, float]:
    """Mean and population standard deviation; NaN and infinities go through, as in the official script."""
    with np.errstate(invalid="ignore"):
        return {"mean": float(np.mean(values)), "std": float(np.std(values))}


def _pixelwise(sums: AgreementSums) -> dict[str, Any]:
    """PSNR, MAE, RMSE, NRMSE, NCC, every step in float32."""
    n = sums.voxels
    if n == 0:
        return dict.fromkeys(("psnr", "mae", "rmse", "nrmse", "ncc"), float("nan"))
    mae, mse = (_mean(total, n) for total in sums.first_float32[2:])
    psnr = 100.0 if mse < IDENTICAL else float(10 * np.log10(np.float32(1.0) / mse))
    rmse = np.sqrt(mse)
    span = sums.highest - sums.lowest
    nrmse = 0.0 if span < IDENTICAL else float(rmse / span)
    return {"psnr": psnr, "mae": float(mae), "rmse": float(rmse), "nrmse": nrmse, "ncc": _ncc(sums)}


def _ncc(sums: AgreementSums) -> float:
    """Mean product of deviations over the product of standard deviations; 0 where one image is constant."""
    a, b, product = (_mean(total, sums.voxels) for total in sums.second_float32)
    a, b = np.sqrt(a), np.sqrt(b)
    return 0.0 if a < IDENTICAL or b < IDENTICAL else float(product / (a * b))


def _mean(total: np.float32, n: int) -> np.float32:
    """As numpy.mean of float32 divides: in float64, then rounded."""
    return np.float32(float(total) / n)
