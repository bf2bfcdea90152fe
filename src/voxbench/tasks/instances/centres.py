"""From class probabilities and offsets to numbered vertebrae, discs and the canal, in one pass and without chance.

Every voxel of a vertebra votes for the place it points to; votes heap up at the centres. Heaps become seeds, seeds that
stand beside the spine's curve are dropped, every voxel goes to the seed it points to, and what points nowhere in
particular is flooded from its neighbours. The curve gives the order, the order the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import GridMismatchError
from voxbench.geometry import Grid, LabelMap
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import CANAL, CANAL_CLASS, DISC_CLASS, MOST, PARTIAL, VERTEBRA_CLASS
from voxbench.tasks.instances.numbering import Standing, numbered
from voxbench.tasks.instances.strays import ENOUGH, belonging, within
from voxbench.tasks.instances.targets import votes_of
from voxbench.types import PlanarVoxelVectors

CELL_MM = 2.0
"""Votes are counted in cells of this size."""
APART_MM = 7.0
"""A disc's centre nearer to that of a vertebra is a part of the vertebra taken for a disc."""
MARGIN_MM = 24.0
"""Votes may lie this far outside of the image (a vertebra of which only the arch is seen)."""


class CentresConfig(Config):
    """How votes become structures; lengths in mm, volumes in mm^3."""

    spread_mm: float = Field(default=3.0, gt=0, description="Votes are smoothed by a Gaussian of this width.")
    vertebra_gap_mm: float = Field(default=14.0, gt=0, description="Centres of two vertebrae are no nearer.")
    disc_gap_mm: float = Field(default=12.0, gt=0, description="Centres of two discs are no nearer.")
    least_vertebra: float = Field(default=300.0, ge=0, description="Smallest volume of a vertebra.")
    least_disc: float = Field(default=100.0, ge=0, description="Smallest volume of a disc.")
    least_lowest_share: float = Field(
        default=0.25, ge=0, lt=1, description="Smallest volume of the lowest vertebra, of the median one."
    )
    least_disc_share: float = Field(default=0.07, ge=0, lt=1, description="Smallest disc, of the largest one.")
    trust_mm: float = Field(default=9.0, gt=0, description="A vote farther from every centre is not counted.")
    beside_mm: float = Field(default=45.0, gt=0, description="A centre farther from the spine's curve is dropped.")
    fragment: float = Field(default=0.0, ge=0, description="Pieces of a structure smaller than this are left out.")
    mark_partial: bool = Field(
        default=True, description="Add 100 to vertebrae that reach the image's upper or lower end."
    )


@dataclass(frozen=True, eq=False)
class _Heaps:
    """What was found of one class.

    Attributes:
        kind: Of what.
        index: Voxels, (n, 3).
        votes: Where they point, mm along the array's axes, (n, 3).
        seeds: Centres, likewise, (m, 3).
        sizes: Volumes of what points to them, mm^3, (m,).
    """

    kind: Literal["vertebra", "disc"]
    index: np.ndarray
    votes: np.ndarray
    seeds: np.ndarray
    sizes: np.ndarray

    def only(self, keep: np.ndarray) -> _Heaps:
        """With these centres alone."""
        return replace(self, seeds=self.seeds[keep], sizes=self.sizes[keep])


def instances(
    probabilities: np.ndarray, offsets: PlanarVoxelVectors, grid: Grid, settings: CentresConfig = CentresConfig()
) -> LabelMap:
    """Numbered structures from a network's maps.

    Args:
        probabilities: Of background, vertebra, disc and canal, (4, i, j, k); the largest decides.
        offsets: As in `Targets`.
        grid: Where the voxels lie; any orientation, the spine's upper end is where the world's z grows.
        settings: How votes become structures.

    Returns:
        uint8, numbers as in ``geometry.spine_labels``. The canal is its largest piece.

    Raises:
        GridMismatchError: The maps are not of the grid's shape.
    """
    if probabilities.shape != (4, *grid.shape) or offsets.shape != (3, *grid.shape):
        raise GridMismatchError(
            f"maps and grid differ in shape\n  probabilities  {probabilities.shape}, expected {(4, *grid.shape)}\n"
            f"  offsets        {offsets.shape}, expected {(3, *grid.shape)}"
        )
    classes = probabilities.argmax(axis=0).astype(np.uint8)
    vertebrae = _heaps("vertebra", classes == VERTEBRA_CLASS, offsets, grid, settings)
    discs = _heaps("disc", classes == DISC_CLASS, offsets, grid, settings)
    apart, _ = _nearest(discs.seeds, vertebrae.seeds)
    discs = discs.only(apart > APART_MM)
    vertebrae, discs = _along_the_curve(vertebrae, discs, grid, settings)
    vertebrae, discs = _of_one_spine(vertebrae, discs, grid, settings)
    heights = _heights(np.concatenate([vertebrae.seeds, discs.seeds]), grid)
    seeds = [one for one in (vertebrae, discs) for _ in one.seeds]
    numbers = numbered([Standing(one.kind, float(height)) for one, height in zip(seeds, heights, strict=True)])
    out = np.zeros(grid.shape, np.uint8)
    for one, some in ((vertebrae, numbers[: len(vertebrae.seeds)]), (discs, numbers[len(vertebrae.seeds) :])):
        _paint(out, one, np.array([0, *some], np.uint8), grid, settings)
    out[_largest(classes == CANAL_CLASS)] = CANAL
    if settings.mark_partial:
        for number in _cut(out, grid):
            out[out == number] = PARTIAL + number
    return LabelMap(out, grid)


