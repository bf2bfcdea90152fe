"""Conventions of displacement files, and how to tell which one a file is in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from voxbench.errors import ConventionError
from voxbench.io.nifti import INTENT_VECTOR
from voxbench.io.raw import RawImage

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


def declared_convention(raw: RawImage, convention: Convention) -> Found:
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
