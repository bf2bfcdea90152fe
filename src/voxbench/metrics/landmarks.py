"""Target registration error: how far landmarks lie apart after mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Integer

from voxbench.errors import GridMismatchError
from voxbench.types import Labels, Points

OtherPoints = Float64[np.ndarray, "m 3"]
OtherLabels = Integer[np.ndarray, "x y z"]
"""What is still to be compared in shape."""


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """One distance per landmark.

    Attributes:
        ids: The landmarks.
        errors: Distance of each to its partner, float64 (n,), in the unit of the spacing given (mm); NaN if lost.
    """

    ids: tuple[int, ...]
    errors: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over the landmarks found on both sides; NaN if there are none."""
        found = self.errors[~np.isnan(self.errors)]
        return float(found.mean()) if found.size else float("nan")

    @property
    def lost(self) -> tuple[int, ...]:
        """Landmarks without a partner."""
        return tuple(i for i, error in zip(self.ids, self.errors, strict=True) if np.isnan(error))


def point_errors(fixed: Points, mapped: OtherPoints) -> LandmarkErrors:
    """Distances between points in the order given, numbered from 1.

    Args:
        fixed: World points in the fixed image, mm, shape (n, 3).
        mapped: Where the map takes their partners, mm, shape (n, 3).

    Raises:
        GridMismatchError: The numbers of points differ.
    """
    if fixed.shape != mapped.shape:
        raise GridMismatchError(f"as many points are needed on both sides: fixed {fixed.shape}, mapped {mapped.shape}")
    return LandmarkErrors(tuple(range(1, len(fixed) + 1)), np.sqrt(((mapped - fixed) ** 2).sum(axis=1)))


def landmark_errors(
    fixed: Labels,
    warped: OtherLabels,
    ids: Sequence[int] | None = None,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> LandmarkErrors:
    """Distances between the centroids of equal labels in two maps on one grid.

    Args:
        fixed: Landmarks as small blobs of one id each.
        warped: The moving image's landmarks brought onto the fixed grid.
        ids: The landmarks; by default all of ``fixed`` but 0.
        spacing: Distance between voxel centres, mm.

    Raises:
        GridMismatchError: The shapes differ.
    """
    if fixed.shape != warped.shape:
        raise GridMismatchError(f"the landmark maps differ in shape\n  fixed   {fixed.shape}\n  warped  {warped.shape}")
    if ids is None:
        ids = [int(i) for i in np.unique(fixed) if i != 0]
    apart = (label_centroids(warped, ids) - label_centroids(fixed, ids)) * spacing
    return LandmarkErrors(tuple(int(i) for i in ids), np.sqrt((apart**2).sum(axis=1)))


def label_centroids(labels: Labels, ids: Sequence[int]) -> Points:
    """Mean voxel index of each label, float64 (n, 3); NaN for one that does not occur."""
    wanted, back = np.unique(np.asarray(ids, dtype=np.int64), return_inverse=True)
    if not wanted.size:
        return np.empty((0, 3))
    flat = labels.reshape(-1)
    places = np.arange(flat.size) if 0 in wanted else np.flatnonzero(flat)
    values = flat[places]
    rank = np.minimum(np.searchsorted(wanted, values), wanted.size - 1)
    known = wanted[rank] == values
    rank, places = rank[known], places[known]
    counts = np.bincount(rank, minlength=wanted.size)
    sums = [np.bincount(rank, weights=axis, minlength=wanted.size) for axis in np.unravel_index(places, labels.shape)]
    with np.errstate(invalid="ignore"):
        return (np.stack(sums, axis=1) / counts[:, None])[back]
