"""Voxels and boxes of every label in two maps on one grid, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer

from voxbench import _core
from voxbench.errors import GridMismatchError
from voxbench.types import Labels

OtherLabels = Integer[np.ndarray, "x y z"]
"""Labels whose shape is still to be compared."""

_LARGEST_TABLE = 1 << 20


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """What two label maps hold of some labels.

    Attributes:
        first: The first map, as counted; of one dtype with the second.
        second: The second map.
        ids: The labels as they are called in these two; -1 for one that neither has.
        voxels: Of each in the first map, in the second, and where both have it; int64 (3, n).
        boxes: Of each in either map: low (i, j, k) and high (exclusive), int64 (2, n, 6); low >= high where absent.
    """

    first: np.ndarray
    second: np.ndarray
    ids: np.ndarray
    voxels: np.ndarray
    boxes: np.ndarray

    def joint_boxes(self) -> np.ndarray:
        """The smallest box that holds a label in both maps, int64 (n, 6)."""
        low, high = self.boxes[:, :, :3].min(axis=0), self.boxes[:, :, 3:].max(axis=0)
        return np.concatenate((low, high), axis=1)


def count_jointly(first: Labels, second: OtherLabels, labels: Sequence[int]) -> LabelCounts:
    """Count labels in two maps.

    Args:
        first: Ids.
        second: Ids, on the same grid.
        labels: The ids to count, in this order; one may be named twice.

    Raises:
        GridMismatchError: The shapes differ.
    """
    if first.shape != second.shape:
        raise GridMismatchError(
            f"the label maps differ in shape\n  reference   {first.shape}\n  prediction  {second.shape}"
        )
    wanted, back = np.unique(np.asarray(labels, dtype=np.int64), return_inverse=True)
    if not (wanted.size and first.size):
        none = np.zeros((2, back.size, 6), np.int64)
        return LabelCounts(first, second, np.full(back.size, -1), np.zeros((3, back.size), np.int64), none)
    if wanted[0] < 0 or wanted[-1] >= _LARGEST_TABLE:
        # Too far apart for a table: the maps are renumbered, what is not wanted as -1.
        maps = [_ranks(labels, wanted) for labels in (first, second)]
        ids = np.arange(wanted.size)
    else:
        maps, ids = _alike(first, second), wanted
    rank = np.full(int(ids[-1]) + 1, -1, np.int32)
    rank[ids] = np.arange(ids.size, dtype=np.int32)
    voxels, boxes = _core.joint_counts(maps[0], maps[1], rank, ids.size)
    there = np.where(voxels[:2].any(axis=0), ids, -1)
    return LabelCounts(maps[0], maps[1], there[back], voxels[:, back], boxes[:, back])


def _alike(first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    """Both contiguous and of one dtype the core takes."""
    dtype = np.result_type(first, second)
    dtype = np.dtype(np.int64) if dtype.kind not in "iu" or dtype == np.uint64 else dtype
    return [np.ascontiguousarray(labels, dtype=dtype) for labels in (first, second)]


def _ranks(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(wanted, labels), wanted.size - 1).astype(np.int32)
    return np.ascontiguousarray(np.where(wanted[place] == labels, place, np.int32(-1)), dtype=np.int32)
