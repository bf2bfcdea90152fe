"""Where lymph nodes of a real chest CT may be planted: the fat between the lungs."""

from __future__ import annotations

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry import LabelMap, Volume, require_same_grid
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.types import Mask

FAT_HU = (-150.0, -30.0)
AIR_HU = -500.0
OUTSIDE_HU = -940.0
"""What is airier and reaches the edge is the air around the body."""
BONE_HU = 250.0
BONE_MM = 8.0
LUNG_ML = 300.0
CHEST_SHARE = 0.7
"""Slices whose lungs fill less of their hull than this much of what they do where they are widest show the abdomen."""


def mediastinal_fat(ct: Volume, structures: LabelMap | None = None) -> Mask:
    """Fat between the lungs, without anything that is labelled.

    The lungs are the large airy parts that do not reach the edge of the axial slices. Between them lies, slice by
    slice, what their convex hull holds besides them; voxels near bone are left out, so that the back and the chest wall
    are not taken for mediastinum, and so are slices of which the lungs fill little: there lies the abdomen.

    Args:
        ct: HU; any orientation.
        structures: Labelled organs, e.g. TotalSegmentator's, on the same grid; nodes lie in none of them.

    Raises:
        GridMismatchError: The structures lie on another grid.
        EmptyShapeError: No lungs, or no fat between them.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    if structures is not None:
        require_same_grid(ct.grid, structures.grid, ("CT", "structures"))
    smooth = gaussian_filter(ct.array.astype(np.float32), 0.6 / ct.grid.spacing)
    up = world_axis_of_voxel_axis(ct.grid.direction).index(2)
    airy = lungs_of(smooth, ct)
    if not airy.any():
        raise EmptyShapeError(f"no lungs: no airy part (below {AIR_HU:g} HU) of {LUNG_ML:g} ml inside the body")
    between = _between(airy, up)
    far = np.asarray(distance_transform_edt(smooth < BONE_HU, sampling=ct.grid.spacing)) > BONE_MM
    fat = (smooth > FAT_HU[0]) & (smooth < FAT_HU[1]) & between & far
    if structures is not None:
        fat &= structures.array == 0
    if not fat.any():
        raise EmptyShapeError("no fat between the lungs: is this a chest CT in HU?")
    return fat


def lungs_of(smooth: np.ndarray, ct: Volume) -> Mask:
    """Large airy parts within the body; none where there are no lungs.

    A part that reaches the edge of the axial slices is the air around the body, unless it is too dense for that: in a
    window on the mediastinum the lungs are cut.

    Args:
        smooth: (i, j, k), HU, with less noise.
        ct: The image that was made of.
    """
    import cc3d

    up = world_axis_of_voxel_axis(ct.grid.direction).index(2)
    numbered = np.asarray(cc3d.connected_components(np.ascontiguousarray(smooth < AIR_HU), connectivity=6))
    sizes = np.bincount(numbered.ravel()) * ct.grid.voxel_volume / 1000
    edge = {int(n) for axis in {0, 1, 2} - {up} for end in (0, -1) for n in np.unique(numbered.take(end, axis))}
    large = [n for n in range(1, len(sizes)) if sizes[n] >= LUNG_ML]
    return np.isin(numbered, [n for n in large if n not in edge or np.median(smooth[numbered == n]) > OUTSIDE_HU])


def _between(lungs: np.ndarray, up: int) -> np.ndarray:
    """Slice by slice the convex hull of the lungs without them and their rim, which goes round the outside too."""
    from scipy.ndimage import binary_dilation
    from skimage.morphology import convex_hull_image

    out = np.zeros(lungs.shape, bool)
    areas, shares = np.zeros((2, lungs.shape[up]))
    for k in range(lungs.shape[up]):
        slice_ = np.take(lungs, k, axis=up)
        if np.count_nonzero(slice_) > 20:
            place = tuple(k if axis == up else slice(None) for axis in range(3))
            hull = convex_hull_image(slice_)
            out[place] = hull & ~np.asarray(binary_dilation(slice_, np.ones((3, 3))), bool)
            areas[k], shares[k] = np.count_nonzero(slice_), np.count_nonzero(slice_) / np.count_nonzero(hull)
    chest = shares >= CHEST_SHARE * shares[areas.argmax()]
    return out & chest.reshape([-1 if axis == up else 1 for axis in range(3)])
