"""Closed surfaces of bones out of an occupancy: where the margin of each is nought, sub-voxel, smoothed, not shrunk."""

from __future__ import annotations

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.mesh import Mesh
from voxbench.tasks.reconstruction.occupancy import BONES, Field, Occupancy, evaluate
from voxbench.types import AnyArray

SPACING_MM = 1.0
SMOOTHING = 5
SHRINK, SWELL = 0.5, -0.53
"""Steps of Taubin's filter; their pass band ends at 0.11 of the mesh's highest frequency."""
OUTSIDE = np.float32(-1e4)
"""Times the largest margin: what lies beyond the box. Bones end flat on it."""


def extract(occupancy: Occupancy, spacing_mm: float | int = SPACING_MM, smoothing: int = SMOOTHING) -> dict[str, Mesh]:
    """The bones' surfaces.

    One pass over all classes (`evaluate`); marching cubes at margin 0 in each bone's own box; the largest part of each
    (holes within it are filled); Taubin's smoothing, after which the volume is restored. Where the box cuts a bone it
    is closed with a flat lid.

    Args:
        occupancy: What classifies places.
        spacing_mm: Of the nodes at which it is read.
        smoothing: Rounds of Taubin's filter; 0 for none.

    Returns:
        Watertight meshes, world mm, by bone; bones that are not there are left out.

    Raises:
        InputError: The box is empty, or a surface did not close.

    References:
        T. Lewiner et al., J. Graphics Tools 8(2):1-15, 2003, doi:10.1080/10867651.2003.10487582
        G. Taubin, SIGGRAPH 1995, pp. 351-358, doi:10.1145/218380.218473
    """
    return surfaces(evaluate(occupancy, spacing_mm), smoothing)


def surfaces(field: Field, smoothing: int = SMOOTHING) -> dict[str, Mesh]:
    """The bones' surfaces in a field; see `extract`."""
    found = {}
    for number, bone in enumerate(BONES):
        box = _box(field.labels, number + 1)
        if box is None:
            continue
        mesh = _smoothed(*_surface(field, number, box), smoothing)
        vertices = field.low + mesh[0] * field.step
        found[bone] = Mesh(vertices, mesh[1])
        if not found[bone].is_watertight:
            raise InputError(f"the surface of the {bone} did not close ({found[bone].open_edges} open edges)")
    return found


def _box(labels: AnyArray, label: int) -> tuple[slice, slice, slice] | None:
    """The nodes of a class and those about them."""
    own = labels == label
    lines = []
    for axis in range(3):
        line = np.flatnonzero(own.any(axis=tuple({0, 1, 2} - {axis})))
        if not len(line):
            return None
        lines.append(slice(max(0, int(line[0]) - 1), min(labels.shape[axis], int(line[-1]) + 2)))
        own = own[(slice(None),) * axis + (lines[-1],)]
    return lines[0], lines[1], lines[2]


def _surface(field: Field, bone: int, box: tuple[slice, slice, slice]) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The largest closed surface: vertices in steps from the first node, faces, and which vertices lie on the lids."""
    from skimage.measure import marching_cubes

    values = field.part(bone, box)
    outside = OUTSIDE * max(np.float32(1), values.max())
    padded = np.pad(values, 1, constant_values=outside)
    vertices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="ascent")
    vertices, faces = _largest(vertices.astype(np.float64), faces)
    vertices += [part.start - 1 for part in box]
    end = np.array(field.labels.shape) - 1
    on_lid = ((vertices < 1e-3) | (vertices > end - 1e-3)).any(axis=1)
    return np.clip(vertices, 0, end), faces, np.asarray(on_lid)


def _largest(vertices: AnyArray, faces: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The connected part that encloses most; parts within it go, and with them its holes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(2 * len(faces), bool)
    links = coo_array((ones, (faces[:, :2].T.ravel(), faces[:, 1:].T.ravel())), shape=(len(vertices),) * 2)
    count, part = connected_components(links, directed=False)
    if count == 1:
        return vertices, faces
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    volumes = np.bincount(part[faces[:, 0]], np.einsum("nd,nd->n", a, np.cross(b, c)), count)
    kept = part == int(np.argmax(volumes))
    number = np.cumsum(kept) - 1
    return vertices[kept], number[faces[kept[faces[:, 0]]]]


def _smoothed(vertices: AnyArray, faces: AnyArray, held: AnyArray, rounds: int) -> tuple[AnyArray, AnyArray]:
    """Taubin's filter on all vertices but the held ones; then the volume is what it was."""
    from scipy.sparse import coo_array

    if not rounds:
        return vertices, faces
    before = _volume(vertices, faces)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])  # closed: every edge in both ways
    count = np.maximum(np.bincount(ends[:, 0], minlength=len(vertices)), 1)
    share = (1 / count)[ends[:, 0]] * ~held[ends[:, 0]]
    mean = coo_array((share, (ends[:, 0], ends[:, 1])), shape=(len(vertices),) * 2).tocsr()
    own = (~held)[:, None]
    moved = vertices
    for _ in range(rounds):
        for step in (SHRINK, SWELL):
            moved = moved + step * (mean @ moved - own * moved)
    for _ in range(2):
        a, b, c = (moved[faces[:, corner]] for corner in range(3))
        across = np.cross(b - a, c - a)
        at = faces.T.ravel()
        normals = np.stack([np.bincount(at, np.tile(across[:, d], 3), len(moved)) for d in range(3)], axis=1)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        # a shift s along the unit normals changes the volume by s times the sum of the lengths over 6
        area = float((length * own).sum()) / 6
        moved = moved + own * normals / np.maximum(length, 1e-12) * ((before - _volume(moved, faces)) / max(area, 1e-9))
    return moved, faces


def _volume(vertices: AnyArray, faces: AnyArray) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("nd,nd->", a, np.cross(b, c))) / 6
