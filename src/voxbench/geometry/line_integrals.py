"""What a volume adds up to along the rays of a view, the adjoint, and the derivative with respect to the view.

Joseph's method reads the volume at one place per slice across each ray's main axis, by bilinear interpolation. The
volume ends at its outer faces: what a ray has of a slice there counts by its length, and between the outermost
centres and the faces values go on, so that a constant volume gives exact chords. Siddon's takes the exact length of
the ray in every voxel. Where the detector's rows or columns run along an axis of the voxels (a gantry that turns
about it), Joseph's sums are made separably, many times faster; they are the same up to rounding.

References:
    P. M. Joseph, IEEE Trans. Med. Imaging 1:192-196, 1982, doi:10.1109/TMI.1982.4307572;
    R. L. Siddon, Med. Phys. 12:252-255, 1985, doi:10.1118/1.595715.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench import _core
from voxbench.errors import InputError
from voxbench.geometry.grid import Grid
from voxbench.geometry.projection import View
from voxbench.geometry.volume import Volume
from voxbench.types import AnyArray

Method = Literal["joseph", "siddon"]
ALONG = 1e-7
"""A step whose other components are below this share runs along an axis: 5e-5 of a voxel over 512 pixels."""


@dataclass(frozen=True)
class Plan:
    """How a view of a grid is projected.

    Attributes:
        axes: The order in which the voxel axes are handed to the core.
        beam: Source, first pixel, step to the next column, to the next row, in those voxels: float64 (4, 3).
        spacing: Of those axes, mm.
        separable: Whether columns run along the last axis.
        swapped: Whether rows and columns were exchanged for that.
    """

    axes: tuple[int, int, int]
    beam: AnyArray
    spacing: AnyArray
    separable: bool
    swapped: bool


def plan(grid: Grid, beam: AnyArray, shape: tuple[int, int]) -> Plan:
    """Look whether the columns (or rows) of a detector run along an axis of the voxels.

    Args:
        grid: Where the voxels lie.
        beam: As `View.beam`: float64 (4, 3), world, mm.
        shape: Rows and columns.
    """
    to_voxel = grid.voxel_from_world
    points = np.concatenate([to_voxel(beam[:2]), beam[2:] @ to_voxel.linear.T])
    for swapped in (False, True):
        step = points[2 if swapped else 3]
        axis = int(np.abs(step).argmax())
        rest = np.delete(step, axis)
        if np.abs(rest).max() > ALONG * abs(step[axis]):
            continue
        axes = ((1, 2, 0), (0, 2, 1), (0, 1, 2))[axis]
        turned = points[:, axes].copy()
        if swapped:
            turned = turned[[0, 1, 3, 2]]
        turned[3, :2] = 0
        if _flat(turned, (shape[1], shape[0]) if swapped else shape):
            return Plan(
                (axes[0], axes[1], axes[2]), np.ascontiguousarray(turned), grid.spacing[list(axes)], True, swapped
            )
    return Plan((0, 1, 2), np.ascontiguousarray(points), grid.spacing, False, False)


def _flat(beam: AnyArray, shape: tuple[int, int]) -> bool:
    """Whether no ray runs more along the last axis than across."""
    ends = beam[1] - beam[0] + np.array([0, shape[1] - 1])[:, None] * beam[2]
    columns = ends[0] + np.linspace(0, 1, shape[1])[:, None] * (ends[1] - ends[0])
    across = np.abs(columns[:, :2]).max(axis=1)
    along = np.maximum(np.abs(columns[:, 2]), np.abs(columns[:, 2] + (shape[0] - 1) * beam[3, 2]))
    return bool((along <= 0.999 * across).all())


def line_integrals(volume: Volume, views: Sequence[View], method: Method = "joseph") -> tuple[np.ndarray, ...]:
    """Integrals of a volume along the rays to all pixel centres.

    Args:
        volume: What is integrated. uint8 and float32 are taken as they are, others as float32.
        views: Where from.
        method: ``joseph`` or ``siddon``.

    Returns:
        An image per view, float32 (rows, columns), in units of the volume times mm.

    Raises:
        InputError: A view's source lies inside the volume's box.
    """
    plans = [plan(volume.grid, _outside(volume.grid, view).beam, view.shape) for view in views]
    held: dict[tuple[int, int, int], np.ndarray] = {}
    images = []
    for view, own in zip(views, plans, strict=True):
        if method == "siddon":
            own = any_pose(volume.grid, view.beam)
        if own.axes not in held:
            held.clear()  # one reordered copy at a time
            held[own.axes] = core_array(volume.array, own.axes)
        images.append(forward(held[own.axes], own, view.shape, method))
    return tuple(images)


def back_project(image: AnyArray, view: View, grid: Grid, method: Method = "joseph") -> Volume:
    """The exact adjoint of `line_integrals`.

    Every voxel gets the sum of the pixels it counts in, each with its weight there.

    Args:
        image: float32 (rows, columns).
        view: Where from.
        grid: The voxels.
        method: That of the projection.

    Returns:
        float32, in units of the image times mm.
    """
    own = any_pose(grid, view.beam) if method == "siddon" else plan(grid, view.beam, view.shape)
    return Volume(adjoint(np.asarray(image, np.float32), own, grid.shape, method), grid)


def any_pose(grid: Grid, beam: AnyArray) -> Plan:
    """The plan that holds for every view."""
    to_voxel = grid.voxel_from_world
    points = np.concatenate([to_voxel(beam[:2]), beam[2:] @ to_voxel.linear.T])
    return Plan((0, 1, 2), np.ascontiguousarray(points), grid.spacing, False, False)


def core_array(array: AnyArray, axes: tuple[int, int, int]) -> np.ndarray:
    """An array in the order and the dtype the core takes."""
    kept = array if array.dtype in (np.uint8, np.float32) else array.astype(np.float32)
    return np.ascontiguousarray(kept.transpose(axes))


def forward(array: np.ndarray, own: Plan, shape: tuple[int, int], method: Method = "joseph") -> np.ndarray:
    """Projection of an array that is in the plan's order, float32 (rows, columns)."""
    rows, cols = shape[::-1] if own.swapped else shape
    if own.separable:
        image = _core.project_columns(array, own.beam, own.spacing, rows, cols)
    else:
        image = _core.project_rays(array, own.beam, own.spacing, rows, cols, method == "siddon")
    return np.ascontiguousarray(image.T) if own.swapped else image


