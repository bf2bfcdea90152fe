"""Which bone a point lies in, from two radiographs: the student of SSR-KD.

Y. Lin et al., npj Digital Medicine 2026, doi:10.1038/s41746-026-02389-9. Each view has a stacked hourglass of its own
(A. Newell et al., ECCV 2016, doi:10.1007/978-3-319-46484-8_29, in the form of S. Saito et al., PIFu, ICCV 2019,
doi:10.1109/ICCV.2019.00239); a point's features are those of its two pixels, and one perceptron for all stacks tells
the classes background, patella, femur, fibula, tibia.

Differences to the published code: maps are sampled, and enlarged, with the detector's edges at -1 and 1, where that
has the centres of the outermost pixels of the map there, which stretches it by up to half of such a pixel at the rim;
and the normalisations that it counts (29.27 million parameters) and never uses are here a gain and an offset for
what passes by a residual, 1 and 0 at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from voxbench.models.blocks import PointPerceptron, Size, require_multiple, sample
from voxbench.models.ct_teacher import CLASSES, FEATURES

VIEWS = 2


@dataclass(frozen=True)
class Sizes:
    """How large.

    Attributes:
        features: Of a map; a multiple of 8 times ``groups``.
        groups: Of the normalisations.
        stacks: Hourglasses, one after the other.
        depth: Times that an hourglass halves the map.
        hidden: Widths of the perceptron between features and classes.
    """

    features: int = 256
    groups: int = 32
    stacks: int = 4
    depth: int = 2
    hidden: tuple[int, ...] = (512, 128)


LAPTOP = Sizes(features=64, groups=8, stacks=2, hidden=(128, 64))


class Residual(nn.Module):
    """Three convolutions, what each of them gives side by side, added to what went in."""

    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        widths = [before, after // 2, after // 4, after // 4]
        self.norms = nn.ModuleList([nn.GroupNorm(groups, width) for width in widths[:3]])
        self.layers = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths)])
        self.aside = _Gain(after) if before == after else _Narrow(before, after, groups)

    def forward(self, image: Tensor) -> Tensor:
        """(n, before, i, j) to (n, after, i, j)."""
        x, found = image, []
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(relu(norm(x)))
            found.append(x)
        return torch.cat(found, dim=1) + self.aside(image)


class Hourglass(nn.Module):
    """Residuals at one scale beside those at half of it, and so on."""

    def __init__(self, sizes: Sizes, depth: int) -> None:
        super().__init__()
        self.beside = _residual(sizes)
        self.before = _residual(sizes)
        self.inner = Hourglass(sizes, depth - 1) if depth > 1 else _residual(sizes)
        self.after = _residual(sizes)

    def forward(self, image: Tensor) -> Tensor:
        """(n, features, i, j) to the same."""
        low = self.after(self.inner(self.before(avg_pool2d(image, 2))))
        return self.beside(image) + interpolate(low, scale_factor=2, mode="bicubic", align_corners=False)


class Stack(nn.Module):
    """An hourglass, the map it gives, and what of both goes on to the next one; nothing does from the last."""

    def __init__(self, sizes: Sizes, last: bool) -> None:
        super().__init__()
        wide = sizes.features
        self.hourglass = nn.Sequential(Hourglass(sizes, sizes.depth), _residual(sizes))
        self.mix = nn.Sequential(nn.Conv2d(wide, wide, 1), nn.GroupNorm(sizes.groups, wide), nn.ReLU())
        self.out = nn.Conv2d(wide, wide, 1)
        self.on = None if last else nn.ModuleList([nn.Conv2d(wide, wide, 1), nn.Conv2d(wide, wide, 1)])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(n, features, i, j) to the map, and to what goes on."""
        mixed = self.mix(self.hourglass(image))
        out = self.out(mixed)
        if self.on is None:
            return out, out
        by_mixed, by_out = self.on
        return out, image + by_mixed(mixed) + by_out(out)


