"""A U-Net with a residual encoder, of any depth and of strides that follow the spacing.

U-Net in 3-D: Ö. Çiçek et al., MICCAI 2016, doi:10.1007/978-3-319-46723-8_49. Residual encoder and plans from the data:
F. Isensee et al., Nature Methods 18:203-211, 2021, doi:10.1038/s41592-020-01008-z. Heads at several resolutions: C.-Y.
Lee et al., AISTATS 2015, arXiv:1409.5185. A second decoder: X. Luo et al., MICCAI 2022, arXiv:2203.02106; a second
network: X. Chen et al., CVPR 2021, arXiv:2106.01226.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from voxbench.errors import InputError

Three = tuple[int, int, int]
Branches = tuple[tuple[Tensor, ...], ...]
"""What a network gives: per branch (one; two where two learn from each other) the heads, finest first."""


@dataclass(frozen=True)
class Stages:
    """The resolutions of a network, finest first.

    Attributes:
        features: Of each stage.
        kernels: Edges of its convolutions, odd.
        strides: From the stage before; those of the first are 1.
        blocks: Residual blocks of each in the encoder.
        heads: Resolutions at which the network answers while it learns; afterwards only the finest.
    """

    features: tuple[int, ...]
    kernels: tuple[Three, ...]
    strides: tuple[Three, ...]
    blocks: tuple[int, ...]
    heads: int = 3

    def __post_init__(self) -> None:
        """Refuse stages that do not fit together."""
        counts = {len(self.features), len(self.kernels), len(self.strides), len(self.blocks)}
        if len(counts) != 1 or counts == {0}:
            raise InputError(
                "features, kernels, strides and blocks must be of one length\n"
                f"  they are {len(self.features)}, {len(self.kernels)}, {len(self.strides)}, {len(self.blocks)}"
            )
        if self.strides[0] != (1, 1, 1):
            raise InputError(f"the first stage has the image's voxels; its strides must be 1, not {self.strides[0]}")

    @property
    def multiple(self) -> Three:
        """What the edges of an image must be multiples of."""
        i, j, k = (prod(stride[axis] for stride in self.strides) for axis in range(3))
        return i, j, k


class ResidualBlock(nn.Module):
    """Two convolutions with instance norm, added to what goes in."""

    def __init__(self, before: int, after: int, kernel: Three, stride: Three = (1, 1, 1)) -> None:
        super().__init__()
        self.first = _convolution(before, after, kernel, stride)
        self.second = nn.Sequential(_plain(after, after, kernel), nn.InstanceNorm3d(after, affine=True))
        same = before == after and stride == (1, 1, 1)
        pool = nn.Identity() if stride == (1, 1, 1) else nn.AvgPool3d(stride, stride)
        mix = nn.Sequential(nn.Conv3d(before, after, 1, bias=False), nn.InstanceNorm3d(after, affine=True))
        self.skip = nn.Identity() if same else nn.Sequential(pool, mix)
        self.last = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        """(b, before, ...) to (b, after, ...), smaller by the stride."""
        return self.last(self.second(self.first(image)) + self.skip(image))


class Encoder(nn.Module):
    """From the image to features at every stage."""

    def __init__(self, channels: int, stages: Stages) -> None:
        super().__init__()
        self.stem = _convolution(channels, stages.features[0], stages.kernels[0])
        before, made = stages.features[0], []
        for after, kernel, stride, blocks in zip(
            stages.features, stages.kernels, stages.strides, stages.blocks, strict=True
        ):
            first = ResidualBlock(before, after, kernel, stride)
            made.append(nn.Sequential(first, *(ResidualBlock(after, after, kernel) for _ in range(blocks - 1))))
            before = after
        self.stages = nn.ModuleList(made)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features, finest first."""
        x, features = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


