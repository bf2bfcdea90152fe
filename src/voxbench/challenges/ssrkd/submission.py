"""SSR-KD's submission: a folder per knee, in it sub_0.obj to sub_3.obj, mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxbench.challenges.ssrkd.cases import BONES, mesh_file, read_bone
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Mesh
from voxbench.io import read_mesh, write_mesh

SUFFIXES = (".obj", ".stl", ".ply")


@dataclass(frozen=True)
class Packed:
    """One knee of a submission.

    Attributes:
        case: Its name.
        files: What was written, below the submission's folder.
        notes: What a person should know of its meshes.
    """

    case: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def cases_in(predictions: Path) -> tuple[str, ...]:
    """The knees there are: every folder that holds a bone.

    Raises:
        FileReadError: There are none, or bones are missing; all of them are named.
    """
    folders = sorted(path for path in predictions.glob("[!.]*") if path.is_dir()) if predictions.is_dir() else []
    found = [folder.name for folder in folders if any(_files(folder, bone) for bone in BONES)]
    if not found:
        raise FileReadError(
            f"{predictions}: no knee here\n  expected  <case>/sub_0.obj to sub_3.obj, or {', '.join(BONES)} (as "
            "`voxbench reconstruct` writes them)"
        )
    missing = [f"{case}: {bone}" for case in found for bone in BONES if not _files(predictions / case, bone)]
    if missing:
        raise FileReadError(
            f"{predictions}: {len(missing)} meshes are missing; nothing is packed\n  " + "\n  ".join(missing)
        )
    return tuple(found)


def pack(case: str, predictions: Path, out: Path) -> Packed:
    """Check the meshes of one knee and write them.

    Args:
        case: Its name.
        predictions: Folder of the knees.
        out: A folder that exists.

    Raises:
        InputError: A mesh cannot be read, has no area, is not in mm, or there are two of one bone.
        FileWriteError: A file cannot be written.
    """
    (out / case).mkdir()
    notes, written = [], []
    for bone in BONES:
        mesh = _mesh(_files(predictions / case, bone), f"{case}, {bone}")
        target = mesh_file(out, case, bone)
        write_mesh(target, mesh)
        read_bone(out, case, bone)  # refuses what the evaluation would refuse
        written.append(target.relative_to(out).as_posix())
        if not mesh.is_watertight:
            notes.append(f"{bone} is open: its DSC is undefined")
    return Packed(case, tuple(written), tuple(notes))


def _files(folder: Path, bone: str) -> list[Path]:
    """The meshes that could be a bone."""
    names = (f"sub_{BONES.index(bone)}", bone)
    return [path for name in names for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]


def _mesh(files: Sequence[Path], name: str) -> Mesh:
    if len(files) > 1:
        raise InputError(f"{name}: {len(files)} meshes, one is expected\n  " + "\n  ".join(map(str, files)))
    try:
        return read_mesh(files[0])
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
