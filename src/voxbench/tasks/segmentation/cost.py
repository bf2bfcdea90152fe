"""What an update of a network takes, told before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod

Three = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """What decides the cost of a network.

    Attributes:
        patch: Voxels that it sees.
        features: Of each stage, finest first.
        kernels: Of each stage.
        strides: From the stage before.
        blocks: Residual blocks of each stage of the encoder.
        outputs: Channels that it gives.
        heads: Resolutions at which it gives them.
    """

    patch: Three
    features: tuple[int, ...]
    kernels: tuple[Three, ...]
    strides: tuple[Three, ...]
    blocks: tuple[int, ...]
    outputs: int
    heads: int = 3


@dataclass(frozen=True)
class Cost:
    """What an update takes.

    Attributes:
        parameters: Weights of the network.
        memory_mb: Weights, their gradients, the optimiser's moments and the average, and all that is kept for the way
            back.
        gflop: Work, 10^9 operations.
    """

    parameters: int
    memory_mb: float
    gflop: float

    def seconds(self, gflop_per_second: float) -> float:
        """How long an update takes on a machine that does so much a second: 2 cores about 40, a GPU about 10 000."""
        return self.gflop / gflop_per_second

    def __str__(self) -> str:
        """As a person would describe it."""
        return (
            f"{self.parameters / 1e6:.2f} million parameters; an update takes about {self.memory_mb:.0f} MB and "
            f"{self.gflop:.0f} GFLOP"
        )


def cost_of(layout: Layout, batch: int, channels: int = 1) -> Cost:
    """Parameters exactly, memory and work nearly.

    Args:
        layout: Of the network.
        batch: Patches per update.
        channels: Of the images.
    """
    edges, parameters, kept, work = list(layout.patch), 0, 0, 0
    voxels = []
    for stride in layout.strides:
        edges = [ceil(n / s) for n, s in zip(edges, stride, strict=True)]
        voxels.append(prod(edges))

    def convolution(before: int, after: int, kernel: int, where: int, features: int | None = None) -> None:
        nonlocal parameters, kept, work
        parameters += before * after * kernel + 2 * after
        work += before * after * kernel * where
        kept += (2 * after if features is None else features) * where

    convolution(channels, layout.features[0], prod(layout.kernels[0]), voxels[0])
    before = layout.features[0]
    for stage, after in enumerate(layout.features):
        kernel, where = prod(layout.kernels[stage]), voxels[stage]
        for block in range(layout.blocks[stage]):
            convolution(before, after, kernel, where)
            convolution(after, after, kernel, where)
            if before != after or (block == 0 and prod(layout.strides[stage]) > 1):
                convolution(before, after, 1, where, before + after)
            before = after
    for level, (fine, coarse) in enumerate(pairwise(layout.features)):
        stride = prod(layout.strides[level + 1])
        parameters += coarse * fine * stride
        work += coarse * fine * voxels[level]
        kept += 2 * fine * voxels[level]  # what is put together
        convolution(2 * fine, fine, prod(layout.kernels[level]), voxels[level])
    heads = max(1, min(layout.heads, len(layout.features) - 1))
    parameters += sum(features * layout.outputs + layout.outputs for features in layout.features[:heads])
    kept += 4 * layout.outputs * sum(voxels[:heads])
    memory = (4 * kept * batch + 5 * 4 * parameters) / 2**20
    return Cost(parameters, memory, 2 * 3 * work * batch / 1e9)