def adjoint(image: np.ndarray, own: Plan, shape: tuple[int, int, int], method: Method = "joseph") -> np.ndarray:
    """The adjoint of `forward`, float32 of the grid's shape and order."""
    image = np.ascontiguousarray(image.T if own.swapped else image)
    extent = (shape[own.axes[0]], shape[own.axes[1]], shape[own.axes[2]])
    if own.separable:
        volume = _core.backproject_columns(image, own.beam, own.spacing, extent)
    else:
        volume = _core.backproject_rays(image, own.beam, own.spacing, extent, method == "siddon")
    return np.ascontiguousarray(volume.transpose(np.argsort(own.axes)))


def view_gradient(array: AnyArray, grid: Grid, image: AnyArray, beam: AnyArray) -> AnyArray:
    """How ``sum(image * line integrals)`` changes with the view (Joseph's).

    Left out is what comes of rays that enter or leave the box elsewhere: nothing, where the volume is 0 at its faces.

    Args:
        array: The volume's values, [i, j, k].
        grid: Where they lie.
        image: Weights, (rows, columns).
        beam: As `View.beam`.

    Returns:
        Derivatives with respect to the beam, float64 (4, 3), per mm.
    """
    own = any_pose(grid, beam)
    weights = np.ascontiguousarray(image, dtype=np.float32)
    by_voxel = _core.view_gradient(core_array(array, own.axes), weights, own.beam, own.spacing)
    return by_voxel @ grid.voxel_from_world.linear


def _outside(grid: Grid, view: View) -> View:
    """The view, if its source is outside the box."""
    place = grid.voxel_from_world(view.source)
    if ((place > -0.5) & (place < np.array(grid.shape) - 0.5)).all():
        raise InputError(
            "the X-ray source lies inside the volume\n"
            f"  source  {' '.join(f'{x:.4g}' for x in view.source)} mm\n  volume  {grid!r}\n"
            "  are the distances and the volume's spacing both in mm?"
        )
    return view
