"""Displacement files in every convention met: read to mm RAS+ on the fixed grid, and written back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.errors import ConventionError, FileReadError, GridMismatchError
from voxbench.geometry import DisplacementField, Grid
from voxbench.io.atomic import AnyPath
from voxbench.io.conventions import (
    IN_VOXELS,
    MARKER,
    OTHER_GRID,
    Convention,
    Found,
    declared_convention,
    detect_convention,
)
from voxbench.io.metaimage import write_itk
from voxbench.io.nifti import INTENT_VECTOR, NiftiFields, write_nifti
from voxbench.io.raw import RawImage, naming
from voxbench.io.read import read_raw
from voxbench.types import AnyArray

ITK_SUFFIXES = {".mha", ".mhd", ".nrrd"}


def read_displacement(
    path: AnyPath,
    *,
    fixed: Grid | None = None,
    moving: Grid | None = None,
    convention: Convention | None = None,
) -> DisplacementField:
    """Read a displacement file of any convention.

    Args:
        path: The file.
        fixed: The grid the field must lie on. Files in voxel units often have no usable header: given this, only their
            shape is checked, and the field gets this grid.
        moving: The grid of the moving image, for files in voxel units; by default equal to the fixed one. A file that
            says which of the two it refers to (voxbench's own) is taken at its word.
        convention: How the file is to be understood; by default what `detect_convention` finds.

    Returns:
        The field in mm, RAS+, on the fixed grid.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        ConventionError: Ambiguous, or the file does not have the shape of its convention.
        GridMismatchError: The field lies on another grid than ``fixed``.
        NotFiniteError: Some vectors are NaN or infinite.
    """
    raw = read_displacement_file(path)
    shape = None if fixed is None else fixed.shape
    found = detect_convention(raw, shape) if convention is None else declared_convention(raw, convention)
    return field_from_raw(raw, found, fixed, moving)


def field_from_raw(raw: RawImage, found: Found, fixed: Grid | None, moving: Grid | None) -> DisplacementField:
    """The field in mm, RAS+, from what a file holds and the convention it is in; see `read_displacement`."""
    vectors = _components_last(raw, found.convention)
    grid = _fixed_grid(raw, vectors.shape[:3], found, fixed)
    if found.other_moving and moving is None:
        raise ConventionError(
            f"{raw.path}: the vectors lead to voxels of a moving image that lies on another grid than the fixed one\n"
            "  say which: --moving IMAGE (moving=... in Python)"
        )
    if moving is None or (found.marked and not found.other_moving):
        moving = grid
    with naming(raw.path):
        return DisplacementField(_to_world(vectors, found.convention, grid, moving), grid)


def write_displacement(
    path: AnyPath,
    field: DisplacementField,
    *,
    convention: Convention = "voxel",
    moving: Grid | None = None,
) -> None:
    """Write a displacement field.

    Args:
        path: Where the file will be: .nii or .nii.gz; for ``itk`` and ``ants`` also .mha or .nrrd.
        field: The field.
        convention: How the file shall hold it.
        moving: The grid of the moving image, which units of voxels refer to; by default equal to the fixed one.

    Raises:
        ConventionError: The format cannot hold this convention.
        FileWriteError: The file cannot be written.
    """
    path = Path(path)
    nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    itk = convention in {"itk", "ants"}
    if not nifti and not (itk and path.suffix.lower() in ITK_SUFFIXES):
        what = ".nii.gz, .nii, .mha, .mhd or .nrrd" if itk else ".nii.gz or .nii"
        raise ConventionError(f"{path}: a displacement field in the convention '{convention}' is written as {what}")
    moving = field.grid if moving is None else moving
    vectors = _from_world(field, convention, moving)
    if not nifti:
        write_itk(path, vectors, field.grid, vectors=True)
        return
    elsewhere = convention in IN_VOXELS and not moving.same_as(field.grid)
    marker = f"{MARKER}{convention} pull-back{OTHER_GRID if elsewhere else ''}"
    if itk:
        vectors = vectors[:, :, :, None, :]
    if convention == "voxel-first":
        vectors = np.moveaxis(vectors, -1, 0)
    write_nifti(path, vectors, field.grid, NiftiFields(INTENT_VECTOR if itk else 0, marker))


def read_displacement_file(path: AnyPath) -> RawImage:
    """What a displacement file holds, in whatever convention.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        ConventionError: A composite transform (.h5), which is not one field.
    """
    path = Path(path)
    if path.suffix.lower() in {".h5", ".hdf5", ".mat", ".txt", ".tfm"}:
        raise ConventionError(
            f"{path}: a transform file, not a displacement field (it may hold several transforms to be composed)\n"
            "  write it as a field on the fixed image first, e.g. with antsApplyTransforms -o [field.nii.gz,1]"
        )
    if path.suffix.lower() in {".npz", ".npy"}:
        raise FileReadError(f"{path}: arrays without a header are not read; write the field as .nii.gz first")
    return read_raw(path)


def _components_last(raw: RawImage, convention: Convention) -> np.ndarray:
    """Vectors as (X, Y, Z, 3), float32."""
    array = raw.array
    if convention == "voxel-first":
        array = np.moveaxis(array, 0, -1)
    elif convention in {"itk", "ants"} and array.ndim == 5 and array.shape[3] == 1:
        array = array[:, :, :, 0, :]
    if array.ndim != 4 or array.shape[-1] != 3:
        raise ConventionError(
            f"{raw.path}: shape {raw.array.shape} does not fit the convention '{convention}', which has "
            f"{_SHAPES.get(convention, '(X, Y, Z, 3)')}"
        )
    return array.astype(np.float32, copy=False)


_SHAPES = {"voxel-first": "(3, X, Y, Z)", "itk": "(X, Y, Z, 1, 3)", "ants": "(X, Y, Z, 1, 3)"}


def _fixed_grid(raw: RawImage, shape: tuple[int, ...], found: Found, fixed: Grid | None) -> Grid:
    """Where the field lies, checked against what was expected."""
    if fixed is None:
        return raw.grid(shape)
    headerless = found.convention in IN_VOXELS and not found.marked
    if headerless and shape == fixed.shape:
        return fixed
    grid = raw.grid(shape)
    if not grid.same_as(fixed):
        raise GridMismatchError(
            f"{raw.path}: the displacement field and the fixed image lie on different grids\n"
            f"  fixed   {fixed!r}\n  field   {grid!r}"
        )
    return fixed


def _to_world(vectors: np.ndarray, convention: Convention, fixed: Grid, moving: Grid) -> np.ndarray:
    """mm, RAS+, from the convention's units."""
    if convention == "mm-ras":
        return vectors
    if convention in {"itk", "ants"}:
        return vectors * np.array([-1, -1, 1], np.float32)
    if convention == "torch":
        vectors = _voxels_from_normalized(vectors, fixed, moving)
    change = moving.world_from_voxel.matrix - fixed.world_from_voxel.matrix
    return _mapped(vectors, moving.world_from_voxel.linear, change)


def _from_world(field: DisplacementField, convention: Convention, moving: Grid) -> AnyArray:
    """The convention's units, components last, from mm RAS+."""
    if convention == "mm-ras":
        return field.array
    if convention in {"itk", "ants"}:
        return field.array * np.array([-1, -1, 1], np.float32)
    inverse = moving.voxel_from_world
    change = inverse.matrix @ field.grid.world_from_voxel.matrix - np.eye(4)
    vectors = _mapped(field.array, inverse.linear, change)
    return _normalized_from_voxels(vectors, field.grid, moving) if convention == "torch" else vectors


def _mapped(vectors: np.ndarray, linear: np.ndarray, change: np.ndarray) -> np.ndarray:
    """``linear @ u + change @ (index, 1)`` for every voxel; float32, the sum in float64 a slab at a time."""
    if np.abs(change).max() < 1e-9:
        return vectors @ linear.T.astype(np.float32)
    _, j, k, _ = vectors.shape
    plane = np.arange(j)[:, None, None] * change[:3, 1] + np.arange(k)[None, :, None] * change[:3, 2]
    out = np.empty(vectors.shape, np.float32)
    for i in range(len(vectors)):
        out[i] = vectors[i] @ linear.T + (plane + i * change[:3, 0] + change[:3, 3])
    return out


def _normalization(fixed: Grid, moving: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Half the voxel steps along i, j, k of both grids: align_corners=True puts the outer centres at -1 and 1."""
    halves = (np.asarray(fixed.shape) - 1) / 2, (np.asarray(moving.shape) - 1) / 2
    if min(halves[0].min(), halves[1].min()) <= 0:
        raise ConventionError(
            "torch's normalized coordinates have no unit along an axis of a single voxel\n"
            f"  fixed   {fixed!r}\n  moving  {moving!r}\n  use the convention 'voxel' or 'itk'"
        )
    return halves


def _normalized_from_voxels(vectors: np.ndarray, fixed: Grid, moving: Grid) -> np.ndarray:
    """(index + u) / half_moving - index / half_fixed, components reversed."""
    half_fixed, half_moving = _normalization(fixed, moving)
    change = np.zeros((4, 4))
    change[:3, :3] = np.diag(1 / half_moving - 1 / half_fixed)
    return np.ascontiguousarray(_mapped(vectors, np.diag(1 / half_moving), change)[..., ::-1])


def _voxels_from_normalized(vectors: np.ndarray, fixed: Grid, moving: Grid) -> np.ndarray:
    """(index / half_fixed + u) * half_moving - index, components reversed back."""
    half_fixed, half_moving = _normalization(fixed, moving)
    change = np.zeros((4, 4))
    change[:3, :3] = np.diag(half_moving / half_fixed - 1)
    return _mapped(np.ascontiguousarray(vectors[..., ::-1]), np.diag(half_moving), change)
