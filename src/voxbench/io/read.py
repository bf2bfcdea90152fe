"""Images and label maps by the suffix of the file's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io.atomic import AnyPath, require_file
from voxbench.io.dicom import looks_like_dicom, read_dicom
from voxbench.io.metaimage import read_metaimage, write_itk
from voxbench.io.mgz import read_mgz, write_mgz
from voxbench.io.nifti import read_nifti, write_nifti
from voxbench.io.nrrd import read_nrrd, write_nrrd
from voxbench.io.raw import RawImage, naming
from voxbench.io.segments import Colour, segment_fields

READERS: dict[str, Callable[[AnyPath], RawImage]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mgz": read_mgz,
    ".mgh": read_mgz,
    ".dcm": read_dicom,
}
WRITTEN = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".mgz", ".mgh")


def read_raw(path: AnyPath) -> RawImage:
    """What a file holds, before anything is expected of it.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
    """
    path = Path(path)
    if path.is_dir():
        return read_dicom(path)
    reader = next((READERS[suffix] for suffix in READERS if path.name.lower().endswith(suffix)), None)
    if reader is None:
        if looks_like_dicom(require_file(path)):
            return read_dicom(path)
        raise FileReadError(
            f"{path}: unknown kind of file\n  known are {', '.join(READERS)}, and a folder of a DICOM series"
        )
    return reader(path)


def read_volume(path: AnyPath) -> Volume:
    """Intensities of a three-dimensional image file, in the file's own voxel order.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        DimensionError: Not three-dimensional (a fourth axis of length 1 is accepted).
        ShearedGridError: The voxel axes are not at right angles.
    """
    raw = read_raw(path)
    array = raw.single()
    return Volume(array, raw.grid())


def read_labels(path: AnyPath) -> LabelMap:
    """Label ids of a three-dimensional image file; whole numbers stored as floating point are accepted.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        DimensionError: Not three-dimensional.
        ShearedGridError: The voxel axes are not at right angles.
        InputError: Some values are not whole numbers.
    """
    raw = read_raw(path)
    array = raw.single()
    with naming(raw.path):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError("label ids must be whole numbers; some voxels are NaN or infinite")
        return LabelMap(array, raw.grid(), raw.names)


def read_grid(path: AnyPath) -> Grid:
    """Where the voxels of a three-dimensional image file lie; the file is read to its end all the same.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        DimensionError: Not three-dimensional.
        ShearedGridError: The voxel axes are not at right angles.
    """
    raw = read_raw(path)
    return raw.grid(raw.single().shape)


def write_volume(path: AnyPath, volume: Volume) -> None:
    """Write intensities; the format follows from the suffix, the dtype is kept.

    Raises:
        FileWriteError: Unknown suffix, or the file cannot be written.
    """
    _write(Path(path), volume.array, volume)


def write_labels(path: AnyPath, labels: LabelMap, colours: Mapping[int, Colour] | None = None) -> None:
    """Write label ids in the smallest integer dtype that holds them; ``.seg.nrrd`` keeps names and colours.

    Args:
        path: Where the file will be; the format follows from the suffix.
        labels: What is written.
        colours: Of some or all ids, for ``.seg.nrrd``; the others get one by their place in the file.

    Raises:
        FileWriteError: Unknown suffix, or the file cannot be written.
    """
    low, high = int(labels.array.min()), int(labels.array.max())
    fields = segment_fields(labels, colours) if str(path).lower().endswith(".seg.nrrd") else None
    _write(Path(path), labels.array.astype(smallest_integer(low, high), copy=False), labels, fields)


def smallest_integer(low: int, high: int) -> np.dtype:
    """The smallest integer dtype for a range of label ids; signed first, and never int8, for older readers."""
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.uint64)


def require_writable_name(path: AnyPath) -> None:
    """Refuse a name whose suffix says no format that is written; to be asked before hours of work.

    Raises:
        FileWriteError: The suffix is not one of `WRITTEN`.
    """
    if not str(path).lower().endswith(WRITTEN):
        raise FileWriteError(f"{path}: unknown kind of file to write\n  known are {', '.join(WRITTEN)}")


def _write(path: Path, array: np.ndarray, image: Volume | LabelMap, fields: Mapping[str, str] | None = None) -> None:
    """By suffix."""
    require_writable_name(path)
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        write_nifti(path, array, image.grid)
    elif name.endswith((".mha", ".mhd")):
        write_itk(path, array, image.grid)
    elif name.endswith((".mgz", ".mgh")):
        write_mgz(path, array, image.grid)
    else:
        write_nrrd(path, array, image.grid, fields)
