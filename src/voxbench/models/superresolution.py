"""Networks that sharpen an image already resampled onto the target grid; same size in and out, in [0, 1].

SRCNN: C. Dong et al., IEEE Trans. Pattern Anal. Mach. Intell. 38(2):295-307, 2016, doi:10.1109/TPAMI.2015.2439281.
U-Net, ESRGAN and SwinIR have files of their own.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from voxbench.models.esrgan import Discriminator, Generator
from voxbench.models.swinir import Sizes, SwinIr
from voxbench.models.unet import Layout, Unet

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
        network = Unet(channels, Layout(2, 64 if paper else 16, 5))
    elif name == "unet3d":
        network = Unet(channels, Layout(3, 24 if paper else 12, 3, residual=not base))
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
