"""Which bone a point of a CT lies in: the teacher of SSR-KD.

Y. Lin et al., npj Digital Medicine 2026, doi:10.1038/s41746-026-02389-9. Features come from a V-Net (F. Milletari et
al., 3DV 2016, doi:10.1109/3DV.2016.79) at 1/8, 1/4, 1/2 of the size and the whole of it; one perceptron for all four
tells the classes background, patella, femur, fibula, tibia.

Published are the sizes of the V-Net and of the perceptron, 9.98 million parameters and 111 thousand products per
point. They leave open which two layers of the perceptron see the features again (here the third and the fourth), and
whether the last does. Coordinates are those of `voxbench.models.blocks`: -1 is the outer face of the first voxel; the
published code has the voxel's centre there, half a voxel off.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from voxbench.models.blocks import Pair, PointPerceptron, Size, require_multiple, sample

CLASSES = 5
"""Background, patella, femur, fibula, tibia."""

FEATURES = 64
"""Of a point, in every head; what the student learns to imitate."""

HEADS = 4


@dataclass(frozen=True)
class Sizes:
    """How large.

    Attributes:
        filters: Of the finest level; twice as many each level down.
        depths: Convolutions of each level, the finest first; the decoder has as many.
        edge: Of the kernel of a head; a kernel of 1 is applied to the points alone, which is the same.
        hidden: Widths of the perceptron between features and classes.
        again: Its layers that see the features again.
    """

    filters: int = 16
    depths: tuple[int, ...] = (1, 2, 3, 3, 3)
    edge: int = 3
    hidden: tuple[int, ...] = (64, 128, 256, 128, 64)
    again: tuple[int, ...] = (2, 3)

    @property
    def widths(self) -> list[int]:
        """Features of each level."""
        return [self.filters * 2**level for level in range(len(self.depths))]


LAPTOP = Sizes(filters=8, depths=(1, 2, 2, 2), edge=1, hidden=(32, 64, 128, 64, 32))


class Vnet(nn.Module):
    """Encoder and decoder by strided convolutions; what the encoder found is added to what the decoder lifts."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths, depths = sizes.widths, sizes.depths
        self.first = _level(1, widths[0], depths[0])
        self.down = nn.ModuleList([_normalised(nn.Conv3d(a, b, 2, stride=2)) for a, b in pairwise(widths)])
        self.encode = nn.ModuleList([_level(w, w, d) for w, d in zip(widths[1:], depths[1:], strict=True)])
        self.lift = nn.ModuleList([_normalised(nn.ConvTranspose3d(b, a, 2, stride=2)) for a, b in pairwise(widths)])
        self.decode = nn.ModuleList([_level(w, w, d) for w, d in zip(widths[:-1], depths[:-1], strict=True)])

    def forward(self, volume: Tensor) -> list[Tensor]:
        """(n, 1, z, y, x) to the features of every level, the coarsest first."""
        skips = [self.first(volume)]
        for down, level in zip(self.down, self.encode, strict=True):
            skips.append(level(down(skips[-1])))
        maps = [skips.pop()]
        for lift, level in zip(reversed(self.lift), reversed(self.decode), strict=True):
            maps.append(level(lift(maps[-1]) + skips.pop()))
        return maps


class CtTeacher(nn.Module):
    """Classifies points of a volume; `encode` once, `query` as often as there are points.

    Attributes:
        multiple: Edges of a volume are multiples of it.
        vnet: Gives the features.
        heads: Bring those of each scale to 64.
        points: Tells the classes; the same for all scales.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.multiple = 2 ** (len(sizes.depths) - 1)
        self.dense = sizes.edge > 1
        self.vnet = Vnet(sizes)
        widths = [sizes.widths[-1], *sizes.widths[-2::-1]][-HEADS:]
        self.heads = nn.ModuleList(
            [
                nn.Conv3d(w, FEATURES, sizes.edge, padding=sizes.edge // 2) if self.dense else nn.Linear(w, FEATURES)
                for w in widths
            ]
        )
        self.points = PointPerceptron((FEATURES, *sizes.hidden, CLASSES), sizes.again)

    def encode(self, volume: Tensor) -> list[Tensor]:
        """Feature maps of a volume.

        Args:
            volume: (n, 1, z, y, x), each edge a multiple of ``multiple``.

        Returns:
            At 1/8, 1/4, 1/2 and the whole of its size, (n, c, z, y, x); for `query`.

        Raises:
            DimensionError: An edge is no multiple.
        """
        require_multiple(tuple(volume.shape[2:]), self.multiple, "a volume")
        maps = self.vnet(volume)[-HEADS:]
        return [head(found) for head, found in zip(self.heads, maps, strict=True)] if self.dense else maps

    def query(self, maps: list[Tensor], points: Tensor) -> tuple[list[Tensor], Tensor]:
        """Classify points.

        Args:
            maps: From `encode`; the last of them alone, ``maps[-1:]``, gives the last logits and the features too.
            points: (n, p, 3) as (z, y, x): -1 is the outer face of the first voxel, 1 that of the last.

        Returns:
            Logits (n, p, 5) from each of the maps, the features (n, p, 64) of the last.
        """
        heads = list(self.heads)[-len(maps) :]
        found = [sample(one, points) for one in maps]
        features = found if self.dense else [head(x) for head, x in zip(heads, found, strict=True)]
        return [self.points(x) for x in features], features[-1]

    def forward(self, volume: Tensor, points: Tensor) -> tuple[list[Tensor], Tensor]:
        """`encode` and `query`: (n, 1, z, y, x) and (n, p, 3) to four logits (n, p, 5) and features (n, p, 64)."""
        return self.query(self.encode(volume), points)


def build_ct_teacher(size: Size = "laptop") -> CtTeacher:
    """The teacher.

    Args:
        size: ``paper`` has 16 filters, five levels, 9.98 million parameters; ``laptop`` 8, four levels, 0.45.
    """
    return CtTeacher(Sizes() if size == "paper" else LAPTOP)


def build_teacher_pair(size: Size = "laptop") -> Pair:
    """Two of them, that begin differently; gives what the one gives and what the other gives."""
    return Pair(build_ct_teacher(size), build_ct_teacher(size))


def _normalised(layer: nn.Conv3d | nn.ConvTranspose3d) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm3d(layer.out_channels), nn.ReLU())


def _level(before: int, after: int, depth: int) -> nn.Sequential:
    widths = [before] + [after] * depth
    return nn.Sequential(*(_normalised(nn.Conv3d(a, b, 3, padding=1)) for a, b in pairwise(widths)))
