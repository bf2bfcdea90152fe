"""Pairs of images to register: where they lie, and which labels say how well it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

PEOPLE = ("symA", "condA", "fsA")
FROM_FREESURFER = {
    41: 1, 43: 3, 44: 4, 46: 5, 47: 6, 49: 7, 50: 8, 51: 9, 52: 10, 14: 11, 15: 12, 16: 13, 53: 14, 54: 15, 58: 16,
    60: 17,
    2: 21, 4: 23, 5: 24, 7: 25, 8: 26, 10: 27, 11: 28, 12: 29, 13: 30, 17: 34, 18: 35, 26: 36, 28: 37,
}  # fmt: skip
"""Ids of the segmentation network's 31 structures by FreeSurfer's; found by overlap, see benchmarks/README.md."""
CORTEX = ((12100, 13000, 2), (11100, 12000, 22))
"""FreeSurfer's parcels (Destrieux) from, to, and the network's cortex of that side."""


@dataclass(frozen=True)
class Pair:
    """Two images on one grid with their label maps.

    Attributes:
        name: ``fixed<-moving``.
        fixed, moving: Image files.
        fixed_labels, moving_labels: Label files; equal ids mean the same structure.
        group: Pairs of one group are averaged together.
    """

    name: str
    fixed: Path
    moving: Path
    fixed_labels: Path
    moving_labels: Path
    group: str


def brain_pairs(data: Path, cache: Path) -> list[Pair]:
    """All ordered pairs of symA and condA (network labels), and of each with fsA (FreeSurfer's ids translated)."""
    folder = data / "brain"
    files = {p: (folder / f"{p}_t1.nii.gz", folder / f"{p}_labels.nii.gz") for p in ("symA", "condA")}
    upright = {p: _upright(*files[p], folder / "fsA_t1.nii.gz", cache) for p in files}
    upright["fsA"] = (folder / "fsA_t1.nii.gz", _translated(folder / "fsA_labels.nii.gz", cache))
    pairs = [_pair(a, b, files, "network") for a, b in (("symA", "condA"), ("condA", "symA"))]
    chosen = (("fsA", "symA"), ("symA", "fsA"), ("fsA", "condA"), ("condA", "fsA"))
    return pairs + [_pair(a, b, upright, "FreeSurfer") for a, b in chosen]


def _pair(fixed: str, moving: str, files: dict[str, tuple[Path, Path]], group: str) -> Pair:
    return Pair(f"{fixed}<-{moving}", files[fixed][0], files[moving][0], files[fixed][1], files[moving][1], group)


def _upright(image: Path, labels: Path, like: Path, cache: Path) -> tuple[Path, Path]:
    """Copies turned half round the front-back axis and shifted by whole voxels onto the centre of mass of ``like``.

    The files of symA and condA say RAS+, but their brains lie upside down; fsA's does not.
    """
    reference = nib.load(like)
    turned = np.asarray(nib.load(image).dataobj)[::-1, :, ::-1]
    shift = np.round(_centre(np.asarray(reference.dataobj)) - _centre(turned)).astype(int)
    copies = []
    for path in (image, labels):
        source = nib.load(path)
        array = np.roll(np.asarray(source.dataobj)[::-1, :, ::-1], shift, (0, 1, 2))
        copies.append(cache / f"upright_{path.name}")
        if not copies[-1].is_file():
            nib.save(nib.Nifti1Image(np.ascontiguousarray(array), reference.affine), copies[-1])
    return copies[0], copies[1]


def _centre(array: np.ndarray) -> np.ndarray:
    return np.argwhere(array > 0).mean(axis=0)


def _translated(labels: Path, cache: Path) -> Path:
    path = cache / "fsA_network_ids.nii.gz"
    if not path.is_file():
        nib.save(network_ids(nib.load(labels)), path)
    return path


def network_ids(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """FreeSurfer's labels under the network's ids; what the network does not know becomes background."""
    source = np.asarray(image.dataobj).astype(np.int32)
    out = np.zeros(source.shape, np.int16)
    for old, new in FROM_FREESURFER.items():
        out[source == old] = new
    for start, stop, new in CORTEX:
        out[(source >= start) & (source < stop)] = new
    return nib.Nifti1Image(out, image.affine)
