"""The networks: sizes, parameter counts, and what a residual network gives before it has learned."""

import pytest
import torch

from voxbench.models import losses
from voxbench.models.superresolution import build, dimensions_of


@pytest.mark.parametrize(("name", "channels"), [("srcnn", 1), ("unet", 2), ("unet3d", 4)])
def test_size_in_is_size_out_for_any_size(name, channels):
    network = build(name, channels)
    shape = (2, channels, 21, 18) if dimensions_of(name) == 2 else (1, channels, 13, 10, 9)
    assert network(torch.rand(shape)).shape == (shape[0], 1, *shape[2:])


def test_parameter_counts_are_those_of_the_papers():
    count = {name: sum(p.numel() for p in build(name, 1, "paper").parameters()) for name in ("srcnn", "unet")}
    # 9*9*64+64 + 64*32+32 + 5*5*32+1, and a U-Net from 64 to 1024 features.
    assert count == {"srcnn": 8129, "unet": 31_030_593}
    assert sum(p.numel() for p in build("unet3d", 4).parameters()) * 4 < 5e6


def test_a_residual_network_starts_as_the_mean_of_its_channels():
    image = torch.rand(1, 3, 9, 8, 7)
    torch.testing.assert_close(build("unet3d", 3)(image), image.mean(dim=1, keepdim=True))


def test_losses_are_means_over_what_counts():
    prediction, target = torch.tensor([1.0, 5.0, 0.0]), torch.tensor([0.0, 0.0, 0.0])
    weight = torch.tensor([1.0, 0.0, 1.0])
    assert losses.l1(prediction, target, weight) == 0.5
    assert losses.charbonnier(prediction, target, weight) == pytest.approx((1 + 1e-3) / 2, abs=1e-4)
