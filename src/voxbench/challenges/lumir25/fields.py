"""LUMIR25's displacement files as they are: voxels, either axis layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.errors import GridMismatchError, NotFiniteError
from voxbench.io.displacements import read_displacement_file

Shape4 = tuple[int, int, int, int]


def read_field(path: Path, expected_shape: Shape4, case: str) -> np.ndarray:
    """The numbers of a displacement file, planar (3, X, Y, Z), float32 or float64 as stored, voxels.

    Args:
        path: The file; its header's geometry means nothing here.
        expected_shape: (X, Y, Z, 3).
        case: The pair, for messages.

    Raises:
        FileReadError: Missing or damaged.
        GridMismatchError: Neither (X, Y, Z, 3) nor (3, X, Y, Z).
        NotFiniteError: Some vectors are NaN or infinite.
    """
    array = planar(read_displacement_file(path).array, expected_shape, f"{case}: {path}")
    if not np.isfinite(array).all():
        raise NotFiniteError(f"{case}: {path}: some vectors are NaN or infinite; predict this pair again")
    return array


def planar(array: np.ndarray, expected_shape: Shape4, name: str) -> np.ndarray:
    """Components first, contiguous, in a floating type the core takes.

    Where the first axis of the image is itself three voxels long the organisers' script takes it for the components;
    here the expected shape decides.

    Raises:
        GridMismatchError: The shape is another one.
    """
    first = (3, *expected_shape[:3])
    if array.shape not in (expected_shape, first):
        shape = " x ".join(str(n) for n in array.shape)
        raise GridMismatchError(
            f"{name}: the displacement field has a wrong shape\n"
            f"  expected  {' x '.join(str(n) for n in expected_shape)}  (or {' x '.join(str(n) for n in first)})\n"
            f"  found     {shape}"
            + ("\n  an ITK vector image: voxbench field convert brings it over" if array.ndim == 5 else "")
        )
    if array.shape == expected_shape:
        array = np.moveaxis(array, -1, 0)
    kind = np.float32 if array.dtype in (np.float32, np.float16) else np.float64
    return np.ascontiguousarray(array, dtype=kind)
