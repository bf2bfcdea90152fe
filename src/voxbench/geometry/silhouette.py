"""The shadow of a mesh on a detector."""

from __future__ import annotations

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.projection import View
from voxbench.types import AnyArray


def silhouette(mesh: Mesh, view: View) -> AnyArray:
    """Which pixels lie in the shadow of a mesh, without noise and without a volume.

    A pixel is in the shadow exactly where the ray to its centre meets a triangle; the triangle's border belongs to it.
    A perspective view takes triangles to triangles, so that this is no approximation (up to the rounding of float64).

    Args:
        mesh: The surface, open or closed, in the world.
        view: Where from.

    Returns:
        True in the shadow, bool (rows, columns).

    Raises:
        InputError: Part of the mesh lies beside or behind the source.
    """
    from voxbench import _core

    pixels = view.project(mesh.vertices)
    used = np.unique(mesh.faces)
    lost = int(np.isnan(pixels[used]).any(axis=1).sum())
    if lost:
        raise InputError(
            f"{lost} of {len(used)} vertices lie beside or behind the X-ray source\n  {mesh!r}\n  {view!r}\n"
            "  are both in mm, and in one world?"
        )
    return _core.silhouette(np.nan_to_num(pixels), mesh.faces, *view.shape).view(np.bool_)
