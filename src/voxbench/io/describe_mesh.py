"""What a mesh file holds, for a person who wants to know before using it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxbench.io.atomic import AnyPath
from voxbench.io.meshes import READERS, read_mesh


@dataclass(frozen=True)
class MeshDescription:
    """A mesh file, described.

    Attributes:
        path: The file.
        vertices: How many.
        faces: How many.
        size_mm: Extent along x, y, z.
        area_mm2: Area of all faces.
        volume_ml: Enclosed volume; NaN if the surface is open. Negative where faces look inwards.
        closed: Whether there are no open edges.
        open_edges: How many there are.
        kind: Always ``mesh``.
    """

    path: Path
    vertices: int
    faces: int
    size_mm: tuple[float, float, float]
    area_mm2: float
    volume_ml: float
    closed: bool
    open_edges: int
    kind: str = "mesh"


def is_mesh_name(path: AnyPath) -> bool:
    """Whether the suffix is one of a mesh."""
    return Path(path).suffix.lower() in READERS


def describe_mesh(path: AnyPath) -> MeshDescription:
    """Read a mesh to its end and say what it holds.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        InputError: No triangle mesh.
    """
    mesh = read_mesh(path)
    x, y, z = (float(extent) for extent in mesh.bounds[1] - mesh.bounds[0])
    return MeshDescription(
        path=Path(path),
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        size_mm=(x, y, z),
        area_mm2=mesh.area,
        volume_ml=mesh.volume / 1000,
        closed=mesh.is_closed,
        open_edges=mesh.open_edges,
    )
