"""Vertebrae and discs one by one where only classes are known: bodies and pieces, numbered from below."""

from __future__ import annotations

import numpy as np

from voxbench.geometry import LabelMap
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import CANAL, DISC_CLASS, VERTEBRA_CLASS
from voxbench.tasks.instances.centres import CentresConfig, instances
from voxbench.tasks.instances.targets import centres_of, offsets_to
from voxbench.types import AnyArray, Labels

CORE = 0.5
"""Where a vertebra is at least this deep, of the deepest place of all, it is body: arches and processes are thinner."""
FRAGMENT = 1 / 3
"""A piece smaller than this share of the median piece is a part of another, e.g. a spinous process by itself."""
NEAR_MM = 8.0
"""Parts lie no further from what they are a part of."""


def instances_of_classes(classes: LabelMap, settings: CentresConfig = CentresConfig()) -> LabelMap:
    """Numbered structures from a map of classes, as other people's networks predict.

    Vertebrae hang together by the joints of their arches. What is thick is a body; bodies are pieces of their own, and
    every other voxel belongs to the body that it reaches by the fewest steps within the class. Discs, and vertebrae of
    which no body is seen, are pieces whose voxels share faces. Small pieces join the nearest larger one; those too far
    from any, and too small to be one, are left out. Numbers come from below (`tasks.instances.centres`); the canal is
    its largest piece. Two bodies that the classes join stay one: classes alone do not tell them apart.

    Args:
        classes: 0 background, 1 vertebra, 2 disc, 3 canal.
        settings: Least volumes, and what else numbering needs.

    Returns:
        uint8, numbers as in ``geometry.spine_labels``.
    """
    grid = classes.grid
    cleaned = classes.array.astype(np.uint8)
    pieces = np.zeros(grid.shape, np.int32)
    count = CANAL  # so that no piece is called what the canal is
    for kind, least in ((VERTEBRA_CLASS, settings.least_vertebra), (DISC_CLASS, settings.least_disc)):
        there = LabelMap((cleaned == kind).astype(np.uint8), grid)
        raw = _connected(there.array) if kind == DISC_CLASS else _by_bodies(there, least)
        parts = _joined_up(raw, there, least)
        cleaned[(there.array > 0) & (parts == 0)] = 0
        pieces[parts > 0] = parts[parts > 0] + count
        count += int(parts.max(initial=0))
    offsets = offsets_to(pieces, centres_of(pieces, grid.spacing), grid.spacing)
    certain = np.stack([cleaned == kind for kind in range(4)])
    return instances(certain, offsets, grid, settings)


def _connected(mask: AnyArray) -> Labels:
    """Pieces whose voxels share faces, from 1."""
    import cc3d

    return np.asarray(cc3d.connected_components(np.array(mask, order="C"), connectivity=6)).astype(np.int32)


def _by_bodies(there: LabelMap, least_mm3: float) -> Labels:
    """Pieces from 1: what a body reaches, then what no body reaches."""
    import cc3d
    import edt
    from skimage.segmentation import watershed

    mask = there.array > 0
    if not mask.any():
        return mask.astype(np.int32)
    spacing = tuple(float(step) for step in there.grid.spacing)
    depth = edt.edt(mask, anisotropy=spacing, black_border=False)
    thick = np.ascontiguousarray(depth >= CORE * depth[np.isfinite(depth)].max(initial=0.0)) & mask
    cores = np.asarray(cc3d.connected_components(thick, connectivity=26)).astype(np.int32)
    small = np.bincount(cores.ravel()) * there.grid.voxel_volume < least_mm3
    cores[small[cores]] = 0
    reached = watershed(np.zeros(mask.shape, np.uint8), cores, mask=mask).astype(np.int32)
    rest = _connected(mask & (reached == 0))
    return np.where(rest > 0, rest + reached.max(initial=0), reached).astype(np.int32)


def _joined_up(parts: Labels, there: LabelMap, least_mm3: float) -> Labels:
    """Pieces from 1, parts joined to what they belong to; 0 where there is nothing, or nothing believable."""
    voxels = np.bincount(parts.ravel())
    voxels[0] = 0
    volumes = voxels * there.grid.voxel_volume
    believable = volumes >= least_mm3
    if not believable.any():
        return np.zeros_like(parts)
    large = believable & (volumes >= FRAGMENT * np.median(volumes[believable]))
    large |= believable & _at_the_ends(parts, there)
    table = np.where(large, np.arange(len(volumes)), 0)
    small = np.flatnonzero((volumes > 0) & ~large)
    table[small] = _nearest_large(parts, small, large, there)
    alone = small[(table[small] == 0) & believable[small]]
    table[alone] = alone
    dense = np.searchsorted(np.unique(np.append(table, 0)), table).astype(np.int32)
    return dense[parts]


def _at_the_ends(parts: Labels, there: LabelMap) -> AnyArray:
    """Pieces that the image cuts above or below: small, and yet not a part of another."""
    axis = Reordering.to(there.grid).axes[2]
    cut = np.zeros(int(parts.max()) + 1, bool)
    for end in (0, -1):
        cut[np.unique(np.take(parts, end, axis=axis))] = True
    cut[0] = False
    return cut


def _nearest_large(parts: Labels, small: AnyArray, large: AnyArray, there: LabelMap) -> AnyArray:
    """Of small pieces the nearest large one; 0 where that is too far."""
    from scipy.ndimage import binary_erosion
    from scipy.spatial import KDTree

    spacing = np.asarray(there.grid.spacing, np.float64)
    main = large[parts]
    inner = np.asarray(binary_erosion(main), bool)
    border = np.argwhere(main & ~inner)
    owner = np.append(parts[tuple(border.T)], 0)  # the tree answers with its size where all is too far
    where = np.argwhere(np.isin(parts, small))
    found = np.zeros(int(parts.max()) + 1, np.int64)
    if len(where):
        away, nearest = (
            np.asarray(a) for a in KDTree(border * spacing).query(where * spacing, distance_upper_bound=NEAR_MM)
        )
        order = np.argsort(away, kind="stable")
        pieces, first = np.unique(parts[tuple(where[order].T)], return_index=True)
        found[pieces] = owner[nearest[order[first]].astype(np.int64)]
    return found[small]
