"""FreeSurfer's .mgz and .mgh."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError, FileWriteError
from voxbench.geometry import Grid
from voxbench.io.atomic import AnyPath, atomic, require_file
from voxbench.io.failures import named_failures
from voxbench.io.limits import MAX_TRAILING, require_plausible
from voxbench.io.nifti import decompressed
from voxbench.io.raw import RawImage, storable
from voxbench.types import AnyArray

STORED_AS = (np.uint8, np.int16, np.int32, np.float32)
"""What the format holds."""
_HEADER_BYTES = 284


def read_mgz(path: AnyPath) -> RawImage:
    """Read a .mgz or .mgh file to its end.

    Raises:
        FileReadError: Missing, empty, truncated, damaged, or not MGH.
    """
    import nibabel as nib

    path = require_file(path)
    with decompressed(path) as stream:
        head = stream.read(_HEADER_BYTES)
        with named_failures(path, "truncated, damaged, or not MGH"):
            header: Any = nib.MGHImage.header_class(head, check=False)  # pyright: ignore[reportCallIssue]
            promised = math.prod(int(n) for n in header["dims"]) * header.get_data_dtype().itemsize
            if min(header["dims"]) < 1:
                raise FileReadError(f"{path}: damaged header: the shape is {tuple(int(n) for n in header['dims'])}")
        require_plausible(path, promised, deflated=not isinstance(stream, io.BufferedReader))
        content = head + stream.read(promised + MAX_TRAILING)
    with named_failures(path, f"truncated, damaged, or not MGH ({len(content)} bytes decompressed)"):
        image = nib.MGHImage.from_bytes(content)
        array = np.asanyarray(image.dataobj)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return RawImage(path, "FreeSurfer MGH", array, np.asarray(image.affine, dtype=np.float64))


def write_mgz(path: AnyPath, array: AnyArray, grid: Grid) -> None:
    """Write an array [i, j, k] as .mgz or .mgh; integers take the first of uint8, int16, int32 that holds them.

    Raises:
        FileWriteError: The values do not fit the format, or the file cannot be written.
    """
    import nibabel as nib
    from isal import igzip

    path = Path(path)
    fitted: Any = _fitted(path, storable(array))
    content = nib.MGHImage(fitted, grid.world_from_voxel.matrix).to_bytes()
    with atomic(path) as temporary:
        compressed = path.suffix.lower() == ".mgz"
        temporary.write_bytes(igzip.compress(content, 1, mtime=0) if compressed else content)


def _fitted(path: Path, array: np.ndarray) -> np.ndarray:
    """The array in a dtype of the format, without loss for integers."""
    if array.dtype in STORED_AS:
        return array
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    low, high = int(array.min()), int(array.max())
    for dtype in (np.uint8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype)
    raise FileWriteError(f"{path}: MGH holds integers of at most 32 bits; these go from {low} to {high}; take .nii.gz")