class StackedHourglass(nn.Module):
    """Feature maps of one view, a quarter of its size, one from each stack."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide, groups = sizes.features, sizes.groups
        self.first = nn.Sequential(
            nn.Conv2d(2, wide // 4, 7, stride=2, padding=3),
            nn.GroupNorm(groups, wide // 4),
            nn.ReLU(),
            Residual(wide // 4, wide // 2, groups),
            nn.AvgPool2d(2),
            Residual(wide // 2, wide // 2, groups),
            Residual(wide // 2, wide, groups),
        )
        self.stacks = nn.ModuleList([Stack(sizes, last=n + 1 == sizes.stacks) for n in range(sizes.stacks)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """(n, 2, rows, columns) to (n, features, rows / 4, columns / 4) from every stack."""
        x, maps = self.first(image), []
        for stack in self.stacks:
            out, x = stack(x)
            maps.append(out)
        return maps


class TwoViewStudent(nn.Module):
    """Classifies points seen in two views; `encode` once, `query` as often as there are points.

    Attributes:
        multiple: Rows and columns of an image are multiples of it.
        views: The network of each view.
        points: Tells the classes; the same for all stacks.
        project: Brings a point's features to those of the teacher.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.multiple = 4 * 2**sizes.depth
        self.views = nn.ModuleList([StackedHourglass(sizes) for _ in range(VIEWS)])
        both = VIEWS * sizes.features
        layers = range(1, len(sizes.hidden) + 1)
        self.points = PointPerceptron((both, *sizes.hidden, CLASSES), layers)
        self.project = nn.Linear(both, FEATURES, bias=False)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Feature maps of two views.

        Args:
            images: (n, 2, 2, rows, columns): the views, frontal first; in each the image with all but the bones
                dimmed, and the image. Rows and columns are multiples of ``multiple``.

        Returns:
            From each stack (n, 2, features, rows / 4, columns / 4); for `query`.

        Raises:
            DimensionError: Rows or columns are no multiple.
        """
        require_multiple(tuple(images.shape[3:]), self.multiple, "an image")
        views = [network(images[:, view]) for view, network in enumerate(self.views)]
        return [torch.stack(maps, dim=1) for maps in zip(*views, strict=True)]

    def query(self, maps: list[Tensor], pixels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Classify points.

        Args:
            maps: From `encode`; the last of them, ``maps[-1:]``, is what counts in the end.
            pixels: Where the points are seen in each view, (n, 2, p, 2) as (row, column): -1 is the outer edge of
                the detector's first row or column, 1 that of its last.

        Returns:
            From each of the maps logits (n, p, 5), and features to compare with the teacher's (n, p, 64).
        """
        features = [self._sampled(both, pixels) for both in maps]
        return [self.points(x) for x in features], [self.project(x) for x in features]

    def forward(self, images: Tensor, pixels: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """`encode` and `query`: (n, 2, 2, rows, columns), (n, 2, p, 2) to logits and features from each stack."""
        return self.query(self.encode(images), pixels)

    @staticmethod
    def _sampled(both: Tensor, pixels: Tensor) -> Tensor:
        """The features of all views side by side, (n, p, views * features)."""
        return torch.cat([sample(both[:, view], pixels[:, view]) for view in range(VIEWS)], dim=-1)


def build_two_view_student(size: Size = "laptop") -> TwoViewStudent:
    """The student.

    Args:
        size: ``paper`` has 4 stacks of 256 features, 29.27 million parameters; ``laptop`` 2 of 64, 1.0.
    """
    return TwoViewStudent(Sizes() if size == "paper" else LAPTOP)


class _Gain(nn.Module):
    """A gain and an offset for each feature, 1 and 0 at first."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, image: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None, None], image, self.weight[:, None, None])


class _Narrow(nn.Module):
    """From one number of features to another."""

    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, before)
        self.layer = nn.Conv2d(before, after, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(relu(self.norm(image)))


def _residual(sizes: Sizes) -> Residual:
    return Residual(sizes.features, sizes.features, sizes.groups)
