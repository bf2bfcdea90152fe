"""The bones of a CT, from meshes or a label map: closed surfaces in the CT's world, that lie on its bones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.frames import require_alike, require_bones_mm, require_on_bone
from voxbench.challenges.ssrkd.processed import case_grid
from voxbench.challenges.ssrkd.sources import Source
from voxbench.challenges.ssrkd.writing import Truth, sides_of
from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Grid, LabelMap, Mesh, Volume, voxelise
from voxbench.geometry.cut import cut_mesh
from voxbench.geometry.label_surface import label_surface
from voxbench.io import read_labels, read_mesh

BEYOND_MM = 1e-3
"""What reaches less far beyond a side is not cut there."""
SPECKS = 0.01
"""Smaller pieces of a label that together hold more than this of it are told of."""
MeshSpace = Literal["auto", "RAS", "LPS"]


@dataclass(frozen=True, eq=False)
class Bones:
    """What was found.

    Attributes:
        meshes: By bone, in the CT's world.
        kind: What they come from: meshes, or labels.
        rise_hu: How much brighter the CT is just within them than just beyond.
        warnings: What should be looked at.
    """

    meshes: Mapping[str, Mesh]
    kind: Literal["meshes", "labels"]
    rise_hu: float
    warnings: tuple[str, ...] = ()


def read_bones(source: Source, ct: Volume, ids: Mapping[str, int], space: MeshSpace = "auto") -> Bones | None:
    """The bones of a case; None if it has neither meshes nor labels.

    Where it has both, the meshes are taken, and the label map must agree with them.

    Args:
        source: Its files.
        ct: Its CT.
        ids: Label values by bone.
        space: Which way the meshes' axes point; auto: as a file states in a comment, else RAS.

    Raises:
        InputError: A file cannot be used, or does not fit the CT or the other one; case and file are named.
    """
    if source.meshes:
        path = next(iter(source.meshes.values())).parent
        meshes = {bone: _closed(source, bone, space) for bone in BONES}
        require_bones_mm(meshes, path)
        other = {"auto": "LPS, or RAS if the files state LPS", "RAS": "LPS", "LPS": "RAS"}[space]
        rise = require_on_bone(ct, meshes, path, f"give --mesh-space {other}")
        if source.labels is not None:
            require_alike(meshes, read_labels(source.labels), ids, source.labels)
        return Bones(meshes, "meshes", rise)
    if source.labels is None:
        return None
    labels = read_labels(source.labels)
    meshes, warnings = {}, []
    for bone in BONES:
        try:
            found = label_surface(labels, ids[bone])
        except EmptyShapeError as error:
            raise EmptyShapeError(f"{source.labels}: {bone}: {error}\n  --labels names the values") from error
        meshes[bone] = found.mesh
        if found.dropped_ml > SPECKS * found.voxels_ml:
            warnings.append(f"{bone}: pieces of {found.dropped_ml:.2g} ml beside the largest were left out")
    rise = require_on_bone(ct, meshes, source.labels, "correct the header of the label map")
    return Bones(meshes, "labels", rise, tuple(warnings))


def fitted(bones: Mapping[str, Mesh], ct: Grid, middle: np.ndarray, size: tuple[int, float]) -> Truth:
    """The bones within the cube and the CT, in the cube's world, and their labels.

    Args:
        bones: In the CT's world.
        ct: The CT's voxels, in its world.
        middle: Of the cube, in the CT's world.
        size: Voxels and mm along a side of the cube.

    Raises:
        InputError: A bone lies outside, or cannot be cut.
    """
    cube = case_grid(*size)
    found = {}
    for bone, mesh in bones.items():
        try:
            kept = _cut(mesh, ct)
            found[bone] = _cut(Mesh(kept.vertices - middle, kept.faces), cube)
        except EmptyShapeError as error:
            raise EmptyShapeError(f"{bone}: nothing of it lies within the CT and the cube of {size[1]:g} mm") from error
        except InputError as error:
            raise InputError(f"{bone}: cannot be cut where the CT or the cube ends: {error}") from error
    return Truth(found, labels_of(found, cube))


def labels_of(bones: Mapping[str, Mesh], grid: Grid) -> LabelMap:
    """1 to 4 in the order of `BONES` where a voxel's centre lies in a bone."""
    array = np.zeros(grid.shape, np.uint8)
    for number, bone in enumerate(BONES, 1):
        array[voxelise(bones[bone], grid)] = number
    return LabelMap(array, grid, dict(enumerate(BONES, 1)))


def side_of(bones: Mapping[str, Mesh]) -> Literal["left", "right"]:
    """Which leg: the fibula lies on the outer side of the tibia."""
    fibula, tibia = (float(np.mean(bones[bone].vertices[:, 0])) for bone in ("fibula", "tibia"))
    return "right" if fibula > tibia else "left"


def _closed(source: Source, bone: str, space: MeshSpace) -> Mesh:
    """A mesh with its faces turned outwards."""
    path = source.meshes[bone]
    mesh = read_mesh(path, space=None if space == "auto" else space)
    if not mesh.is_closed:
        raise InputError(
            f"{path}: an open surface has no inside: {mesh.open_edges} edges belong to an odd number of faces\n"
            "  close its holes in a mesh editor first"
        )
    return mesh if mesh.volume > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1])


def _cut(mesh: Mesh, box: Grid) -> Mesh:
    for plane in sides_of(box):
        if plane.heights(mesh.vertices).max() > BEYOND_MM:
            mesh = cut_mesh(mesh, plane)
    return mesh
