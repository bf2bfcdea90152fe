"""LNQ 2023's submission: one .mha a case, bytes of 0 and 1 on the CT's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.challenges.lnq2023.cases import fits
from voxbench.errors import FileReadError, GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.io import read_grid, read_labels, write_labels

IMAGES = ("-ct.nrrd", "-ct.nii.gz", "-ct.mha")
ENDINGS = tuple(
    f"{part}{suffix}" for part in ("-seg", "") for suffix in (".mha", ".nrrd", ".seg.nrrd", ".nii.gz", ".nii", ".mgz")
)
WRITTEN = "-seg.mha"


@dataclass(frozen=True)
class Packed:
    """One case of a submission.

    Attributes:
        case: Its name.
        file: What was written, without its folder.
        voxels: How many are node.
        note: What was done to the prediction; empty if nothing but the format.
    """

    case: str
    file: str
    voxels: int
    note: str = ""


def images_in(folder: Path) -> Mapping[str, Path]:
    """The CT of every case below a folder, by the case's name.

    Raises:
        FileReadError: There are none, or one case has two.
    """
    found: dict[str, Path] = {}
    for ending in IMAGES:
        for path in sorted(folder.rglob(f"[!.]*{ending}")):
            case = path.name.removesuffix(ending)
            if case in found:
                raise FileReadError(f"{case}: two CTs\n  {found[case]}\n  {path}")
            found[case] = path
    if not found:
        raise FileReadError(f"{folder}: no CT here\n  expected  <case>{IMAGES[0]}, e.g. lnq2023-test-0002{IMAGES[0]}")
    return dict(sorted(found.items()))


def predictions_for(folder: Path, cases: Mapping[str, Path], fill_missing: bool) -> Mapping[str, Path | None]:
    """Every case's prediction; None where an empty one is to be written.

    Raises:
        FileReadError: Some are missing and that is not allowed (all are named), or a case has several.
    """
    found: dict[str, Path | None] = {}
    for case in cases:
        there = [folder / f"{case}{ending}" for ending in ENDINGS if (folder / f"{case}{ending}").is_file()]
        if len(there) > 1:
            raise FileReadError(
                f"{case}: {len(there)} predictions, one is expected\n  " + "\n  ".join(str(path) for path in there)
            )
        found[case] = there[0] if there else None
    missing = [case for case, path in found.items() if path is None]
    if missing and not fill_missing:
        raise FileReadError(
            f"{folder}: {len(missing)} of {len(cases)} predictions are missing; nothing is packed\n  "
            + "\n  ".join(f"{case}{WRITTEN}" for case in missing)
            + "\n  provide all of them, or give --fill-missing for empty masks (the worst Dice and ASSD)"
        )
    return found


def pack(case: str, image: Path, prediction: Path | None, out: Path) -> Packed:
    """Write one case.

    Args:
        case: Its name.
        image: Its CT.
        prediction: Any label map; above 0 is node. None gives an empty mask.
        out: A folder that exists.

    Raises:
        GridMismatchError: The prediction does not lie on the CT's grid; both are shown.
        InputError: A file cannot be used.
        FileWriteError: The file cannot be written.
    """
    grid = read_grid(image)
    mask, note = (np.zeros(grid.shape, np.uint8), "no prediction: empty")
    if prediction is not None:
        mask, note = _mask(prediction, grid, image)
    write_labels(out / f"{case}{WRITTEN}", LabelMap(mask, grid))
    return Packed(case, f"{case}{WRITTEN}", int(np.count_nonzero(mask)), note)


def _mask(path: Path, grid: Grid, image: Path) -> tuple[np.ndarray, str]:
    labels = read_labels(path)
    nifti = ".nii" in path.name or ".nii" in image.name
    if not fits(grid, labels.grid, nifti):
        raise GridMismatchError(
            f"{path}: not on the CT's grid\n  CT          {grid!r}\n  prediction  {labels.grid!r}\n"
            "  predict on the CT as it is, or bring it back first: voxbench.resample(labels, onto=ct.grid)"
        )
    mask = (labels.array > 0).astype(np.uint8)
    ids = labels.ids
    if ids and ids[0] < 0:
        raise InputError(f"{path}: label {ids[0]}; a prediction is 0, and above 0 in nodes (is this an image?)")
    note = "" if set(ids) <= {1} else f"labels {', '.join(map(str, ids[:5]))}{' ...' if len(ids) > 5 else ''} made 1"
    return mask, note if mask.any() else "an empty mask: Dice 0, no ASSD"
