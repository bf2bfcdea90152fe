"""An image as a file holds it, already in the world of RAS+ millimetres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxbench.errors import DimensionError, InputError
from voxbench.geometry import Affine, Grid
from voxbench.types import AnyArray, Matrix4

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK, DICOM and most NRRD files count left, posterior and superior as positive; its own inverse."""


@dataclass(frozen=True, eq=False)
class RawImage:
    """What a reader found.

    Attributes:
        path: The file (or folder).
        format: Its format, as a person would say it.
        array: C-contiguous, native byte order, indexed [i, j, k, ...] in the file's own voxel order.
        world_from_voxel: RAS+ mm from voxel indices (of the first three axes).
        notes: What a user should know about the header.
        names: Names of label ids, where the format keeps them.
        marker: Free text of the header.
        intent: The NIfTI intent code; 0 where there is none.
        vectors: Whether the last axis holds the components of vectors in the LPS world, as ITK writes them.
    """

    path: Path
    format: str
    array: AnyArray
    world_from_voxel: Matrix4
    notes: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    marker: str = ""
    intent: int = 0
    vectors: bool = False

    def grid(self, shape: tuple[int, ...] | None = None) -> Grid:
        """Where the voxels lie; the shape is that of the first three axes unless given.

        Raises:
            ShearedGridError: The voxel axes are not at right angles.
            InputError: The header's matrix cannot be inverted.
        """
        shape = self.array.shape[:3] if shape is None else shape
        with naming(self.path):
            return Grid((shape[0], shape[1], shape[2]), Affine(self.world_from_voxel, "world", "voxel"))

    def single(self) -> AnyArray:
        """The array of a single three-dimensional image; trailing axes of length 1 are dropped.

        Raises:
            DimensionError: It is not one.
        """
        array = self.array
        while array.ndim > 3 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.ndim == 3 and not self.vectors:
            return array
        raise DimensionError(f"{self.path}: {not_single(array.shape, self.vectors)}")


def not_single(shape: tuple[int, ...], vectors: bool = False) -> str:
    """Why an array of this shape is not a single volume, and what to do."""
    text = " x ".join(str(n) for n in shape)
    if len(shape) < 3:
        return f"a {len(shape)}-D image of {text}; a volume has three axes\n  stack the slices into one volume first"
    if vectors or shape[-1] == 3 or (len(shape) == 4 and shape[0] == 3):
        return (
            f"{text}: vectors, not a single volume\n"
            "  if it is a displacement field, see: voxbench field info FILE (read_displacement in Python)"
        )
    return f"a {len(shape)}-D image of {text}, not a single volume\n  take one volume out of the series first"


def storable(array: AnyArray) -> AnyArray:
    """The array in a native dtype every format has: booleans as uint8, half floats float32, long doubles float64."""
    dtype = {"?": np.dtype(np.uint8), "e": np.dtype(np.float32), "g": np.dtype(np.float64)}.get(array.dtype.char)
    return array.astype(dtype or array.dtype.newbyteorder("="), copy=False)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of an error about what it holds."""
    try:
        yield
    except InputError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
