"""The compiled cone-beam projector as a torch function, with gradients for the volume and for the view."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxbench.errors import DimensionError
from voxbench.geometry.grid import Grid
from voxbench.geometry.line_integrals import adjoint, core_array, forward, plan, view_gradient


def project(volume: Tensor, beam: Tensor, grid: Grid, shape: tuple[int, int]) -> Tensor:
    """Line integrals of a volume, after Joseph; differentiable in the volume and in the view.

    The gradient of the volume is the exact adjoint, that of the view the derivative of Joseph's sum (piecewise
    smooth: it jumps where a ray passes from one pair of voxel centres to the next). Left out of the latter is what
    comes of rays that enter or leave the grid elsewhere: nothing, where the volume is 0 at its faces; fade a cut body
    out. Runs on the CPU wherever the tensors are, in float32.

    Args:
        volume: Values, (i, j, k).
        beam: `View.beam`: source, first pixel, step to the next column, to the next row; (4, 3), world, mm. float64,
            for mm at a metre leave float32 few digits.
        grid: Where the voxels lie.
        shape: Rows and columns of the detector.

    Returns:
        (rows, columns), in units of the volume times mm, on the volume's device and of its dtype.

    Raises:
        DimensionError: The volume is not of the grid's shape, or the beam not (4, 3).
    """
    if tuple(volume.shape) != grid.shape or tuple(beam.shape) != (4, 3):
        raise DimensionError(
            "a volume on its grid and a beam of (4, 3) are projected\n"
            f"  volume  {tuple(volume.shape)}\n  grid    {grid.shape}\n  beam    {tuple(beam.shape)}"
        )
    image = _Projection.apply(volume, beam, grid, shape)
    assert isinstance(image, Tensor)
    return image


def posed(beam: Tensor, rotation: Tensor, translation: Tensor, about: Tensor) -> Tensor:
    """A beam moved rigidly: turned by a rotation vector about a point, then shifted. Differentiable in all.

    Args:
        beam: (4, 3), world, mm.
        rotation: Axis times angle in radians, (3,).
        translation: mm, (3,).
        about: The point that the rotation leaves where it is, mm, (3,).

    Returns:
        (4, 3).
    """
    x, y, z = rotation.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    turn = torch.linalg.matrix_exp(cross)
    places = (beam[:2] - about) @ turn.T + about + translation
    return torch.cat([places, beam[2:] @ turn.T])


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volume: Tensor, beam: Tensor, grid: Grid, shape: tuple[int, int]) -> Tensor:
        own = plan(grid, _numbers(beam), shape)
        image = forward(core_array(_array(volume), own.axes), own, shape)
        ctx.grid, ctx.plan = grid, own
        ctx.save_for_backward(volume, beam)
        return torch.from_numpy(image).to(volume)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        volume, beam = ctx.saved_tensors
        image = _array(gradients[0])
        by_volume = by_beam = None
        if ctx.needs_input_grad[0]:
            by_volume = torch.from_numpy(adjoint(image, ctx.plan, ctx.grid.shape)).to(volume)
        if ctx.needs_input_grad[1]:
            by_beam = torch.from_numpy(view_gradient(_array(volume), ctx.grid, image, _numbers(beam))).to(beam)
        return by_volume, by_beam, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy())


def _numbers(beam: Tensor) -> np.ndarray:
    return beam.detach().to("cpu", torch.float64).numpy()
