"""The official numbers of one pair, quirk by quirk; arrays in, numbers out.

Source of every quirk: evaluation.py and utils.py of the organisers (LUMIR25_L2R25, LUMIR25_Evalution_GC). Everything is
in voxels, whatever the spacing. An official result is a pair (mean, detailed).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from voxbench import _core
from voxbench.metrics import (
    Diffeomorphism,
    diffeomorphism,
    label_centroids,
    label_hausdorff,
    overlap,
    sd_log_jacobian,
)
from voxbench.metrics.overlap import count_labels

Result = dict[str, Any]
UNIT = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class WarpedLabels:
    """A pair's label maps, the moving one pulled back.

    Attributes:
        fixed: Labels of the fixed image.
        moving: Labels of the moving image, unwarped.
        displacement: Planar (3, i, j, k), voxels.
    """

    fixed: np.ndarray
    moving: np.ndarray
    displacement: np.ndarray

    @cached_property
    def warped(self) -> np.ndarray:
        """``map_coordinates(moving, identity + u, order=0)``, bit for bit: 0 outside, halves rounded up, float64."""
        source = np.ascontiguousarray(self.moving)
        out = np.empty(self.fixed.shape, source.dtype)
        _core.warp_labels(source, self.displacement, out)
        return out

    def undefined(self, labels: Sequence[int]) -> np.ndarray:
        """True for labels that the fixed or the *unwarped* moving map lacks; a label lost by the warp counts."""
        return (count_labels(self.fixed, labels) == 0) | (count_labels(self.moving, labels) == 0)

    def lost(self, labels: Sequence[int]) -> tuple[int, ...]:
        """Labels that both maps have and the warped one has not."""
        gone = ~self.undefined(labels) & (count_labels(self.warped, labels) == 0)
        return tuple(label for label, lost in zip(labels, gone, strict=True) if lost)


def official_dice(labels: WarpedLabels, ids: Sequence[int]) -> Result:
    """Dice per label: NaN where undefined, 0 where the warp lost it; the mean leaves NaN out."""
    values = overlap(labels.fixed, labels.warped, ids).dice
    values[labels.undefined(ids)] = np.nan
    return {"mean": nan_mean(values), "detailed": values.tolist()}


def official_hd95(labels: WarpedLabels, ids: Sequence[int], spacing: tuple[float, float, float] = UNIT) -> Result:
    """HD95 per label: NaN where undefined, infinite where the warp lost it; the mean leaves only NaN out.

    The official spacing is 1 everywhere, also for images of another.
    """
    values = label_hausdorff(labels.fixed, labels.warped, ids, 95.0, spacing)
    values[labels.undefined(ids)] = np.nan
    return {"mean": nan_mean(values), "detailed": values.tolist()}


def official_tre(
    labels: WarpedLabels, spacing: tuple[float, float, float] = UNIT, *, drop_lowest: bool = True
) -> Result:
    """Mean distance of landmark centroids; one landmark lost by the warp makes it NaN.

    Args:
        labels: Landmark maps.
        spacing: Officially 1, although the script reads the images' own.
        drop_lowest: Officially the lowest id of the fixed map is taken for the background, whatever it is.
    """
    ids = [int(i) for i in np.unique(labels.fixed)]
    ids = ids[1:] if drop_lowest else [i for i in ids if i != 0]
    apart = (label_centroids(labels.warped, ids) - label_centroids(labels.fixed, ids)) * spacing
    errors = np.sqrt((apart**2).sum(axis=1))
    mean = float(np.mean(errors)) if errors.size else float("nan")
    return {"mean": mean, "detailed": mean}


def official_ndv(displacement: np.ndarray, fixed_image: np.ndarray) -> tuple[Result, Diffeomorphism]:
    """Non-diffeomorphic volume in percent of the fixed image's positive voxels, the outermost layer left out."""
    measured = diffeomorphism(displacement, fixed_image > 0)
    return {"mean": measured.volume_percent, "detailed": measured.volume_percent}, measured


def official_sdlogj(displacement: np.ndarray, mask: np.ndarray | None) -> tuple[Result, Result]:
    """SD log J with 3 added to J and two layers cropped; and the number of foldings, counted after both: always 0."""
    value = sd_log_jacobian(displacement, mask, shift=3.0, crop=2)
    return {"mean": value, "detailed": value}, {"mean": 0.0, "detailed": 0.0}


def aggregate(means: Sequence[float], quantile: float = 0.3) -> dict[str, float]:
    """Mean, population standard deviation and the quantile called '30' over the cases; NaN and infinity spread."""
    values = np.array(means, dtype=np.float64)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return {
            "mean": float(values.mean()),
            "std": float(values.std()),
            "30": float(np.quantile(values, quantile)),
        }


def nan_mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN if nothing is."""
    if np.isnan(values).all():
        return float("nan")
    return float(np.nanmean(values))
