"""NumPy's own files: archives of arrays (.npz) and single arrays (.npy); nothing is ever unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError
from voxbench.io.atomic import require_file
from voxbench.io.failures import named_failures
from voxbench.io.limits import plain_members
from voxbench.types import AnyArray

SUFFIX = ".npy"


def read_arrays(
    path: Path, wanted: Callable[[str], bool] = lambda _: True, *, pass_over: bool = False
) -> dict[str, AnyArray]:
    """The arrays of an .npz by name.

    Args:
        path: The file.
        wanted: Which names to read; the others are not looked at.
        pass_over: Leave out arrays of Python objects, which would have to be unpickled, rather than refuse them.

    Raises:
        FileReadError: It is missing, damaged, no archive, promises more than it can hold, or holds pickled objects.
    """
    require_file(path)
    found: dict[str, AnyArray] = {}
    with named_failures(path, "damaged, or no archive of arrays"), zipfile.ZipFile(path) as archive:
        for info in plain_members(path, archive):
            name = info.filename.removesuffix(SUFFIX)
            if name == info.filename or not wanted(name):
                continue
            array = _array(path, archive, info)
            if array is not None:
                found[name] = array
            elif not pass_over:
                raise FileReadError(f"{path}: pickled, which is not read, for that can run any program: {name}")
    return found


def map_array(path: Path) -> AnyArray:
    """An array of a .npy file, read from disk as it is used.

    Raises:
        FileReadError: It is missing, damaged, or holds Python objects.
    """
    with named_failures(path, "damaged, or no array; remove it"):
        return np.lib.format.open_memmap(path, mode="r")


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> AnyArray | None:
    """One array; None if it is pickled. Its header is looked at before anything is allocated."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject:
            return None
        if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > info.file_size:
            name = info.filename.removesuffix(SUFFIX)
            raise FileReadError(f"{path}: {name}: damaged: shape {shape} of {dtype}, in {info.file_size} bytes")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
