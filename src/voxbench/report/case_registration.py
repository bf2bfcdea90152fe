"""A registered pair: before and after, checkerboards, the deformed grid, the Jacobian; the labels; both in 3-D."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from voxbench.challenges.lumir25.cases import Pair
from voxbench.challenges.lumir25.fields import read_field
from voxbench.errors import FileReadError
from voxbench.geometry import DisplacementField, LabelMap, Volume, resample
from voxbench.io import read_labels, read_volume
from voxbench.report.case_labels import Compared, label_case
from voxbench.report.html import Picture
from voxbench.report.planes import Box
from voxbench.report.registration import overview_png
from voxbench.report.scene import Scene, scene_of_volumes

_KEY = re.compile(r"^(.{4})_(\d{4})<--(.{4})_(\d{4})")


def registration_case(case: str, predictions: Path, references: Path) -> tuple[tuple[Picture, ...], Scene | None]:
    """Pictures and scene of a pair of LUMIR25.

    Args:
        case: The official key, e.g. ``3455_0000<--3454_0000``.
        predictions: Folder of displacement files.
        references: Folder holding imagesVal/ and, for some pairs, labelsVal/.

    Raises:
        InputError: A file is missing or cannot be used.
    """
    pair = find_pair(case, references)
    fixed, moving = read_volume(pair.image("fixed", references)), read_volume(pair.image("moving", references))
    i, j, k = fixed.grid.shape
    planar = read_field(predictions / pair.field_name, (i, j, k, 3), case)
    field = DisplacementField.from_voxels(planar.astype(np.float32, copy=False), fixed.grid)
    moving = Volume(moving.array, fixed.grid) if moving.array.shape == fixed.array.shape else moving
    floats = Volume(moving.array.astype(np.float32, copy=False), moving.grid)
    warped = resample(floats, fixed.grid, through=field)
    pictures = [
        Picture(
            overview_png(fixed, floats, warped, field, case),
            f"Three planes of {case}: fixed, moving before and after, checkerboards, the deformed grid, the Jacobian",
            "Fixed image; moving image before and after; checkerboards of both; straight lines of the moving space as "
            "they lie in the fixed one; local volume change (magenta where folded). Patient's right on the left.",
        )
    ]
    labels = _labels(case, pair, references, (fixed, field))
    if labels is not None:
        pictures += label_case(labels)[0]
    box = Box.around(fixed)
    images = {"fixed": fixed, "moving, after": warped, "moving, before": floats}
    maps = {} if labels is None else dict(zip(labels.words, (labels.reference, labels.prediction), strict=True))
    return tuple(pictures), scene_of_volumes(case, (box.low, box.high), images, maps)


def find_pair(case: str, references: Path) -> Pair:
    """The files of a pair, found by its key.

    Raises:
        FileReadError: The key is none, or an image is missing or doubled.
    """
    found = _KEY.match(case)
    if found is None:
        raise FileReadError(f"{case}: not a pair of LUMIR25, e.g. 3455_0000<--3454_0000")
    names = []
    for subject, modality in (found.group(1, 2), found.group(3, 4)):
        there = sorted(references.glob(f"images*/*_{subject}_{modality}.nii.gz"))
        if len(there) != 1:
            raise FileReadError(
                f"{case}: {len(there)} images *_{subject}_{modality}.nii.gz below images*/ of the references; "
                "one is needed"
            )
        names.append(str(there[0].relative_to(references)))
    return Pair(names[0], names[1])


def _labels(case: str, pair: Pair, references: Path, onto: tuple[Volume, DisplacementField]) -> Compared | None:
    """Labels of the fixed image and those of the moving one carried over; None where the pair has none."""
    fixed, field = onto
    paths = [pair.beside(which, references, "labels") for which in ("fixed", "moving")]
    if not all(path.is_file() for path in paths):
        return None
    one, other = (read_labels(path) for path in paths)
    other = LabelMap(other.array, field.grid) if other.array.shape == field.grid.shape else other
    return Compared(
        f"{case}: labels",
        LabelMap(one.array, fixed.grid),
        resample(other, fixed.grid, through=field),
        fixed,
        {},
        ("labels of the fixed image", "labels of the moving image, after"),
    )
