"""Where a sample's scans lie as the scanners wrote them: DICOM series, or a NIfTI file in place of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.challenges.lumbarsr.cases import MICRO_CT_MM, Case
from voxbench.errors import FileReadError, GridMismatchError
from voxbench.geometry import Volume
from voxbench.io import read_volume
from voxbench.types import AnyArray

ORIGINAL = "original_dicom"
SUFFIXES = (".nii.gz", ".nii")
SPACING_TOLERANCE = 0.02
"""Relative; a pixel spacing is a field of view divided by a matrix."""


@dataclass(frozen=True)
class Sources:
    """The scans of one sample.

    Attributes:
        sample: Its name.
        micro_ct: Folder of a DICOM series, or a NIfTI file.
        clinical: The same per sequence, in the order of `SEQUENCES`.
        missing: Sequences that were asked for and are not there.
    """

    sample: str
    micro_ct: Path
    clinical: dict[str, Path]
    missing: tuple[str, ...]


def samples_in(data: Path) -> tuple[str, ...]:
    """The samples whose scans are below a folder, by number.

    Raises:
        FileReadError: There are none.
    """
    folder = data / ORIGINAL
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    found = [name for name in names if re.fullmatch(r"Lumbar_\d+", name)]
    if not found:
        raise FileReadError(
            f"{folder}: no samples (folders named Lumbar_<number>)\n"
            f"  --data is the folder that holds {ORIGINAL}/Lumbar_XX/{{clinical_ct/<SEQUENCE>,micro_ct}}"
        )
    return tuple(sorted(found, key=lambda name: (int(name.split("_")[1]), name)))


def require_samples(data: Path, samples: Sequence[str]) -> None:
    """Refuse samples that have no folder; all of them are named.

    Raises:
        FileReadError: Some have none.
    """
    missing = [sample for sample in samples if not (data / ORIGINAL / sample).is_dir()]
    if missing:
        raise FileReadError(
            f"{data / ORIGINAL}: {len(missing)} of {len(samples)} samples are missing\n  " + "\n  ".join(missing)
        )


def sources_of(data: Path, sample: str, sequences: Sequence[str]) -> Sources:
    """Find the scans of a sample.

    Args:
        data: Folder that holds original_dicom/.
        sample: Its name.
        sequences: Those that are wanted, as far as they are there.

    Raises:
        FileReadError: There is no micro-CT, none of the sequences, or two things in one place.
    """
    folder = data / ORIGINAL / sample
    micro_ct = _scan(folder / "micro_ct")
    if micro_ct is None:
        raise FileReadError(
            f"{folder / 'micro_ct'}: no micro-CT (a DICOM series or a NIfTI file); nothing to register to"
        )
    found = {sequence: _scan(folder / "clinical_ct" / sequence) for sequence in sequences}
    clinical = {sequence: path for sequence, path in found.items() if path is not None}
    if not clinical:
        raise FileReadError(f"{folder / 'clinical_ct'}: none of the sequences {', '.join(sequences)}")
    return Sources(sample, micro_ct, clinical, tuple(sequence for sequence in sequences if sequence not in clinical))


def read_micro_ct(path: Path) -> Volume:
    """The micro-CT as int16 HU.

    Raises:
        FileReadError: It cannot be read.
        GridMismatchError: It has another spacing than the challenge's 105 um.
        NotFiniteError: It holds NaN or infinity.
        EmptyShapeError: It is constant.
    """
    volume = _read(path)
    if np.abs(volume.grid.spacing / MICRO_CT_MM - 1).max() > SPACING_TOLERANCE:
        raise GridMismatchError(
            f"{path}: a micro-CT of LumbarSR has {MICRO_CT_MM} mm between voxels\n  here  {volume.grid}\n"
            "  bring it there first, averaging if it is finer"
        )
    return volume


def read_clinical(path: Path, case: Case) -> tuple[Volume, str | None]:
    """A sequence as int16 HU, and what is odd about its pixel spacing.

    Raises:
        FileReadError: It cannot be read.
        NotFiniteError: It holds NaN or infinity.
        EmptyShapeError: It is constant.
    """
    volume = _read(path)
    found, said = sorted(float(s) for s in volume.grid.spacing), sorted(case.spacing_mm)
    if all(abs(a / b - 1) <= SPACING_TOLERANCE for a, b in zip(found, said, strict=True)):
        return volume, None
    shown = [" x ".join(f"{s:.4g}" for s in spacing) for spacing in (volume.grid.spacing, case.spacing_mm)]
    return volume, f"{case.sequence}: voxels of {shown[0]} mm, by its name {shown[1]} mm; the file is believed"


def whole_hu(array: AnyArray) -> AnyArray:
    """CT numbers as int16, rounded; what does not fit is cut off."""
    if array.dtype == np.int16:
        return array
    if array.dtype.kind == "f":
        array = np.rint(array)
    return np.clip(array, -32768, 32767).astype(np.int16)


def _read(path: Path) -> Volume:
    volume = read_volume(path)
    volume.require_usable(str(path))
    return Volume(whole_hu(volume.array), volume.grid)


def _scan(place: Path) -> Path | None:
    """The folder of DICOM files, or the NIfTI file in it or beside it; None where there is nothing."""
    beside = [place.with_name(place.name + suffix) for suffix in SUFFIXES]
    found = [path for path in beside if path.is_file()]
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
        niftis = [path for path in files if path.name.lower().endswith(SUFFIXES)]
        found += niftis
        if len(niftis) < len(files) and (not niftis or any(path.suffix.lower() == ".dcm" for path in files)):
            found.append(place)
    if len(found) > 1:
        named = "\n  ".join(str(path) for path in found)
        raise FileReadError(f"{place}: {len(found)} scans in one place; leave one of them\n  {named}")
    return found[0] if found else None
