"""SSR-KD's files: a folder per case, a mesh per bone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.errors import EmptyShapeError, FileReadError, InputError
from voxbench.geometry import Mesh
from voxbench.io import read_mesh

BONES = ("patella", "femur", "fibula", "tibia")
"""In the order of sub_0 to sub_3."""
NORMALISED = 1.5
"""The organisers' data hold vertices in [-1, 1] (and a little more); no bone in mm is that small."""


def mesh_file(root: Path, case: str, bone: str) -> Path:
    """Where a bone's mesh is."""
    return root / case / f"sub_{BONES.index(bone)}.obj"


def find_cases(references: Path) -> tuple[str, ...]:
    """The folders that hold at least one bone, by name.

    Raises:
        FileReadError: There are none.
    """
    found = sorted({path.parent.name for path in references.glob("*/sub_[0-3].obj")})
    if not found:
        raise FileReadError(
            f"{references}: no case here\n  expected  <case>/sub_0.obj to sub_3.obj ({', '.join(BONES)})"
        )
    return tuple(found)


def missing_files(root: Path, cases: tuple[str, ...]) -> list[Path]:
    """The meshes of these cases that are not there, relative to the folder."""
    paths = [mesh_file(root, case, bone) for case in cases for bone in BONES]
    return [path.relative_to(root) for path in paths if not path.is_file()]


def read_bone(root: Path, case: str, bone: str) -> Mesh:
    """A bone's mesh, its coordinates as they stand in the file.

    Raises:
        InputError: It cannot be read, has no area, or is not in mm; case and file are named.
    """
    path = mesh_file(root, case, bone)
    try:
        mesh = read_mesh(path, space="RAS")
    except InputError as error:
        raise type(error)(f"{case}, {bone}: {error}") from error
    largest = float(np.abs(mesh.bounds).max())
    if largest <= NORMALISED:
        raise InputError(
            f"{case}, {bone}: {path}: not in mm: no coordinate is larger than {largest:.3g}\n"
            "  normalised coordinates become mm by the three factors `mesh` of the case's spacing.npz"
        )
    if not mesh.area > 0:
        raise EmptyShapeError(f"{case}, {bone}: {path}: a surface without area: all its faces are degenerate")
    return mesh
