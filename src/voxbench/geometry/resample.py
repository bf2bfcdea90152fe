"""Bring values onto another grid, through a map or straight; interpolated once, in the compiled core."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np

from voxbench import _core
from voxbench.errors import GridMismatchError
from voxbench.geometry.affine import Affine
from voxbench.geometry.displacement import DisplacementField
from voxbench.geometry.grid import Grid
from voxbench.geometry.volume import LabelMap, Volume

Interpolation = Literal["nearest", "linear", "cubic"]
Map = Affine | DisplacementField
"""A map of world points, fixed to moving."""

_ORDER = {"nearest": 0, "linear": 1, "cubic": 3}


@overload
def resample(image: LabelMap, onto: Grid, through: Map | None = None, **options: object) -> LabelMap: ...
@overload
def resample(
    image: Volume, onto: Grid, through: Map | None = None, interpolation: Interpolation = ..., outside: float = ...
) -> Volume: ...
def resample(  # pyright: ignore[reportInconsistentOverload]
    image: Volume | LabelMap,
    onto: Grid,
    through: Map | None = None,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
) -> Volume | LabelMap:
    """Sample an image at the voxel centres of a grid.

    Onto its own grid an image comes back bit for bit. Label maps are always sampled at the nearest voxel.

    Args:
        image: What is sampled (the moving image).
        onto: The grid of the result (the fixed grid).
        through: Where a point of ``onto`` lies in the image's world: an affine map or a displacement field on ``onto``.
        interpolation: ``nearest``; ``linear``; ``cubic``, interpolating cubic B-splines.
        outside: Value of points that lie outside the image (beyond its outermost voxel centres).

    Returns:
        Labels keep their dtype; nearest keeps the image's; linear and cubic give float32 (or the image's own dtype
        when the grid is the image's own and there is no map).

    Raises:
        GridMismatchError: ``through`` is a field that lies on another grid than ``onto``.
    """
    if through is None and image.grid.same_as(onto, tolerance_mm=1e-6):
        return image
    if isinstance(image, LabelMap):
        return LabelMap(_sampled(image.array, image.grid, onto, through, 0, 0.0), onto, image.names)
    return Volume(_sampled(image.array, image.grid, onto, through, _ORDER[interpolation], outside), onto)


def _sampled(array: np.ndarray, grid: Grid, onto: Grid, through: Map | None, order: int, outside: float) -> np.ndarray:
    """The core's sampler with everything brought to voxel units."""
    moving_from_fixed = through if isinstance(through, Affine) else Affine.identity()
    image_voxel_from_voxel = grid.voxel_from_world @ moving_from_fixed.renamed("world", "world") @ onto.world_from_voxel
    matrix = np.ascontiguousarray(image_voxel_from_voxel.matrix[:3])
    field = None
    if isinstance(through, DisplacementField):
        if not through.grid.same_as(onto):
            raise GridMismatchError(f"the field lies on another grid\n  field  {through.grid!r}\n  onto   {onto!r}")
        linear = np.ascontiguousarray(grid.voxel_from_world.linear)
        field = (through.array, linear)
    if order == 0:
        out = np.empty(onto.shape, array.dtype)
        fill = np.asarray(outside).astype(array.dtype)
        _core.sample_nearest(_bits(array), onto.shape, matrix, *(field or (None, None)), _bits(fill), _bits(out))
        return out
    source = np.ascontiguousarray(array, dtype=np.float32)
    if order == 3:
        source = _core.spline_coefficients(source)
    return _core.sample(source, onto.shape, matrix, *(field or (None, None)), order, float(outside))


def _bits(array: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers, so that the core copies every dtype alike."""
    return array.view(f"u{array.dtype.itemsize}")
