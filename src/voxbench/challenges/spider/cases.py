"""SPIDER's files: one label map a series, and what its numbers mean for the score.

The numbers themselves are in ``geometry.spine_labels``, the data set's tables and images in ``dataset``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from voxbench.errors import FileReadError, GridMismatchError, InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.geometry.spine_labels import CANAL
from voxbench.io import read_labels, read_volume

NAME = re.compile(r"^\d+_(t1|t2|t2_SPACE)$")
Group = Literal["vertebrae", "discs", "canal"]
GROUPS: tuple[Group, ...] = ("vertebrae", "discs", "canal")


def find_cases(references: Path) -> tuple[str, ...]:
    """The series that have a mask, by name, e.g. ``1_t2``; patients in numerical order.

    Raises:
        FileReadError: There are none, or a file is named otherwise.
    """
    names = [path.name.removesuffix(".mha") for path in references.glob("[!.]*.mha")]
    wrong = sorted(name for name in names if not NAME.match(name))
    if wrong or not names:
        found = "no case here" if not names else "not a name of SPIDER's: " + ", ".join(f"{n}.mha" for n in wrong)
        raise FileReadError(f"{references}: {found}\n  expected  <patient>_<t1, t2 or t2_SPACE>.mha, e.g. 1_t2.mha")
    return tuple(sorted(names, key=lambda name: (int(name.split("_")[0]), name)))


def mask_file(root: Path, case: str) -> Path:
    """Where a series' label map is."""
    return root / f"{case}.mha"


def group_of(label: int) -> Group | None:
    """What a label is: 1 to 99 vertebra (101 to 199 one in part), 100 canal, above 200 disc."""
    if label == CANAL:
        return "canal"
    if label > 200:
        return "discs"
    return "vertebrae" if 0 < label < 200 else None


def official_group(label: int) -> Group | None:
    """What the organisers' script takes a label for; 101 to 200 belong to no group."""
    return None if CANAL < label <= 200 else group_of(label)


def read_reference(references: Path, case: str) -> LabelMap:
    """A mask of the references.

    Raises:
        InputError: It cannot be read, or has negative labels.
    """
    path = mask_file(references, case)
    try:
        labels = read_labels(path)
    except InputError as error:
        raise type(error)(f"{case}: {error}") from error
    _require_not_negative(labels.array, path, case)
    return labels


def read_prediction(predictions: Path, case: str, reference: LabelMap) -> LabelMap:
    """A predicted label map; its size must be the reference's, its place is not looked at (as officially).

    Raises:
        InputError: It cannot be read, is not of a whole-number type, has negative labels or another size.
    """
    path = mask_file(predictions, case)
    try:
        found = read_volume(path)
    except InputError as error:
        raise type(error)(f"{case}: {error}") from error
    _require_integers(found, path, case)
    if found.array.shape != reference.array.shape:
        raise GridMismatchError(
            f"{case}: {path}: not of the reference's size\n  reference   {reference.array.shape}\n"
            f"  prediction  {found.array.shape}"
        )
    _require_not_negative(found.array, path, case)
    return LabelMap(found.array, found.grid)


def _require_integers(found: Volume, path: Path, case: str) -> None:
    """The official script stops at anything that NumPy does not count safely."""
    if not np.can_cast(found.array.dtype, np.int64, "safe"):
        raise InputError(
            f"{case}: {path}: voxels of type {found.array.dtype}; the official evaluation stops at it\n"
            "  write whole numbers in a whole-number type, e.g. uint8 or int16"
        )


def _require_not_negative(array: np.ndarray, path: Path, case: str) -> None:
    least = int(array.min())
    if least < 0:
        raise InputError(f"{case}: {path}: label {least}; labels are 0 (background) and up")
