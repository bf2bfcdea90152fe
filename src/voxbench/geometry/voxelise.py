"""From a mesh to the voxels inside it, and from labelled voxels to their surface."""

from __future__ import annotations

import numpy as np

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry.grid import Grid
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.volume import LabelMap
from voxbench.types import Mask


def voxelise(mesh: Mesh, grid: Grid) -> Mask:
    """Which voxel centres lie inside a closed surface.

    A centre is inside where a ray from it crosses the surface an odd number of times (so a surface within another makes
    a hole). A centre on the surface belongs to the side of greater i, j, k: boxes that share a face share no voxel.

    Args:
        mesh: A closed surface; which way its faces turn does not matter. Parts outside the grid are cut off.
        grid: Where the voxels lie, in any orientation.

    Raises:
        InputError: The surface is open, so that it has no inside.
    """
    from voxbench import _core

    if not mesh.is_closed:
        raise InputError(
            f"an open surface has no inside: {mesh.open_edges} edges belong to an odd number of faces\n"
            "  close the holes in a mesh editor first"
        )
    return _core.voxelise(grid.voxel_from_world(mesh.vertices), mesh.faces, grid.shape).view(np.bool_)


def extract_mesh(labels: LabelMap, *ids: int) -> Mesh:
    """The surface of one or more labels, closed, by marching cubes halfway between voxel centres.

    Args:
        labels: Label ids on a grid of any orientation.
        ids: The labels taken together; anything but background if none is given.

    Returns:
        A closed mesh in the world, its faces counter-clockwise seen from outside.

    Raises:
        EmptyShapeError: No voxel has one of the labels.

    References:
        T. Lewiner et al., J. Graphics Tools 8(2):1-15, 2003, doi:10.1080/10867651.2003.10487582
    """
    from skimage.measure import marching_cubes

    mask = labels.mask(*ids)
    lines = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not lines[0].size:
        wanted = f"label {', '.join(map(str, ids))}" if ids else "any label"
        raise EmptyShapeError(f"no voxel has {wanted}; there are {', '.join(map(str, labels.ids)) or 'none'}")
    box = tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)
    padded = np.pad(mask[box], 1).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(padded, 0.5, gradient_direction="ascent")
    corner = np.array([line[0] - 1 for line in lines], dtype=np.float64)
    to_world = labels.grid.world_from_voxel
    if np.linalg.det(to_world.linear) < 0:
        faces = faces[:, ::-1]
    return Mesh(to_world(vertices.astype(np.float64) + corner), faces)
