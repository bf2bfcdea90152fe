"""U-Net in two or three dimensions.

O. Ronneberger et al., MICCAI 2015, doi:10.1007/978-3-319-24574-4_28; in 3-D Ö. Çiçek et al., MICCAI 2016,
doi:10.1007/978-3-319-46723-8_49.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layout:
    """How large a U-Net is, and what it gives.

    Attributes:
        dimensions: Of the image.
        features: Of the finest level; twice as many each level down.
        levels: How many, the finest included.
        outputs: Channels that come out.
        normalised: Whether features are normalised over the batch, and rectified without a leak; not where grey
            values mean something.
        residual: Whether what it gives is added to the mean of the channels.
    """

    dimensions: Literal[2, 3]
    features: int
    levels: int
    outputs: int = 1
    normalised: bool = False
    residual: bool = False


class Unet(nn.Module):
    """Encoder and decoder with skips.

    Attributes:
        residual: Whether what it gives is added to the mean of the channels.
        last: The layer that gives the image.
    """

    def __init__(self, channels: int, layout: Layout) -> None:
        super().__init__()
        self.residual = layout.residual
        flat = layout.dimensions == 2
        conv, up = (nn.Conv2d, nn.ConvTranspose2d) if flat else (nn.Conv3d, nn.ConvTranspose3d)
        self._pool = nn.MaxPool2d(2) if flat else nn.MaxPool3d(2)
        widths = [layout.features * 2**level for level in range(layout.levels)]
        self.down = nn.ModuleList([_block(a, b, layout) for a, b in zip([channels, *widths], widths, strict=False)])
        self.lift = nn.ModuleList([up(b, a, 2, stride=2) for a, b in pairwise(widths)])
        self.up = nn.ModuleList([_block(2 * width, width, layout) for width in widths[:-1]])
        self.last = conv(widths[0], layout.outputs, 1)
        if layout.residual:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]  (the layer has a bias)

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, ...) to (b, outputs, ...); any size, padded inside to what the levels need."""
        padded, sizes = _padded(image, 2 ** len(self.lift))
        skips, x = [], padded
        for level, block in enumerate(self.down):
            x = block(self._pool(x) if level else x)
            skips.append(x)
        for skip, lift, block in zip(skips[-2::-1], reversed(self.lift), reversed(self.up), strict=True):
            x = block(torch.cat([skip, lift(x)], dim=1))
        x = self.last(x)
        x = x[(..., *(slice(n) for n in sizes))]
        return x + image.mean(dim=1, keepdim=True) if self.residual else x


def _block(before: int, after: int, layout: Layout) -> nn.Sequential:
    """Two convolutions; one that is normalised needs no bias."""
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if layout.dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    layers: list[nn.Module] = []
    for width in (before, after):
        layers.append(conv(width, after, 3, padding=1, bias=not layout.normalised))
        layers += [norm(after), nn.ReLU()] if layout.normalised else [nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


def _padded(image: Tensor, multiple: int) -> tuple[Tensor, tuple[int, ...]]:
    sizes = tuple(image.shape[2:])
    pads = [(-n) % multiple for n in sizes]
    if not any(pads):
        return image, sizes
    flat = [amount for pad in reversed(pads) for amount in (0, pad)]
    return nn.functional.pad(image, flat, mode="replicate"), sizes
