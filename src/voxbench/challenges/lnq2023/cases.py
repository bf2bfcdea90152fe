"""LNQ 2023's files: one mask a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.io import read_labels

REFERENCE = "-seg.nrrd"
PREDICTIONS = ("-seg.mha", "-seg.nrrd", "-seg.nii.gz")
TOLERANCE = 1e-6
"""Of the first spacing, for origin and spacing; and of cosines, for the axes: ITK's."""
TOLERANCE_NIFTI_MM = 1e-3
"""NIfTI holds places in single precision, so that ITK's tolerance would refuse most of its files."""


def find_cases(references: Path) -> tuple[str, ...]:
    """The cases that have a reference, by name, e.g. ``lnq2023-test-0002``.

    Raises:
        FileReadError: There are none.
    """
    found = sorted(path.name.removesuffix(REFERENCE) for path in references.glob(f"[!.]*{REFERENCE}"))
    if not found:
        raise FileReadError(
            f"{references}: no case here\n  expected  <case>{REFERENCE}, e.g. lnq2023-test-0002{REFERENCE}"
        )
    return tuple(found)


def official_id(case: str) -> str:
    """What metrics.json calls a case: the third part of its name; the whole name if it has fewer."""
    parts = case.split("-")
    return parts[2] if len(parts) > 2 else case


def prediction_file(predictions: Path, case: str) -> Path:
    """Where a case's prediction is, or would be.

    Raises:
        FileReadError: There is more than one.
    """
    there = [path for suffix in PREDICTIONS if (path := predictions / f"{case}{suffix}").is_file()]
    if len(there) > 1:
        raise FileReadError(
            f"{case}: {len(there)} predictions, one is expected\n  " + "\n  ".join(str(path) for path in there)
        )
    return there[0] if there else predictions / f"{case}{PREDICTIONS[0]}"


def read_mask(path: Path, case: str) -> LabelMap:
    """A mask as it stands in the file.

    Raises:
        InputError: It cannot be read; the case is named.
    """
    try:
        return read_labels(path)
    except InputError as error:
        raise type(error)(f"{case}: {error}") from error


def require_grid(reference: Grid, prediction: Grid, path: Path, case: str) -> None:
    """Refuse a prediction that does not lie on its reference's grid, by ITK's tolerance.

    Raises:
        GridMismatchError: It does not; both grids are shown.
    """
    if fits(reference, prediction, path.name.endswith(".nii.gz")):
        return
    raise GridMismatchError(
        f"{case}: {path}: not on the reference's grid\n  reference   {reference!r}\n  prediction  {prediction!r}\n"
        "  write the prediction with the size, spacing, origin and axes of the CT"
    )


def fits(reference: Grid, prediction: Grid, nifti: bool) -> bool:
    """Whether two grids are one by ITK's tolerance, or by that of NIfTI's headers."""
    if reference.shape != prediction.shape:
        return False
    if nifti:
        return reference.same_as(prediction, TOLERANCE_NIFTI_MM)
    tolerance = TOLERANCE * float(reference.spacing[0])
    return bool(
        np.abs(reference.origin - prediction.origin).max() <= tolerance
        and np.abs(reference.spacing - prediction.spacing).max() <= tolerance
        and np.abs(reference.direction - prediction.direction).max() <= TOLERANCE
    )
