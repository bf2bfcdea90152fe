"""SwinIR without its enlargement: attention within windows that are shifted from layer to layer.

J. Liang et al., SwinIR: image restoration using Swin transformer, ICCV workshops 2021,
doi:10.1109/ICCVW54120.2021.00210; windows, shift and relative position bias after Z. Liu et al., ICCV 2021,
doi:10.1109/ICCV48922.2021.00986.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True)
class Sizes:
    """How large.

    Attributes:
        features: Per pixel; a multiple of ``heads``.
        heads: Of the attention.
        groups: Residual groups of layers.
        layers: Per group; every second one has its windows shifted by half.
        window: Edge of a window, pixels.
        ratio: Hidden over outer features of the perceptrons.
    """

    features: int = 180
    heads: int = 6
    groups: int = 6
    layers: int = 6
    window: int = 8
    ratio: float = 2.0


def partition(image: Tensor, window: int) -> Tensor:
    """Cut (b, i, j, c), a multiple of the window along i and j, into windows (b * n, window^2, c)."""
    b, i, j, c = image.shape
    cut = image.reshape(b, i // window, window, j // window, window, c).transpose(2, 3)
    return cut.reshape(-1, window * window, c)


def merge(windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo `partition`: (b * n, window^2, c) to (b, i, j, c)."""
    window = round(windows.shape[1] ** 0.5)
    rows, columns = size[0] // window, size[1] // window
    cut = windows.reshape(-1, rows, columns, window, window, windows.shape[2]).transpose(2, 3)
    return cut.reshape(-1, *size, windows.shape[2])


def shift_mask(size: tuple[int, int], window: int, shift: int) -> Tensor:
    """Which pixels of a window may see each other after an image was rolled by minus ``shift``.

    Pixels that the roll carried around the border are no neighbours of those already there.

    Returns:
        (n, window^2, window^2), True where one may see the other.
    """
    row, column = (torch.div(torch.arange(n) - shift, window, rounding_mode="floor") for n in size)
    # Neighbours lie in one window of the plane, where the window before the first one has a name of its own.
    name = row[:, None] * (size[1] + 1) + column[None, :]
    windows = partition(torch.roll(name, (-shift, -shift), (0, 1))[None, :, :, None], window)[..., 0]
    return windows[:, :, None] == windows[:, None, :]


def relative_positions(window: int) -> Tensor:
    """For every pair of pixels of a window the number of their offset, 0 to (2 window - 1)^2 - 1.

    Returns:
        (window^2, window^2).
    """
    at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    offset = at[:, :, None] - at[:, None, :] + window - 1
    return offset[0] * (2 * window - 1) + offset[1]


class WindowAttention(nn.Module):
    """Attention of several heads within windows, with a learned bias for every offset of two pixels.

    Attributes:
        bias: (offsets, heads).
    """

    relative: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.mix = nn.Linear(sizes.features, 3 * sizes.features)
        self.out = nn.Linear(sizes.features, sizes.features)
        self.bias = nn.Parameter(torch.zeros((2 * sizes.window - 1) ** 2, sizes.heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.register_buffer("relative", relative_positions(sizes.window), persistent=False)

    def forward(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """(b * n, pixels, features) to the same; ``mask`` (n, pixels, pixels) is True where one may see the other."""
        count, pixels, features = windows.shape
        split = self.mix(windows).reshape(count, pixels, 3, self.heads, features // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        bias = self.bias[self.relative.flatten()].reshape(1, pixels, pixels, self.heads).permute(0, 3, 1, 2)
        if mask is not None:
            bias = torch.where(mask[:, None], bias, float("-inf"))
        # (b, n, heads, pixels, ...): the bias is the same for all images.
        query, key, value = (x.unflatten(0, (-1, len(bias))) for x in (query, key, value))
        found = scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.out(found.transpose(2, 3).reshape(count, pixels, features))


class Layer(nn.Module):
    """Attention within windows, then a perceptron per pixel, each added to what went in."""

    def __init__(self, sizes: Sizes, shift: int) -> None:
        super().__init__()
        self.window, self.shift = sizes.window, shift
        hidden = int(sizes.features * sizes.ratio)
        self.norm = nn.LayerNorm(sizes.features)
        self.attention = WindowAttention(sizes)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(sizes.features),
            nn.Linear(sizes.features, hidden),
            nn.GELU(),
            nn.Linear(hidden, sizes.features),
        )

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(b, i, j, features) to the same; the mask counts where the windows are shifted."""
        rolled = torch.roll(self.norm(image), (-self.shift, -self.shift), (1, 2))
        size = (image.shape[1], image.shape[2])
        windows = self.attention(partition(rolled, self.window), mask if self.shift else None)
        image = image + torch.roll(merge(windows, size), (self.shift, self.shift), (1, 2))
        return image + self.perceptron(image)


class Group(nn.Module):
    """Layers and a convolution, added to what went in (RSTB)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        half = sizes.window // 2
        self.layers = nn.ModuleList([Layer(sizes, half * (number % 2)) for number in range(sizes.layers)])
        self.after = nn.Conv2d(sizes.features, sizes.features, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """(b, i, j, features) to the same."""
        x = image
        for layer in self.layers:
            x = layer(x, mask)
        return image + _last(self.after(_first(x)))


class SwinIr(nn.Module):
    """Convolution, groups of attention layers, convolution.

    Attributes:
        sizes: How large.
        last: The layer that gives the image.
    """

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.first = nn.Conv2d(channels, sizes.features, 3, padding=1)
        self.groups = nn.ModuleList([Group(sizes) for _ in range(sizes.groups)])
        self.norm = nn.LayerNorm(sizes.features)
        self.after = nn.Conv2d(sizes.features, sizes.features, 3, padding=1)
        self.last = nn.Conv2d(sizes.features, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, i, j) to (b, 1, i, j); any size, padded inside to whole windows."""
        window, (i, j) = self.sizes.window, image.shape[2:]
        padded = nn.functional.pad(image, (0, -j % window, 0, -i % window), mode="replicate")
        mask = shift_mask((padded.shape[2], padded.shape[3]), window, window // 2).to(image.device)
        first = self.first(padded)
        x = _last(first)
        for group in self.groups:
            x = group(x, mask)
        return self.last(first + self.after(_first(self.norm(x))))[:, :, :i, :j]


def _last(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1)


def _first(image: Tensor) -> Tensor:
    return image.permute(0, 3, 1, 2)
