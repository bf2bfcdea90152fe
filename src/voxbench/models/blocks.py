"""What networks that classify points have in common: sampling feature maps, a perceptron per point, learning in pairs.

Coordinates run from -1 to 1 over the extent of an image or a volume: -1 is the outer edge (face) of the first pixel
(voxel), 1 that of the last, so that the centre of pixel i of N lies at (2 i + 1) / N - 1. A map of half the size has
the same edges, and the same coordinates hold for it.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, leaky_relu

from voxbench.errors import DimensionError

Size = Literal["laptop", "paper"]


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Features at points, linear between the centres of pixels (voxels), constant beyond the outermost ones.

    Args:
        maps: (n, c, rows, columns) or (n, c, z, y, x).
        points: (n, p, 2) as (row, column), or (n, p, 3) as (z, y, x); -1 and 1 are the map's outer edges.

    Returns:
        (n, p, c).
    """
    dimensions = points.shape[-1]
    if maps.ndim != 2 + dimensions or len(maps) != len(points):
        raise DimensionError(
            "maps are sampled at as many coordinates as they have axes, each map at points of its own\n"
            f"  maps    {tuple(maps.shape)}\n  points  {tuple(points.shape)}"
        )
    # grid_sample wants the last axis first, and the points on a grid of their own.
    grid = points.flip(-1).reshape(len(points), -1, *([1] * (dimensions - 1)), dimensions)
    found = grid_sample(maps, grid.to(maps.dtype), mode="bilinear", padding_mode="border", align_corners=False)
    return found.flatten(2).transpose(1, 2)


class PointPerceptron(nn.Module):
    """Layers per point with leaky rectifiers between them; some of them see the point's features again.

    Attributes:
        layers: The layers.
        again: Which of them, counted from 0, are given the features beside what the layer before gave.
    """

    def __init__(self, widths: tuple[int, ...], again: Collection[int]) -> None:
        super().__init__()
        self.again = frozenset(again)
        extra = [widths[0] if number in self.again else 0 for number in range(len(widths) - 1)]
        self.layers = nn.ModuleList(
            [nn.Linear(before + more, after) for (before, after), more in zip(pairwise(widths), extra, strict=True)]
        )

    def forward(self, features: Tensor) -> Tensor:
        """(n, p, features) to logits (n, p, classes)."""
        x = features
        for number, layer in enumerate(self.layers):
            x = layer(torch.cat([x, features], dim=-1) if number in self.again else x)
            if number + 1 < len(self.layers):
                x = leaky_relu(x)
        return x


class Pair(nn.Module):
    """Two networks of one kind that begin differently and teach each other.

    Attributes:
        a: Begins after K. He et al., ICCV 2015, doi:10.1109/ICCV.2015.123. The one that is used in the end.
        b: Begins after X. Glorot and Y. Bengio, AISTATS 2010.
    """

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        super().__init__()
        self.a, self.b = a, b
        _begin(a, nn.init.kaiming_normal_)
        _begin(b, nn.init.xavier_normal_)

    def forward(self, *inputs: Tensor) -> tuple[Any, Any]:
        """What the one gives and what the other gives for the same."""
        return self.a(*inputs), self.b(*inputs)


def require_multiple(shape: tuple[int, ...], multiple: int, what: str) -> None:
    """Refuse sizes that the levels of a network cannot halve.

    Raises:
        DimensionError: A size is no multiple.
    """
    if any(n % multiple or n == 0 for n in shape):
        raise DimensionError(
            f"the network halves {what} until edges of {multiple} are one\n"
            f"  sizes must be multiples of  {multiple}\n  here they are               {tuple(shape)}\n"
            "  pad or resample first"
        )


def _begin(network: nn.Module, weights: Any) -> None:
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d, nn.ConvTranspose3d, nn.Linear)
    for layer in network.modules():
        if isinstance(layer, kinds):
            weights(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
