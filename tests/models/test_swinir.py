"""SwinIR: windows undo each other, and shifted attention is what a slow walk over the plane gives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.models.superresolution import build
from voxbench.models.swinir import (
    Layer,
    Sizes,
    SwinIr,
    WindowAttention,
    merge,
    partition,
    relative_positions,
    shift_mask,
)

SMALL = Sizes(features=6, heads=2, groups=1, layers=2, window=4)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 4, 8]))
def test_merge_undoes_partition(images, rows, columns, window):
    image = torch.rand(images, rows * window, columns * window, 3)
    windows = partition(image, window)
    assert windows.shape == (images * rows * columns, window * window, 3)
    assert torch.equal(merge(windows, (rows * window, columns * window)), image)
    assert torch.equal(windows[0], image[0, :window, :window].reshape(-1, 3))


@pytest.mark.parametrize(
    ("window", "shift", "size"), [(4, 2, (8, 12)), (4, 1, (4, 8)), (8, 4, (16, 16)), (4, 2, (4, 4))]
)
def test_the_mask_lets_pixels_see_those_that_were_near_before_the_roll(window, shift, size):
    places = torch.stack(torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij"), dim=-1)
    rolled = partition(torch.roll(places, (-shift, -shift), (0, 1))[None], window)
    # The first ``shift`` rows and columns are carried around the border, to pixels they were far from.
    for mask, at in zip(shift_mask(size, window, shift), rolled.tolist(), strict=True):
        for a, first in enumerate(at):
            for b, second in enumerate(at):
                carried = [(x < shift) != (y < shift) for x, y in zip(first, second, strict=True)]
                assert mask[a, b] == (not any(carried))


def slow_attention(attention: WindowAttention, image: torch.Tensor, window: int, shift: int) -> torch.Tensor:
    """Pixel by pixel: of all pixels of the plane those that fall into the same cell of a lattice moved by ``shift``."""
    heads, (rows, columns, features) = attention.heads, image.shape
    size = features // heads
    cell = [[((i - shift) // window, (j - shift) // window) for j in range(columns)] for i in range(rows)]
    mixed = attention.mix(image)
    out = torch.zeros_like(image)
    for i in range(rows):
        for j in range(columns):
            near = [(k, m) for k in range(rows) for m in range(columns) if cell[k][m] == cell[i][j]]
            for head in range(heads):
                at = [slice(part * features + head * size, part * features + (head + 1) * size) for part in range(3)]
                logits = torch.stack(
                    [
                        mixed[i, j, at[0]] @ mixed[k, m, at[1]] / math.sqrt(size)
                        + attention.bias[(i - k + window - 1) * (2 * window - 1) + j - m + window - 1, head]
                        for k, m in near
                    ]
                )
                values = torch.stack([mixed[k, m, at[2]] for k, m in near])
                out[i, j, head * size : (head + 1) * size] = logits.softmax(0) @ values
    return attention.out(out)


@pytest.mark.parametrize("shift", [0, 2])
@torch.no_grad()
def test_a_layer_is_what_a_slow_walk_over_the_plane_gives(shift):
    torch.manual_seed(0)
    layer, images = Layer(SMALL, shift), torch.rand(2, 8, 12, 6)
    layer.attention.bias.normal_()
    found = layer(images, shift_mask((8, 12), 4, 2))
    for image, ours in zip(images, found, strict=True):
        x = image + slow_attention(layer.attention, layer.norm(image), 4, shift)
        torch.testing.assert_close(ours, x + layer.perceptron(x), atol=1e-5, rtol=1e-5)


def test_without_its_mask_a_shifted_layer_would_see_across_the_border():
    torch.manual_seed(0)
    layer, image = Layer(SMALL, 2), torch.rand(1, 8, 8, 6)
    other = image.clone()
    other[:, -1] = torch.rand(8, 6)  # the last row
    mask = shift_mask((8, 8), 4, 2)
    assert torch.equal(layer(image, mask)[:, 0], layer(other, mask)[:, 0])
    free = torch.ones_like(mask)
    assert not torch.allclose(layer(image, free)[:, 0], layer(other, free)[:, 0])


def test_relative_positions_are_numbered_by_offset():
    numbers = relative_positions(3)
    assert numbers.shape == (9, 9)
    assert sorted(set(numbers.flatten().tolist())) == list(range(25))
    assert (numbers.diagonal() == 12).all()
    assert numbers[0, 1] == numbers[4, 5] == 11  # one column to the left


def test_odd_layers_are_shifted_by_half_a_window():
    network = build("swinir", 1).network
    assert isinstance(network, SwinIr)
    assert [layer.shift for group in network.groups for layer in group.layers] == [0, 4, 0, 4]


def test_the_border_that_fills_up_the_last_window_does_not_come_back():
    torch.manual_seed(0)
    network = SwinIr(2, SMALL)
    whole = torch.rand(1, 2, 8, 8)
    assert network(whole[:, :, :7, :6]).shape == (1, 1, 7, 6)
    cut = whole[:, :, :7, :6]
    padded = torch.nn.functional.pad(cut, (0, 2, 0, 1), mode="replicate")
    torch.testing.assert_close(network(cut), network(padded)[:, :, :7, :6])