def _heaps(
    kind: Literal["vertebra", "disc"],
    where: np.ndarray,
    offsets: PlanarVoxelVectors,
    grid: Grid,
    settings: CentresConfig,
) -> _Heaps:
    """Votes of a class and the centres they make."""
    index, votes = votes_of(offsets, where, grid.spacing)
    gap, least = (
        (settings.vertebra_gap_mm, settings.least_vertebra)
        if kind == "vertebra"
        else (settings.disc_gap_mm, settings.least_disc)
    )
    seeds = _peaks(votes, np.asarray(grid.shape) * grid.spacing, gap, settings.spread_mm)
    sizes = np.zeros(len(seeds))
    for _ in range(2):
        away, nearest = _nearest(votes, seeds)
        near = away <= settings.trust_mm
        counts = np.bincount(nearest[near], minlength=len(seeds))[: len(seeds)]
        sums = [np.bincount(nearest[near], votes[near, a], minlength=len(seeds))[: len(seeds)] for a in range(3)]
        share = settings.least_disc_share if kind == "disc" else 0.0
        keep = counts * grid.voxel_volume >= max(least, share * counts.max(initial=0) * grid.voxel_volume, 1e-9)
        seeds = (np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None])[keep]
        sizes = counts[keep] * grid.voxel_volume
    return _Heaps(kind, index, votes, seeds, sizes)


def _peaks(votes: np.ndarray, size: np.ndarray, gap: float, spread: float) -> np.ndarray:
    """Where votes heap up, highest first, no two nearer than the gap; (m, 3), mm."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    shape = np.ceil((size + 2 * MARGIN_MM) / CELL_MM).astype(int) + 1
    cells = np.floor((votes + MARGIN_MM) / CELL_MM).astype(np.int64)
    inside = ((cells >= 0) & (cells < shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(cells[inside].T), tuple(shape))
    heap = np.bincount(flat, minlength=int(shape.prod())).reshape(shape).astype(np.float32)
    heap = gaussian_filter(heap, spread / CELL_MM, mode="constant", truncate=3)
    if not heap.any():
        return np.zeros((0, 3))
    top = (heap == maximum_filter(heap, 5)) & (heap > 0.02 * heap.max())
    places = np.argwhere(top)
    places = places[np.argsort(-heap[top], kind="stable")]
    chosen: list[np.ndarray] = []
    for place in (places + 0.5) * CELL_MM - MARGIN_MM:
        if all(np.linalg.norm(place - other) >= gap for other in chosen):
            chosen.append(place)
    return np.array(chosen).reshape(-1, 3)


def _nearest(votes: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every vote the distance to the nearest seed, mm, and which it is."""
    from scipy.spatial import KDTree

    if not len(seeds) or not len(votes):
        return np.full(len(votes), np.inf), np.zeros(len(votes), np.intp)
    away, nearest = KDTree(seeds).query(votes)
    return np.asarray(away), np.asarray(nearest, np.intp)


def _along_the_curve(vertebrae: _Heaps, discs: _Heaps, grid: Grid, settings: CentresConfig) -> tuple[_Heaps, _Heaps]:
    """Without the seeds that lie beside the curve through the others."""
    seeds = np.concatenate([vertebrae.seeds, discs.seeds])
    keep = np.ones(len(seeds), bool)
    heights = _heights(seeds, grid)
    while keep.sum() > 4:
        away = np.zeros(len(seeds))
        for one in np.flatnonzero(keep):
            others = keep.copy()
            others[one] = False
            away[one] = _beside(heights, seeds, int(one), others)
        worst = int(away.argmax())
        if away[worst] <= settings.beside_mm:
            break
        keep[worst] = False
    count = len(vertebrae.seeds)
    return vertebrae.only(keep[:count]), discs.only(keep[count:])


