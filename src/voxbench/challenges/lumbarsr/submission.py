"""LumbarSR's submission: the tree METHOD/Lumbar_XX/LumbarXX_SEQUENCE_METHOD.nii.gz, int16 HU on the target's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.challenges.lumbarsr.cases import Case
from voxbench.challenges.lumbarsr.observations import target_path
from voxbench.errors import FileReadError, GridMismatchError, InputError, NotFiniteError
from voxbench.geometry import Volume
from voxbench.io import read_grid, read_volume, write_volume

NEAR_MM = 1e-3
"""By how much grids may differ: NIfTI holds places in single precision."""


@dataclass(frozen=True)
class Packed:
    """One volume of a submission.

    Attributes:
        case: Sample and sequence.
        file: What was written, below the submission's folder.
        note: What was done to the prediction; empty if nothing.
    """

    case: str
    file: str
    note: str = ""


def require_predictions(predictions: Path, data: Path, method: str, cases: Sequence[Case]) -> None:
    """Refuse to begin where volumes, or what their grid is known from, are missing.

    Raises:
        FileReadError: Some are; all of them are named.
    """
    missing = [path for case in cases if not (path := case.prediction(predictions, method)).is_file()]
    if missing:
        raise FileReadError(
            f"{predictions}: {len(missing)} of {len(cases)} volumes are missing; nothing is packed\n  "
            + "\n  ".join(str(path.relative_to(predictions)) for path in missing)
        )
    unknown = [case.key for case in cases if target_path(data, case) is None]
    if unknown:
        raise FileReadError(
            f"{data}: no micro-CT and no registered sequence of {', '.join(unknown)}\n"
            "  --data is the folder that holds RegisteredData"
        )


def pack(case: Case, folders: tuple[Path, Path], out: Path, names: tuple[str, str]) -> Packed:
    """Check one volume and write it.

    Args:
        case: Sample and sequence.
        folders: The predictions, and the data, whose micro-CT (or a registered sequence) has the grid.
        out: A folder that exists.
        names: The method's name among the predictions, and in the submission.

    Raises:
        GridMismatchError: It does not lie on the target's grid.
        NotFiniteError: Some voxels are NaN or infinite.
        InputError: The file cannot be used.
        FileWriteError: The file cannot be written.
    """
    predictions, data = folders
    source = case.prediction(predictions, names[0])
    target = target_path(data, case)
    assert target is not None
    volume, grid = read_volume(source), read_grid(target)
    if not grid.same_as(volume.grid, NEAR_MM):
        raise GridMismatchError(
            f"{case.key}: {source}: not on the target's grid\n  target      {grid!r}\n  prediction  {volume.grid!r}"
        )
    array, note = _whole(volume.array, f"{case.key}: {source}")
    path = case.prediction(out, names[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, grid))
    return Packed(case.key, path.relative_to(out).as_posix(), note)


def _whole(array: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """int16 HU, and what that took."""
    if array.dtype == np.int16:
        return array, ""
    if not np.isfinite(array).all():
        raise NotFiniteError(f"{name}: some voxels are NaN or infinite; predict this case again")
    low, high = float(array.min()), float(array.max())
    limits = np.iinfo(np.int16)
    if low < limits.min or high > limits.max:
        raise InputError(f"{name}: values from {low:g} to {high:g}; HU fit into {limits.min} to {limits.max}")
    return np.rint(array).astype(np.int16), f"{array.dtype} made int16"
