"""The network of iterative instance segmentation: one vertebra at a time, with a memory of those found before.

N. Lessmann et al., Medical Image Analysis 53:142-155, 2019, doi:10.1016/j.media.2019.02.005; for MRI with discs and the
canal J. van der Graaf et al., Scientific Data 11:264, 2024, doi:10.1038/s41597-024-03090-w.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool3d, instance_norm, max_pool3d

INPUTS = 3
"""The image, vertebrae found before, discs found before."""
MASKS = 3
"""The vertebra, the disc below it, the canal."""
POOLS = 3
"""Times that an image is halved."""
_CERTAINTIES = 3
"""Numbers that the head of completeness gives; the first counts."""
_MIDDLE = 10.0
"""Labels begin about here."""
_FEW = 16
"""Features at fewer places than this are not normalised: little of them would be left."""


class IisNetwork(nn.Module):
    """A U-Net of constant width, and two heads on its coarsest features.

    Each head is one convolution repeated between poolings, which with everything else gives the 1,281,307 parameters of
    the published weights (width 50) and 3,609,151 of the training's default (84). Features are normalised patch by
    patch, as batch normalisation without running statistics does with one patch a batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([_block(before, width) for before in (INPUTS, *[width] * POOLS)])
        self.lift = nn.ModuleList([_lift(width) for _ in range(POOLS)])
        self.up = nn.ModuleList([_block(2 * width, width) for _ in range(POOLS)])
        self.masks = nn.Conv3d(width, MASKS, 1)
        self.complete, self.label = _Head(width, _CERTAINTIES), _Head(width, 1)
        nn.init.constant_(
            self.label.last.bias, _MIDDLE
        )  # below 0 everywhere, where it is rectified, it would not learn

    def forward(self, patch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is seen in patches.

        Args:
            patch: (b, 3, i, j, k), edges multiples of 8.

        Returns:
            Logits of vertebra, disc and canal (b, 3, i, j, k), of completeness (b,), and labels (b,), at least 0.
        """
        x, skips = patch, []
        for level, block in enumerate(self.down):
            x = block(max_pool3d(x, 2) if level else x)
            skips.append(x)
        coarsest = x
        for skip, lift, block in zip(skips[-2::-1], self.lift, self.up, strict=True):
            x = block(torch.cat([skip, lift(x)], dim=1))
        return self.masks(x), self.complete(coarsest)[:, 0], self.label(coarsest)[:, 0].relu()


class _Head(nn.Module):
    """From features to a few numbers: the same convolution three times, between poolings."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.convolution = _convolution(width, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(b, width, i, j, k) to (b, outputs)."""
        x = max_pool3d(features, (1, min(2, features.shape[3]), min(2, features.shape[4])))
        for _ in range(3):
            x = self.convolution(x)
            x = max_pool3d(x, [min(2, n) for n in x.shape[2:]])
        return self.last(adaptive_max_pool3d(x, 1).flatten(1))


class _Normalised(nn.Module):
    """Instance normalisation; where there are few voxels only the scale and the shift that are learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        """(b, width, i, j, k), of the same shape."""
        if features.shape[2:].numel() >= _FEW:
            return instance_norm(features, weight=self.weight, bias=self.bias)
        shape = (1, -1, 1, 1, 1)
        return features * self.weight.reshape(shape) + self.bias.reshape(shape)


def _convolution(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(before, after, 3, padding=1, bias=False), _Normalised(after), nn.ReLU(inplace=True))


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_convolution(before, after), _convolution(after, after))


def _lift(width: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose3d(width, width, 2, 2, bias=False), _Normalised(width), nn.ReLU(inplace=True))