def _of_one_spine(vertebrae: _Heaps, discs: _Heaps, grid: Grid, settings: CentresConfig) -> tuple[_Heaps, _Heaps]:
    """Without what stands apart from the rest, and small pieces below it."""
    count = len(vertebrae.seeds)
    heights = _heights(np.concatenate([vertebrae.seeds, discs.seeds]), grid)
    bodies, between = heights[:count], heights[count:]
    keep = belonging(bodies, vertebrae.sizes, settings.least_lowest_share)
    few = count < ENOUGH
    keep_discs = belonging(between, discs.sizes, 0.0) if few else within(between, bodies[keep])
    return vertebrae.only(keep), discs.only(keep_discs)


def _beside(heights: np.ndarray, seeds: np.ndarray, one: int, others: np.ndarray) -> float:
    """How far a seed lies from a parabola through up to six others nearest in height, mm."""
    near = np.flatnonzero(others)
    near = near[np.argsort(np.abs(heights[near] - heights[one]), kind="stable")[:6]]
    terms = np.stack([(heights[near] - heights[one]) ** power for power in range(3 if len(near) > 4 else 2)], axis=1)
    line = np.linalg.lstsq(terms, seeds[near], rcond=None)[0][0]  # where the curve is at this seed's height
    return float(np.linalg.norm(line - seeds[one]))


def _heights(seeds: np.ndarray, grid: Grid) -> np.ndarray:
    """How far up along the spine seeds are, mm: along their longest axis, which points up, if there are enough."""
    up = grid.direction[2]  # of every array axis the share that points up
    if len(seeds) >= 3:
        _, _, axes = np.linalg.svd(seeds - seeds.mean(axis=0), full_matrices=False)
        longest = axes[0] * np.sign(axes[0] @ up)
        if longest @ up > 0.7:
            up = longest
    return seeds @ up


def _paint(out: np.ndarray, heaps: _Heaps, numbers: np.ndarray, grid: Grid, settings: CentresConfig) -> None:
    """Every voxel with the number of the seed it points to, in place; numbers[0] is for none."""
    if not len(heaps.index) or not len(heaps.seeds):
        return
    away, nearest = _nearest(heaps.votes, heaps.seeds)
    low, high = heaps.index.min(axis=0), heaps.index.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    seeds = np.zeros(high - low, np.int32)
    mask = np.zeros(high - low, bool)
    here = tuple((heaps.index - low).T)
    mask[here] = True
    seeds[here] = np.where(away <= settings.trust_mm, nearest + 1, 0)
    if settings.fragment > 0:
        _leave_out_fragments(seeds, settings.fragment / grid.voxel_volume)
    if (mask & (seeds == 0)).any():
        from skimage.segmentation import watershed

        flat = np.zeros(seeds.shape, np.uint8)
        seeds = watershed(flat, markers=seeds, mask=_touching(mask, seeds))
    out[box][mask] = numbers[seeds[mask]]


def _touching(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The pieces of a mask that hold a seed's voxel."""
    import cc3d

    pieces = cc3d.connected_components(mask, connectivity=6)
    held = np.zeros(int(pieces.max()) + 1, bool)
    held[np.unique(pieces[seeds > 0])] = True
    held[0] = False
    return held[pieces]


def _leave_out_fragments(seeds: np.ndarray, least_voxels: float) -> None:
    """Small pieces point nowhere from now on, in place."""
    import cc3d

    pieces = cc3d.connected_components(seeds, connectivity=26)
    small = np.bincount(pieces.ravel()) < least_voxels
    small[0] = False
    seeds[small[pieces]] = 0


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask, voxels that share a corner included."""
    import cc3d

    if not mask.any():
        return mask
    pieces = cc3d.connected_components(mask, connectivity=26)
    counts = np.bincount(pieces.ravel())
    counts[0] = 0
    return pieces == counts.argmax()


def _cut(labels: np.ndarray, grid: Grid) -> list[int]:
    """Vertebrae that reach the first or last layer across the spine."""
    axis = Reordering.to(grid).axes[2]
    ends = np.concatenate([np.take(labels, end, axis=axis).ravel() for end in (0, -1)])
    return [int(number) for number in np.unique(ends) if 0 < number <= MOST]
