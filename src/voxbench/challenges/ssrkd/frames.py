"""Whether a CT and the bones drawn in it lie in one world, in mm and HU; what is wrong otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from voxbench.errors import InputError, NotFiniteError
from voxbench.geometry import LabelMap, Mesh, Volume, voxelise
from voxbench.types import AnyArray, Points

CT_MM = (20.0, 5000.0)
"""Longest side of a CT of a knee."""
BONES_MM = (20.0, 3000.0)
"""Longest side of the box about its bones."""
NORMALISED = (0.9, 3.0)
"""The same of vertices in -1 to 1."""
BONE_HU = 200.0
FAT_HU = -20.0
"""Every knee has voxels below this."""
WITHIN_MM, BEYOND_MM = 1.5, 2.5
"""Where the CT is looked at, on both sides of a surface."""
RISE_HU = 50.0
"""Least rise from without to within."""
RANGE_HU = (-400.0, 800.0)
SHARE_INSIDE = 0.2
ALIKE = 0.9
"""Least Dice of a bone's mesh and its label."""
MOST_POINTS = 4000
HALF_TURN = np.array([-1.0, -1.0, 1.0])


def require_ct(ct: Volume, path: Path) -> None:
    """Refuse a CT that is not in mm and HU.

    Raises:
        InputError: Its size or its values cannot be meant; both are named.
        NotFiniteError: Values are NaN or infinite.
    """
    longest = float((np.array(ct.grid.shape) * ct.grid.spacing).max())
    if not CT_MM[0] <= longest <= CT_MM[1]:
        unit = "metres" if longest < CT_MM[0] else "micrometres"
        raise InputError(
            f"{path}: the CT is {longest:.4g} mm long; plausible are {CT_MM[0]:g} to {CT_MM[1]:g}\n"
            f"  is its spacing in {unit}? it must be in mm   {ct.grid}"
        )
    if ct.array.dtype.kind == "f" and not np.isfinite(ct.array).all():
        raise NotFiniteError(f"{path}: {int((~np.isfinite(ct.array)).sum())} values are NaN or infinite")
    low, high = float(ct.array.min()), float(ct.array.max())
    if high < BONE_HU or low > FAT_HU:
        what = "no bone: no value reaches 200 HU" if high < BONE_HU else "no fat and no air: no value is below 0 HU"
        raise InputError(f"{path}: {what}\n  values  {low:.4g} to {high:.4g}\n  is it a CT in HU?")


def require_bones_mm(bones: Mapping[str, Mesh], path: Path) -> None:
    """Refuse bones that are not in mm.

    Raises:
        InputError: The box about them is too small or too large.
    """
    low, high = bounds_of(bones)
    longest = float((high - low).max())
    if BONES_MM[0] <= longest <= BONES_MM[1]:
        return
    if longest > BONES_MM[1]:
        what = "in micrometres? divide by 1000"
    elif NORMALISED[0] <= longest <= NORMALISED[1]:
        what = "normalised to -1 to 1? multiply by the factors `mesh` of spacing.npz"
    else:
        what = "in metres? multiply by 1000"
    raise InputError(f"{path}: the bones are {longest:.4g} mm long together; a knee's are 20 to 3000\n  {what}")


def require_on_bone(ct: Volume, bones: Mapping[str, Mesh], path: Path, remedy: str) -> float:
    """How many HU brighter the CT is just within the bones than just beyond them.

    Args:
        ct: HU.
        bones: In the CT's world, faces turned outwards.
        path: Where the bones come from.
        remedy: What to do where half a turn (LPS for RAS) would set them right.

    Raises:
        InputError: They lie outside the CT, or not on its bones.
    """
    share, rise = _fit(ct, bones, np.ones(3))
    if share >= SHARE_INSIDE and rise >= 2 * RISE_HU:
        other = -np.inf if rise > 300 else _fit(ct, bones, HALF_TURN)[1]
    else:
        inside, other = _fit(ct, bones, HALF_TURN)
        other = other if inside >= SHARE_INSIDE else -np.inf
    if other >= max(RISE_HU, rise + RISE_HU):
        here = "outside the CT" if share < SHARE_INSIDE else f"where the CT rises by {rise:.0f} HU"
        raise InputError(
            f"{path}: LPS taken for RAS? the bones lie {here}; after half a turn about z they lie where it rises by "
            f"{other:.0f} HU\n  {remedy}"
        )
    if share < SHARE_INSIDE:
        raise InputError(
            f"{path}: {100 * share:.0f} % of the bones' vertices lie within the CT\n"
            f"  bones  {_box(*bounds_of(bones))}\n  CT     {_box(*box_of(ct))}\n"
            "  are both of one case, and in one world?"
        )
    if rise < RISE_HU:
        raise InputError(
            f"{path}: the bones do not lie on those of the CT: {WITHIN_MM:g} mm within their surfaces it is "
            f"{rise:.0f} HU brighter than {BEYOND_MM:g} mm beyond them; at least {RISE_HU:g} expected\n"
            "  are they of this case, and moved with it?"
        )
    return rise


