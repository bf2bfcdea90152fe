"""Where in a CT the cube of a case lies, and the CT in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from voxbench.challenges.ssrkd.frames import BONE_HU, bounds_of, box_of
from voxbench.challenges.ssrkd.processed import AXES, case_grid
from voxbench.geometry import Affine, Grid, Mesh, Volume, resample
from voxbench.types import Vector3

AIR_HU = -1024.0
NAMES = ("left to right", "back to front", "along the leg")
SAME_MM = 1e-3
"""Headers round their numbers."""


@dataclass(frozen=True, eq=False)
class Placement:
    """A cube in a CT's world.

    Attributes:
        middle: Of the cube, mm; it becomes the origin.
        cropped: By the axis' name, what of the CT lies outside, mm.
        padded: The same, what of the cube lies outside the CT, mm.
    """

    middle: Vector3
    cropped: Mapping[str, float]
    padded: Mapping[str, float]


def place(ct: Volume, field_mm: float, bones: Mapping[str, Mesh] | None) -> Placement:
    """Put a cube of a given side into a CT.

    Along an axis where the CT is no longer than the cube their middles agree. Where it is longer the cube lies about
    the bones, without leaving the CT: left to right and back to front about the middle of their box, along the leg
    about the joint (midway between the femur's lower and the tibia's upper end). Without bones, about the median of the
    voxels above 200 HU, along the leg about the CT's middle.

    Args:
        ct: HU.
        field_mm: Side of the cube.
        bones: In the CT's world, or None.
    """
    low, high = box_of(ct)
    middle, length = (low + high) / 2, high - low
    longer = length > field_mm + SAME_MM
    if longer.any():
        wanted = _focus(ct, bones)
        half = field_mm / 2
        middle[longer] = np.clip(wanted[longer], (low + half)[longer], (high - half)[longer])
    over = {name: float(o) for name, o in zip(NAMES, length - field_mm, strict=True)}
    return Placement(
        middle,
        {name: round(by, 3) for name, by in over.items() if by > SAME_MM},
        {name: round(-by, 3) for name, by in over.items() if by < -SAME_MM},
    )


def in_cube(ct: Volume, placement: Placement, size: int, field_mm: float) -> Volume:
    """The CT on the cube's voxels, in a world whose origin is the cube's middle; air where there is no CT.

    Linear interpolation between voxel centres (none where the CT's voxels are the cube's); half a voxel beyond the
    outermost centres, up to the voxels' outer faces, their values hold. Where the cube's voxels are larger, the CT is
    smoothed first by as much as they are.
    """
    from scipy.ndimage import gaussian_filter

    centred = Volume(ct.array, moved(ct.grid, -placement.middle))
    cube = case_grid(size, field_mm)
    if centred.grid.same_as(cube, SAME_MM):
        return centred
    near = _around(centred, cube)
    spacing, step = near.grid.spacing, field_mm / size
    array = near.array.astype(np.float32)
    widths = np.sqrt(np.maximum(step**2 - spacing**2, 0) / 12) / spacing
    if (widths > 0.05).any():
        array = gaussian_filter(array, widths, mode="nearest", truncate=4)
    found = resample(Volume(array, near.grid), cube, outside=AIR_HU).array
    values = np.empty(cube.shape, np.int16)
    for i, covered in enumerate(_covered(centred.grid, cube)):  # slab by slab: the cube may be large
        values[i] = np.where(covered, np.clip(np.rint(found[i]), -32768, 32767), AIR_HU)
    return Volume(values, cube)


def moved(grid: Grid, by: np.ndarray) -> Grid:
    """The same voxels, elsewhere."""
    return Grid(grid.shape, Affine.from_parts(np.eye(3), by, "world", "world") @ grid.world_from_voxel)


def _focus(ct: Volume, bones: Mapping[str, Mesh] | None) -> Vector3:
    """What the cube should lie about."""
    low, high = box_of(ct)
    if bones is not None:
        first, last = bounds_of(bones)
        focus = (np.maximum(first, low) + np.minimum(last, high)) / 2
        if {"femur", "tibia"} <= set(bones):
            focus[2] = (bones["femur"].bounds[0][2] + bones["tibia"].bounds[1][2]) / 2
        return focus
    step = np.maximum(1, np.array(ct.grid.shape) // 128)
    bright = np.argwhere(ct.array[:: step[0], :: step[1], :: step[2]] >= BONE_HU) * step
    if not len(bright):
        return (low + high) / 2
    focus = np.median(ct.grid.world_from_voxel(bright.astype(np.float64)), axis=0)
    focus[2] = (low[2] + high[2]) / 2
    return focus


def _around(ct: Volume, cube: Grid) -> Volume:
    """The part of a CT that the cube touches, its outermost voxels once more beyond its border."""
    half = cube.shape[0] * float(cube.spacing[0]) / 2
    signs = np.array(np.meshgrid(*[(-half, half)] * 3)).reshape(3, -1).T
    where = ct.grid.voxel_from_world(cube.centre + signs @ AXES.T)
    first, last = np.floor(where.min(axis=0)).astype(int) - 4, np.ceil(where.max(axis=0)).astype(int) + 5
    start, stop = np.clip(first, 0, np.array(ct.grid.shape) - 1), np.clip(last, 1, ct.grid.shape)
    part = ct.array[tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))]
    begin, end = (tuple(int(n) for n in ends) for ends in (start - 1, stop + 1))
    grid = ct.grid.cropped((begin[0], begin[1], begin[2]), (end[0], end[1], end[2]))
    return Volume(np.pad(part, 1, mode="edge"), grid)


def _covered(grid: Grid, cube: Grid) -> Iterator[np.ndarray]:
    """Slab by slab of the cube, which voxels have their centres within the outer faces of an image's voxels."""
    to_voxel = (grid.voxel_from_world @ cube.world_from_voxel).matrix
    j, k = np.arange(cube.shape[1])[:, None], np.arange(cube.shape[2])[None, :]
    for i in range(cube.shape[0]):
        inside = np.ones(cube.shape[1:], bool)
        for axis in range(3):
            at = to_voxel[axis, 0] * i + to_voxel[axis, 1] * j + to_voxel[axis, 2] * k + to_voxel[axis, 3]
            inside &= (at >= -0.5 - 1e-6) & (at <= grid.shape[axis] - 0.5 + 1e-6)
        yield inside
