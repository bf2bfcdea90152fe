"""Networks that sharpen an image already resampled onto the target grid; same size in and out, in [0, 1].

SRCNN: C. Dong et al., IEEE Trans. Pattern Anal. Mach. Intell. 38(2):295-307, 2016, doi:10.1109/TPAMI.2015.2439281.
U-Net: O. Ronneberger et al., MICCAI 2015, doi:10.1007/978-3-319-24574-4_28; in 3-D Ö. Çiçek et al., MICCAI 2016,
doi:10.1007/978-3-319-46723-8_49.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Name = Literal["srcnn", "unet", "unet3d"]
Size = Literal["laptop", "paper"]
Residual = Literal["nothing", "mean", "last"]


class Srcnn(nn.Module):
    """Three convolutions, 9 x 9, 1 x 1 and 5 x 5, 64 and 32 features: 8 129 parameters with one channel.

    Attributes:
        layers: The convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 64, 9, padding=4, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(64, 32, 1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 5, padding=2, padding_mode="replicate"),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, i, j) to (b, 1, i, j)."""
        return self.layers(image)


class Unet(nn.Module):
    """Encoder and decoder with skips, in two or three dimensions; no normalisation, since grey values mean something.

    Attributes:
        residual: What its output is added to: nothing, the mean of the channels, or the last channel.
    """

    def __init__(
        self, channels: int, dimensions: Literal[2, 3], features: int, levels: int, residual: Residual
    ) -> None:
        super().__init__()
        self.residual = residual
        conv, up = (nn.Conv2d, nn.ConvTranspose2d) if dimensions == 2 else (nn.Conv3d, nn.ConvTranspose3d)
        self._pool = nn.MaxPool2d(2) if dimensions == 2 else nn.MaxPool3d(2)
        widths = [features * 2**level for level in range(levels)]

        def block(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(
                conv(before, after, 3, padding=1),
                nn.LeakyReLU(0.1),
                conv(after, after, 3, padding=1),
                nn.LeakyReLU(0.1),
            )

        self.down = nn.ModuleList([block(a, b) for a, b in zip([channels, *widths[:-1]], widths, strict=True)])
        self.lift = nn.ModuleList([up(b, a, 2, stride=2) for a, b in pairwise(widths)])
        self.up = nn.ModuleList([block(2 * width, width) for width in widths[:-1]])
        self.last = conv(widths[0], 1, 1)
        if residual != "nothing":
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType]  (the layer has a bias)

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, ...) to (b, 1, ...); any size, padded inside to what the levels need."""
        padded, sizes = _padded(image, 2 ** len(self.lift))
        skips, x = [], padded
        for level, block in enumerate(self.down):
            x = block(self._pool(x) if level else x)
            skips.append(x)
        for skip, lift, block in zip(skips[-2::-1], reversed(self.lift), reversed(self.up), strict=True):
            x = block(torch.cat([skip, lift(x)], dim=1))
        x = self.last(x)
        x = x[(..., *(slice(n) for n in sizes))]
        if self.residual == "nothing":
            return x
        return x + (image[:, -1:] if self.residual == "last" else image.mean(dim=1, keepdim=True))


def build(name: Name, channels: int, size: Size = "laptop", base: str = "") -> nn.Module:
    """The network of a method.

    Args:
        name: ``srcnn`` and ``unet`` look at axial slices, ``unet3d`` at volumes.
        channels: Observations that go in.
        size: ``paper`` is the published size (31 million parameters for ``unet``); the laptop's has a sixteenth.
        base: Method whose volume is the last channel, to which ``unet3d`` adds; none: it adds to the channels' mean.
    """
    if name == "srcnn":
        return Srcnn(channels)
    if name == "unet":
        return Unet(channels, 2, 64 if size == "paper" else 16, 5, residual="nothing")
    return Unet(channels, 3, 24 if size == "paper" else 12, 3, residual="last" if base else "mean")


def dimensions_of(name: Name) -> Literal[2, 3]:
    """Whether a method looks at slices or volumes."""
    return 3 if name == "unet3d" else 2


def _padded(image: Tensor, multiple: int) -> tuple[Tensor, tuple[int, ...]]:
    sizes = tuple(image.shape[2:])
    pads = [(-n) % multiple for n in sizes]
    if not any(pads):
        return image, sizes
    flat = [amount for pad in reversed(pads) for amount in (0, pad)]
    return nn.functional.pad(image, flat, mode="replicate"), sizes
