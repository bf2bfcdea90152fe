"""Robust Hausdorff distance of every label in two maps, by surface elements, all labels at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer

from voxbench import _core
from voxbench.metrics.label_counts import LabelCounts, count_jointly
from voxbench.metrics.surface import surface_distances
from voxbench.metrics.surface_elements import element_areas
from voxbench.types import Labels

OtherLabels = Integer[np.ndarray, "x y z"]
"""Labels whose shape is still to be compared."""


def label_hausdorff(
    first: Labels,
    second: OtherLabels,
    labels: Sequence[int],
    percent: float = 95.0,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """The larger of the two directed distances within which a share of each label's surface lies.

    Equal to ``surface_distances(first == label, second == label, spacing).hausdorff(percent)``, to the last bit.

    Args:
        first: Ids.
        second: Ids, on the same grid.
        labels: The ids to measure.
        percent: The share of the area, percent.
        spacing: Distance between voxel centres along i, j, k, mm.

    Returns:
        Per label, mm, float64 (n,): infinite if one map lacks it, NaN if both do.

    Raises:
        GridMismatchError: The shapes differ.
    """
    counts = count_jointly(first, second, labels)
    result = np.full(len(labels), np.nan)
    result[(counts.voxels[:2] > 0).any(axis=0)] = np.inf
    both = np.flatnonzero((counts.voxels[:2] > 0).all(axis=0))
    squared = _squared(counts, both, percent / 100, spacing)
    worst = squared.max(axis=1)
    result[both] = np.sqrt(worst.clip(min=0).astype(np.float64)) * float(spacing[0])
    for place, label in enumerate(both):
        if worst[place] < 0:
            result[label] = _slowly(counts, int(label), percent, spacing)
    return result


def _squared(counts: LabelCounts, labels: np.ndarray, share: float, spacing: tuple[float, float, float]) -> np.ndarray:
    """Squared distances in voxels, both ways, int64 (n, 2); negative where the core leaves it to us."""
    if not labels.size or not spacing[0] == spacing[1] == spacing[2]:
        return np.full((labels.size, 2), -1, np.int64)
    boxes = np.ascontiguousarray(counts.joint_boxes()[labels])
    sizes = np.prod(boxes[:, 3:] - boxes[:, :3], axis=1)
    order = np.argsort(-sizes, kind="stable")  # the largest first, so that threads end together
    areas = np.array(element_areas((float(spacing[0]),) * 3))
    result = np.empty((labels.size, 2), np.int64)
    ids = np.ascontiguousarray(counts.ids[labels][order], dtype=np.int64)
    result[order] = _core.surface_quantiles(counts.first, counts.second, ids, boxes[order], areas, share)
    return result


def _slowly(counts: LabelCounts, place: int, percent: float, spacing: tuple[float, float, float]) -> float:
    low, high = np.split(counts.joint_boxes()[place], 2)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    label = counts.ids[place]
    masks = [np.ascontiguousarray(labels[box] == label) for labels in (counts.first, counts.second)]
    return surface_distances(masks[0], masks[1], spacing).hausdorff(percent)
