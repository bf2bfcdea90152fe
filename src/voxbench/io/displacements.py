"""Displacement files in every convention met: read to mm RAS+ on the fixed grid, and written back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from voxbench.errors import ConventionError, FileReadError, GridMismatchError
from voxbench.geometry import DisplacementField, Grid
from voxbench.io.atomic import AnyPath
from voxbench.io.nifti import INTENT_VECTOR, NiftiFields, write_nifti
from voxbench.io.raw import RawImage, naming
from voxbench.io.read import read_raw
from voxbench.types import AnyArray

Convention = Literal["voxel", "voxel-first", "mm-ras", "itk", "ants", "torch"]
"""How a file holds the pull-back u of ``warped(x) = moving(x + u(x))``, x on the fixed grid.

``voxel``        (X, Y, Z, 3), voxels: ``scipy.ndimage.map_coordinates(moving, identity + u)``; LUMIR, Learn2Reg
``voxel-first``  (3, X, Y, Z), the same numbers
``mm-ras``       (X, Y, Z, 3), mm along the RAS+ axes
``itk``          a vector image, mm along the LPS+ axes; as NIfTI (X, Y, Z, 1, 3) with intent 1007, as .mha or .nrrd
``ants``         the same as ``itk``
``torch``        (X, Y, Z, 3), to be added to ``affine_grid``'s identity for ``grid_sample(align_corners=True)`` of the
                 array [i, j, k]: normalized to [-1, 1], the last axis ordered k, j, i as ``grid_sample`` has it

In the voxel and torch conventions the vector leads from a voxel index of the fixed grid to one of the moving grid; the
moving grid counts as equal to the fixed one unless it is given.
"""

CONVENTIONS: tuple[str, ...] = get_args(Convention)
MARKER = "voxbench displacement "
OTHER_GRID = " onto another moving grid"
DISPLACEMENT_INTENTS = {0, 1006, INTENT_VECTOR}
IN_VOXELS = {"voxel", "voxel-first", "torch"}


@dataclass(frozen=True)
class Found:
    """The convention a file seems to be in.

    Attributes:
        convention: One of `Convention`.
        assumed: Whether it is only the usual one for such a shape.
        reason: What it was told by.
        marked: Whether voxbench itself wrote the file.
        other_moving: Whether the vectors end on the grid of a moving image other than the fixed one.
    """

    convention: Convention
    assumed: bool
    reason: str
    marked: bool = False
    other_moving: bool = False


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
        moving: The grid of the moving image, for files in voxel units; by default equal to the fixed one.
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
    found = detect_convention(raw, shape) if convention is None else _declared(raw, convention)
    vectors = _components_last(raw, found.convention)
    grid = _fixed_grid(raw, vectors.shape[:3], found, fixed)
    if found.other_moving and moving is None:
        raise ConventionError(
            f"{raw.path}: the vectors lead to voxels of a moving image that lies on another grid than the fixed one\n"
            "  say which: --moving IMAGE (moving=... in Python)"
        )
    with naming(raw.path):
        return DisplacementField(_to_world(vectors, found.convention, grid, moving or grid), grid)


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
    if not nifti and not itk:
        raise ConventionError(f"{path}: the convention '{convention}' is written as .nii.gz or .nii only")
    moving = field.grid if moving is None else moving
    vectors = _from_world(field, convention, moving)
    if not nifti:
        _write_itk(path, vectors, field.grid)
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


def detect_convention(raw: RawImage, fixed_shape: tuple[int, int, int] | None = None) -> Found:
    """The convention of a file, from voxbench's own marker, the intent code and the shape.

    Args:
        raw: The file as read.
        fixed_shape: Shape of the fixed image, which decides where the file's own shape leaves two ways open.

    Raises:
        ConventionError: Ambiguous, or no displacement field at all.
    """
    marked = _marked(raw)
    if marked is not None:
        return marked
    if raw.vectors:
        return Found("itk", False, "a vector image as ITK writes it (intent 1007 or components)")
    shape = raw.array.shape
    if raw.intent not in DISPLACEMENT_INTENTS:
        raise ConventionError(f"{raw.path}: NIfTI intent {raw.intent} is not a displacement field voxbench knows")
    if len(shape) == 5 and shape[3:] == (1, 3):
        return Found("itk", True, "shape (X, Y, Z, 1, 3) without intent 1007")
    if len(shape) != 4 or 3 not in {shape[0], shape[3]}:
        text = " x ".join(str(n) for n in shape)
        raise ConventionError(
            f"{raw.path}: not a displacement field: the shape is {text}, with no axis of 3 components"
        )
    if raw.intent:
        raise ConventionError(f"{raw.path}: shape {shape} with intent {raw.intent}: units are unclear\n{_ASK}")
    return _by_shape(raw.path, shape, fixed_shape)


_ASK = f"  say which with --convention (convention=... in Python): {', '.join(CONVENTIONS)}"


def _marked(raw: RawImage) -> Found | None:
    """What voxbench wrote into the header."""
    if not raw.marker.startswith(MARKER):
        return None
    name = raw.marker.removeprefix(MARKER).split(" ", 1)[0]
    for convention in get_args(Convention):
        if convention == name:
            return Found(convention, False, "written by voxbench", True, raw.marker.rstrip("\0 ").endswith(OTHER_GRID))
    raise ConventionError(f"{raw.path}: the header names the convention '{name}', which this version does not know")


def _declared(raw: RawImage, convention: Convention) -> Found:
    """The user's word, which must not contradict voxbench's own marker."""
    marked = _marked(raw)
    if marked is None:
        return Found(convention, False, "as told")
    if {marked.convention, convention} <= {"itk", "ants"} or marked.convention == convention:
        return marked
    raise ConventionError(
        f"{raw.path}: read as '{convention}', but voxbench wrote it as '{marked.convention}'; leave --convention out"
    )


def _by_shape(path: Path, shape: tuple[int, ...], fixed_shape: tuple[int, int, int] | None) -> Found:
    """Voxel units are what a 4-D file without intent usually holds; where the components are decides the rest."""
    last, first = shape[3] == 3, shape[0] == 3
    if last and first and fixed_shape is not None:
        last, first = shape[:3] == fixed_shape, shape[1:] == fixed_shape
    if last == first:
        raise ConventionError(
            f"{path}: shape {shape}: the three components may lie along the first or last axis\n{_ASK}"
        )
    where = "last" if last else "first"
    return Found(
        "voxel" if last else "voxel-first", True, f"shape {shape}, components {where}, no intent: LUMIR, scipy"
    )


def _components_last(raw: RawImage, convention: Convention) -> np.ndarray:
    """Vectors as (X, Y, Z, 3), float32."""
    array = raw.array
    if convention == "voxel-first" and array.ndim == 4 and array.shape[0] == 3:
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


def _write_itk(path: Path, vectors: np.ndarray, grid: Grid) -> None:
    """A vector image through SimpleITK."""
    raise ConventionError(f"{path}: vector images other than NIfTI follow ({vectors.shape} on {grid})")
