"""How much two label maps share, label by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer

from voxbench.metrics.label_counts import count_jointly
from voxbench.types import Labels

OtherLabels = Integer[np.ndarray, "x y z"]
"""Labels whose shape is still to be compared."""

_LARGEST_COUNTED_ID = 1 << 20


@dataclass(frozen=True, eq=False)
class Overlap:
    """Voxel counts of two label maps, per label.

    Attributes:
        labels: The ids.
        reference: Voxels of each in the reference, int64.
        prediction: Voxels of each in the prediction.
        shared: Voxels that both give the label.
    """

    labels: tuple[int, ...]
    reference: np.ndarray
    prediction: np.ndarray
    shared: np.ndarray

    @property
    def dice(self) -> np.ndarray:
        """Twice the shared voxels over the sum of both; NaN where neither has the label."""
        with np.errstate(invalid="ignore"):
            return 2.0 * self.shared / (self.reference + self.prediction)

    @property
    def iou(self) -> np.ndarray:
        """Shared voxels over those of either; NaN where neither has the label."""
        with np.errstate(invalid="ignore"):
            return self.shared / (self.reference + self.prediction - self.shared)

    @property
    def mean_dice(self) -> float:
        """Mean over the labels that at least one map has; NaN if there are none."""
        defined = self.dice[~np.isnan(self.dice)]
        return float(defined.mean()) if defined.size else float("nan")


def overlap(reference: Labels, prediction: OtherLabels, labels: Sequence[int] | None = None) -> Overlap:
    """Count the voxels of every label in both maps and in their intersection.

    Args:
        reference: What is scored against.
        prediction: What is scored, on the same grid.
        labels: The ids to count, in this order; by default all that occur in either map, 0 left out.

    Raises:
        GridMismatchError: The shapes differ.
    """
    if labels is None:
        labels = [int(i) for i in np.union1d(np.unique(reference), np.unique(prediction)) if i != 0]
    return Overlap(tuple(int(i) for i in labels), *count_jointly(reference, prediction, labels).voxels)


def count_labels(ids: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Number of voxels of each label, int64, in the order of ``labels``."""
    wanted = np.asarray(labels, dtype=np.int64)
    if ids.size and (ids.min() < 0 or ids.max() > _LARGEST_COUNTED_ID):
        present, occurrences = np.unique(ids, return_counts=True)
        table = dict(zip(present.tolist(), occurrences.tolist(), strict=True))
        return np.array([table.get(int(i), 0) for i in wanted], dtype=np.int64)
    occurrences = np.bincount(ids.ravel())
    known = (wanted >= 0) & (wanted < occurrences.size)
    return np.where(known, occurrences[np.where(known, wanted, 0)] if occurrences.size else 0, 0).astype(np.int64)
