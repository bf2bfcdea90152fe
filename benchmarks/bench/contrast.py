"""Pairs of different contrast with exact labels: real people's label maps, rendered as MR images."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bench.pairs import Pair
from voxbench.geometry import Affine, Grid, LabelMap, resample
from voxbench.simulate import contrast, render

PEOPLE = (("01", "02"), ("03", "04"), ("05", "06"))
CONTRASTS = ("t1", "t2", "inverted")
SHAPE = (160, 224, 192)
FIRST_OUTSIDE = 500
"""Ids from here on lie outside the brain and its fluid."""

SMALLEST = 300
"""Voxels a label must have to take part in the alignment."""


def contrast_pairs(data: Path, cache: Path) -> list[Pair]:
    """T1 of one person fixed; T1, T2-like and inverted images of another moving.

    The moving map is brought over by the affine map that fits the centroids of the common labels best, so that the
    images are affinely aligned, as LUMIR's are, and every method starts from one and the same place.
    """
    folder = cache / "contrast"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _written(data / "brain_labels", folder, fixed, moving, look) for fixed, moving in PEOPLE for look in CONTRASTS
    ]


def _written(source: Path, folder: Path, fixed: str, moving: str, look: str) -> Pair:
    stem = f"{fixed}_{moving}"
    name = {part: folder / f"{stem}_{part}.nii.gz" for part in ("fixed_t1", "fixed_labels", "moving_labels")}
    image = folder / f"{stem}_moving_{look}.nii.gz"
    if not image.is_file() or not all(p.is_file() for p in name.values()):
        a, b = _aligned(_brain(source / f"head_{fixed}.nii.gz"), _brain(source / f"head_{moving}.nii.gz"))
        rng = np.random.default_rng([int(fixed), int(moving)])
        _save(name["fixed_t1"], render(a, contrast("t1", a.ids), rng).array, a.grid)
        _save(name["fixed_labels"], a.array.astype(np.int16), a.grid)
        _save(name["moving_labels"], b.array.astype(np.int16), b.grid)
        rng = np.random.default_rng([int(fixed), int(moving), CONTRASTS.index(look)])
        _save(image, render(b, contrast(look, b.ids), rng).array, b.grid)
    files = (name["fixed_t1"], image, name["fixed_labels"], name["moving_labels"])
    return Pair(f"head_{fixed}<-head_{moving}_{look}", *files, group=f"t1<-{look}")


def _brain(path: Path) -> LabelMap:
    image = nib.load(path)
    array = np.asarray(image.dataobj).astype(np.int32)
    array[array >= FIRST_OUTSIDE] = 0
    return LabelMap(array, Grid(array.shape, Affine(np.asarray(image.affine, np.float64), "world", "voxel")))


def _aligned(fixed: LabelMap, moving: LabelMap) -> tuple[LabelMap, LabelMap]:
    """Both on one 1 mm RAS+ grid about the fixed brain's centre of mass."""
    centre = fixed.grid.world_from_voxel(np.argwhere(fixed.mask()).astype(np.float64)).mean(axis=0)
    grid = Grid.from_parts(SHAPE, origin=centre - (np.array(SHAPE) - 1) / 2)
    here, there = _centroids(fixed), _centroids(moving)
    common = sorted(here.keys() & there.keys())
    points = np.array([(*here[i], 1) for i in common])
    matrix, *_ = np.linalg.lstsq(points, np.array([there[i] for i in common]), rcond=None)
    return resample(fixed, onto=grid), resample(moving, onto=grid, through=Affine.from_parts(matrix[:3].T, matrix[3]))


def _centroids(labels: LabelMap) -> dict[int, np.ndarray]:
    """Centres of mass (mm) of the labels that are not tiny."""
    counts = np.bincount(labels.array.ravel())
    ids = [i for i in range(1, counts.size) if counts[i] >= SMALLEST]
    centres = ndimage.center_of_mass(np.ones(labels.array.shape, np.uint8), labels.array, ids)
    return dict(zip(ids, labels.grid.world_from_voxel(np.array(centres)), strict=True))


def _save(path: Path, array: np.ndarray, grid: Grid) -> None:
    nib.save(nib.Nifti1Image(array, grid.world_from_voxel.matrix), path)