class Decoder(nn.Module):
    """From features at every stage to what is asked for, at one or several resolutions."""

    def __init__(self, outputs: int, stages: Stages) -> None:
        super().__init__()
        lifts, mixes = [], []
        for level in range(len(stages.features) - 1):
            fine, coarse = stages.features[level : level + 2]
            stride = stages.strides[level + 1]
            lifts.append(nn.ConvTranspose3d(coarse, fine, stride, stride, bias=False))
            mixes.append(_convolution(2 * fine, fine, stages.kernels[level]))
        wanted = max(1, min(stages.heads, len(stages.features) - 1))
        heads = [nn.Conv3d(features, outputs, 1) for features in stages.features[:wanted]]
        self.lifts, self.mixes, self.heads = nn.ModuleList(lifts), nn.ModuleList(mixes), nn.ModuleList(heads)

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """(b, outputs, ...) per head, finest first; one outside training."""
        x, levels = features[-1], [features[-1]]
        for skip, lift, mix in zip(features[-2::-1], reversed(self.lifts), reversed(self.mixes), strict=True):
            x = mix(torch.cat([skip, lift(x)], dim=1))
            levels.append(x)
        finest = list(reversed(levels))
        heads = list(self.heads) if self.training else [self.heads[0]]
        return tuple(head(level) for head, level in zip(heads, finest, strict=False))


class ResidualUnet(nn.Module):
    """The network.

    Attributes:
        multiple: What images are padded to inside.
        encoder: Its encoder.
        decoders: One; two that see the same features where they learn from each other.
    """

    def __init__(self, channels: int, outputs: int, stages: Stages, decoders: int = 1) -> None:
        super().__init__()
        self.multiple = stages.multiple
        self.encoder = Encoder(channels, stages)
        self.decoders = nn.ModuleList([Decoder(outputs, stages) for _ in range(decoders)])
        self.strides = tuple(
            tuple(prod(stride[axis] for stride in stages.strides[: level + 1]) for axis in range(3))
            for level in range(len(stages.strides))
        )

    def forward(self, image: Tensor) -> Branches:
        """(b, channels, i, j, k) to per branch the logits (b, outputs, ...) of every head, finest first.

        Heads answer at their own resolution: of axis n voxels long, ceil(n / stride).
        """
        pads = [(-n) % m for n, m in zip(image.shape[2:], self.multiple, strict=True)]
        padded = nn.functional.pad(image, [a for p in reversed(pads) for a in (0, p)], mode="replicate")
        features = self.encoder(padded if any(pads) else image)
        return tuple(self._cropped(decoder(features), image) for decoder in self.decoders)

    def _cropped(self, heads: tuple[Tensor, ...], image: Tensor) -> tuple[Tensor, ...]:
        found = []
        for head, stride in zip(heads, self.strides, strict=False):
            edges = [-(-n // s) for n, s in zip(image.shape[2:], stride, strict=True)]
            found.append(head[:, :, : edges[0], : edges[1], : edges[2]])
        return tuple(found)


class Pair(nn.Module):
    """Two networks of one shape and different weights, that learn from each other.

    Attributes:
        networks: Both.
    """

    def __init__(self, first: ResidualUnet, second: ResidualUnet) -> None:
        super().__init__()
        self.networks = nn.ModuleList([first, second])

    def forward(self, image: Tensor) -> Branches:
        """As `ResidualUnet`, a branch per network."""
        return tuple(branch for network in self.networks for branch in network(image))


def build(channels: int, outputs: int, stages: Stages, branches: str = "one") -> nn.Module:
    """A network.

    Args:
        channels: Channels of the images.
        outputs: Channels of what it gives: classes with the background, then maps.
        stages: Its resolutions.
        branches: ``one``; ``decoders``, two of them behind one encoder; ``networks``, two of them.
    """
    if branches == "networks":
        return Pair(ResidualUnet(channels, outputs, stages), ResidualUnet(channels, outputs, stages))
    return ResidualUnet(channels, outputs, stages, 2 if branches == "decoders" else 1)


def _convolution(before: int, after: int, kernel: Three, stride: Three = (1, 1, 1)) -> nn.Sequential:
    return nn.Sequential(
        _plain(before, after, kernel, stride), nn.InstanceNorm3d(after, affine=True), nn.LeakyReLU(0.01, inplace=True)
    )


def _plain(before: int, after: int, kernel: Three, stride: Three = (1, 1, 1)) -> nn.Conv3d:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    layer = nn.Conv3d(before, after, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(layer.weight, a=0.01)
    return layer
