"""The smooth surface of a drawn label: no staircase, the same volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.volume import LabelMap
from voxbench.types import Mask

MARGIN = 4
"""Voxels around a label; the smoothing reaches no further where its width is that of a voxel."""
REACH = 4.0
"""Of the smoothing, in its standard deviations."""
CLOSE_ENOUGH = 1e-4
ROUNDS = 6


@dataclass(frozen=True, eq=False)
class LabelSurface:
    """A surface, and what was left out.

    Attributes:
        mesh: Closed, in the world, faces counter-clockwise seen from outside.
        voxels_ml: What the label's largest piece holds, cavities filled, counted in voxels; the mesh holds as much.
        dropped_ml: What its smaller pieces hold.
        filled_ml: What its cavities hold.
    """

    mesh: Mesh
    voxels_ml: float
    dropped_ml: float
    filled_ml: float


def label_surface(labels: LabelMap, label: int, width_mm: float | None = None) -> LabelSurface:
    """The surface of a label's largest piece, below the size of a voxel, with the volume that its voxels have.

    The signed distance to the drawn border is smoothed, which takes away the steps between voxels and slices; then the
    level is sought at which the surface encloses as much as the voxels. Where the label reaches the image's border it
    ends flat, at the outer faces of the voxels.

    Args:
        labels: Label ids on a grid of any orientation.
        label: Which.
        width_mm: Standard deviation of the smoothing, mm; 0.7 of the longest side of a voxel if not given.

    Raises:
        EmptyShapeError: No voxel has the label, or what has it is smaller than the smoothing.
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter

    grid = labels.grid
    mask = labels.mask(label)
    if not mask.any():
        raise EmptyShapeError(f"no voxel has label {label}; there are {', '.join(map(str, labels.ids)) or 'none'}")
    spacing = grid.spacing
    width = 0.7 * float(spacing.max()) if width_mm is None else width_mm
    margin = np.maximum(MARGIN, np.ceil(REACH * width / spacing)).astype(int)
    start, piece, dropped = _largest(mask)
    whole: Mask = np.asarray(binary_fill_holes(piece))
    filled = int(whole.sum()) - int(piece.sum())
    before = np.minimum(margin, start)
    after = np.minimum(margin, np.array(grid.shape) - start - whole.shape)
    wide = np.pad(whole, np.stack([before, after], axis=1))
    rest = np.stack([margin - before, margin - after], axis=1)  # beyond the image it goes on as it ends
    depth = gaussian_filter(_depth(np.pad(wide, rest, mode="edge"), spacing), width / spacing, truncate=REACH)
    box = _depth_in_box(depth.shape, spacing, (start - margin, np.array(grid.shape)))
    wanted = float(whole.sum()) * grid.voxel_volume
    mesh = _enclosing(depth, box, wanted, (labels, start - margin))
    unit = grid.voxel_volume / 1000
    return LabelSurface(mesh, wanted / 1000, dropped * unit, filled * unit)


def _largest(mask: Mask) -> tuple[np.ndarray, np.ndarray, int]:
    """First voxel and content of the box about the largest piece, and how many voxels the others have."""
    from scipy.ndimage import find_objects, label

    lines = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low = np.array([line[0] for line in lines])
    cut = mask[tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)]
    pieces = np.zeros(cut.shape, np.int32)
    label(cut, output=pieces)
    sizes = np.bincount(pieces.ravel())[1:]
    chosen = int(sizes.argmax()) + 1
    where = find_objects(pieces, chosen)[chosen - 1]
    return low + [part.start for part in where], pieces[where] == chosen, int(sizes.sum() - sizes.max())


def _depth(mask: Mask, spacing: np.ndarray) -> np.ndarray:
    """Distance to the border, mm, positive inside; 0 about midway between voxel centres."""
    import edt

    sides, half = tuple(float(s) for s in spacing), float(spacing.min()) / 2
    solid = np.ascontiguousarray(mask)
    if solid.all():
        raise EmptyShapeError("the label fills the whole image: it has no surface")
    inside = edt.edt(solid, anisotropy=sides, black_border=False, parallel=1) - half
    outside = edt.edt(~solid, anisotropy=sides, black_border=False, parallel=1) - half
    return np.where(solid, inside, -outside).astype(np.float32)


def _depth_in_box(shape: tuple[int, ...], spacing: np.ndarray, where: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Distance of voxel centres to the outer faces of the image, mm, positive within it; broadcast over the axes."""
    start, size = where
    least = np.full(shape, np.inf, np.float32)
    for axis in range(3):
        at = np.arange(shape[axis]) + start[axis]
        along = np.minimum(at + 0.5, size[axis] - 0.5 - at) * spacing[axis]
        np.minimum(least, along.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)]), out=least)
    return least


def _enclosing(depth: np.ndarray, box: np.ndarray, wanted: float, place: tuple[LabelMap, np.ndarray]) -> Mesh:
    """The level surface of that volume, by secants."""
    level, mesh = 0.0, _surface(depth, box, 0.0, place)
    for _ in range(ROUNDS):
        excess = mesh.volume - wanted
        if abs(excess) < CLOSE_ENOUGH * wanted:
            break
        level += excess / mesh.area
        mesh = _surface(depth, box, level, place)
    return mesh


def _surface(depth: np.ndarray, box: np.ndarray, level: float, place: tuple[LabelMap, np.ndarray]) -> Mesh:
    from skimage.measure import marching_cubes

    labels, start = place
    field = np.minimum(depth - np.float32(level), box)
    if not (field > 0).any():
        raise EmptyShapeError("nothing is left of the label after smoothing: it is thinner than a voxel is long")
    vertices, faces, _, _ = marching_cubes(field, 0.0, gradient_direction="ascent")
    to_world = labels.grid.world_from_voxel
    if np.linalg.det(to_world.linear) < 0:
        faces = faces[:, ::-1]
    return Mesh(to_world(vertices.astype(np.float64) + start), faces)
