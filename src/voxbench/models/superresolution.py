"""Networks that sharpen an image already resampled onto the target grid; same size in and out, in [0, 1].

SRCNN: C. Dong et al., IEEE Trans. Pattern Anal. Mach. Intell. 38(2):295-307, 2016, doi:10.1109/TPAMI.2015.2439281.
U-Net: O. Ronneberger et al., MICCAI 2015, doi:10.1007/978-3-319-24574-4_28; in 3-D Ö. Çiçek et al., MICCAI 2016,
doi:10.1007/978-3-319-46723-8_49. ESRGAN and SwinIR have files of their own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from voxbench.models.esrgan import Discriminator, Generator
from voxbench.models.swinir import Sizes, SwinIr

Name = Literal["srcnn", "unet", "esrgan", "swinir", "unet3d"]
Size = Literal["laptop", "paper"]


class Srcnn(nn.Module):
    """Three convolutions with 64 and 32 features: 9 x 9, 1 x 1 (or ``middle``) and 5 x 5.

    Attributes:
        layers: The convolutions.
    """

    def __init__(self, channels: int, middle: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 64, 9, padding=4, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(64, 32, middle, padding=middle // 2, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(32, 1, 5, padding=2, padding_mode="replicate"),
        )

    @property
    def last(self) -> nn.Module:
        """The layer that gives the image."""
        return self.layers[-1]

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, i, j) to (b, 1, i, j)."""
        return self.layers(image)


class Unet(nn.Module):
    """Encoder and decoder with skips, in two or three dimensions; no normalisation, since grey values mean something.

    Attributes:
        residual: Whether what it gives is added to the mean of the channels.
    """

    def __init__(self, channels: int, dimensions: Literal[2, 3], features: int, levels: int, residual: bool) -> None:
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
        if residual:
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
        return x + image.mean(dim=1, keepdim=True) if self.residual else x


class Onto(nn.Module):
    """What a network gives, added to one of its channels; before it has learned anything, that channel.

    Attributes:
        network: The network; its ``last`` layer gives the image.
        channel: Which channel.
    """

    def __init__(self, network: Srcnn | Unet | Generator | SwinIr, channel: int) -> None:
        super().__init__()
        self.network, self.channel = network, channel
        for parameter in network.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, ...) to (b, 1, ...)."""
        return image[:, [self.channel]] + self.network(image)


def build(name: Name, channels: int, size: Size = "laptop", base: bool = False) -> nn.Module:
    """The network of a method.

    Args:
        name: ``unet3d`` looks at volumes, the others at axial slices.
        channels: Channels that go in; of slices the first is the sequence itself.
        size: ``paper`` is the published size, see `docs/lumbarsr.md` for the parameters of each.
        base: Whether the last channel is a volume that is to be corrected: what the network gives is added to it.
            Without one ``unet3d`` corrects the mean of its channels, ``esrgan`` and ``swinir`` the first of them.
    """
    paper = size == "paper"
    if name == "srcnn":
        network = Srcnn(channels, 5 if paper else 1)
    elif name == "unet":
        network = Unet(channels, 2, 64 if paper else 16, 5, residual=False)
    elif name == "unet3d":
        network = Unet(channels, 3, 24 if paper else 12, 3, residual=not base)
    elif name == "esrgan":
        network = Generator(channels, *((64, 32, 23) if paper else (24, 12, 3)))
    else:
        network = SwinIr(channels, Sizes() if paper else Sizes(features=32, heads=4, groups=2, layers=2))
    if base:
        return Onto(network, channels - 1)
    return Onto(network, 0) if name in ("esrgan", "swinir") else network


def build_critic(name: Name, size: Size = "laptop") -> nn.Module | None:
    """The discriminator a method is trained against; None for those that have none."""
    if name != "esrgan":
        return None
    return Discriminator(64, 4) if size == "paper" else Discriminator(16, 3)


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
