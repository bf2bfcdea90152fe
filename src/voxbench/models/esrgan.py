"""ESRGAN without its enlargement: the input already lies on the target grid.

X. Wang et al., ESRGAN: enhanced super-resolution generative adversarial networks, ECCV 2018 workshops,
doi:10.1007/978-3-030-11021-5_5. Its perceptual loss needs a network trained on photographs and is left out. The
discriminator judges every neighbourhood, as in P. Isola et al., CVPR 2017, doi:10.1109/CVPR.2017.632, so that patches
of any size will do, and normalises by groups of channels, so that it judges each patch by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

SCALE = 0.2
"""What a residual is multiplied by, and the slope of the leaky rectifiers."""


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it gave."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [features]
        self.layers = nn.ModuleList(
            [nn.Conv2d(features + n * growth, width, 3, padding=1) for n, width in enumerate(widths)]
        )
        for layer in self.layers:
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data *= 0.1
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  (the layer has a bias)

    def forward(self, image: Tensor) -> Tensor:
        """(b, features, i, j) to the same."""
        seen = [image]
        for layer in self.layers[:-1]:
            seen.append(leaky_relu(layer(torch.cat(seen, dim=1)), SCALE))
        return image + SCALE * self.layers[-1](torch.cat(seen, dim=1))


class ResidualDenseBlock(nn.Module):
    """Three dense blocks in a residual (RRDB)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(features, growth) for _ in range(3)))

    def forward(self, image: Tensor) -> Tensor:
        """(b, features, i, j) to the same."""
        return image + SCALE * self.blocks(image)


class Generator(nn.Module):
    """The generator: residual dense blocks between convolutions.

    Attributes:
        last: The layer that gives the image.
    """

    def __init__(self, channels: int, features: int, growth: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualDenseBlock(features, growth) for _ in range(blocks)))
        self.after = nn.Conv2d(features, features, 3, padding=1)
        self.high = nn.Conv2d(features, features, 3, padding=1)
        self.last = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, i, j) to (b, 1, i, j)."""
        first = self.first(image)
        return self.last(leaky_relu(self.high(first + self.after(self.body(first))), SCALE))


class Discriminator(nn.Module):
    """Tells how real every neighbourhood of an image looks; one that is halved ``levels`` times."""

    def __init__(self, features: int, levels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, features, 3, padding=1), nn.LeakyReLU(SCALE)]
        for level in range(levels):
            before, after = features * 2 ** max(0, level - 1), features * 2**level
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.GroupNorm(8, after),
                nn.LeakyReLU(SCALE),
                nn.Conv2d(after, after, 3, padding=1, stride=2),
                nn.GroupNorm(8, after),
                nn.LeakyReLU(SCALE),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(features * 2 ** (levels - 1), 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """(b, 1, i, j) to (b, 1, i / 2^levels, j / 2^levels): more is more real; no bounds."""
        return self.layers(image)