def require_alike(bones: Mapping[str, Mesh], labels: LabelMap, ids: Mapping[str, int], path: Path) -> None:
    """Refuse a label map that contradicts the meshes.

    Raises:
        InputError: The Dice of a bone is below 0.9.
    """
    for bone, mesh in bones.items():
        drawn, solid = labels.mask(ids[bone]), voxelise(mesh, labels.grid)
        both = 2 * int((drawn & solid).sum()) / max(1, int(drawn.sum()) + int(solid.sum()))
        if both < ALIKE:
            raise InputError(
                f"{path}: {bone}: label {ids[bone]} and the mesh beside it disagree: Dice {both:.2f}, "
                f"at least {ALIKE:g} expected\n  leave one of the two, or name the values with --labels"
            )


def bounds_of(bones: Mapping[str, Mesh]) -> tuple[np.ndarray, np.ndarray]:
    """The box about all bones, mm."""
    ends = [mesh.bounds for mesh in bones.values()]
    return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)


def box_of(ct: Volume) -> tuple[np.ndarray, np.ndarray]:
    """The box about an image's outer faces, along the world's axes, mm."""
    half = np.abs(ct.grid.direction) @ (np.array(ct.grid.shape) * ct.grid.spacing / 2)
    return ct.grid.centre - half, ct.grid.centre + half


def _fit(ct: Volume, bones: Mapping[str, Mesh], turned: np.ndarray) -> tuple[float, float]:
    """Share of the vertices within the CT, and the mean rise there; -inf where there are none."""
    share, inner, outer = [], [], []
    for mesh in bones.values():
        points, normals = _points(mesh)
        points, normals = points * turned, normals * turned
        where = ct.grid.voxel_from_world(points)
        margin = BEYOND_MM / ct.grid.spacing
        well = ((where >= margin) & (where <= np.array(ct.grid.shape) - 1 - margin)).all(axis=1)
        share.append(((where >= -0.5) & (where <= np.array(ct.grid.shape) - 0.5)).all(axis=1))
        inner.append(_hu(ct, points[well] - WITHIN_MM * normals[well]))
        outer.append(_hu(ct, points[well] + BEYOND_MM * normals[well]))
    within, beyond = np.concatenate(inner), np.concatenate(outer)
    rise = float(within.mean() - beyond.mean()) if len(within) else -np.inf
    return float(np.concatenate(share).mean()), rise


def _points(mesh: Mesh) -> tuple[Points, Points]:
    """Middles of some faces, and their outward normals."""
    chosen = np.linspace(0, len(mesh.faces) - 1, min(MOST_POINTS, len(mesh.faces))).astype(int)
    a, b, c = (corner[chosen] for corner in mesh.corners)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return (a + b + c) / 3, np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)


def _hu(ct: Volume, points: Points) -> AnyArray:
    from scipy.ndimage import map_coordinates

    at = ct.grid.voxel_from_world(points).T
    return np.clip(map_coordinates(ct.array, at, np.float32, order=1, mode="nearest"), *RANGE_HU)


def _box(low: np.ndarray, high: np.ndarray) -> str:
    return ", ".join(f"{a:.4g} to {b:.4g}" for a, b in zip(low, high, strict=True)) + " mm (x, y, z)"
