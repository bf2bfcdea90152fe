"""The networks: sizes, parameter counts, and what a residual network gives before it has learned."""

import pytest
import torch

from voxbench.models import losses
from voxbench.models.superresolution import build, build_critic, dimensions_of


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize(("name", "channels"), [("srcnn", 1), ("unet", 2), ("esrgan", 2), ("swinir", 1), ("unet3d", 4)])
def test_size_in_is_size_out_for_any_size(name, channels, base):
    network = build(name, channels, base=base)
    shape = (2, channels, 21, 18) if dimensions_of(name) == 2 else (1, channels, 13, 10, 9)
    assert network(torch.rand(shape)).shape == (shape[0], 1, *shape[2:])


COUNTS = {
    # 9*9*64+64 + 64*32+32 + 5*5*32+1; at the published size 5 x 5 in the middle, which has the stated 60 thousand.
    "srcnn": (8_129, 57_281),
    # From 64 to 1024 features at the published size.
    "unet": (1_940_817, 31_030_593),
    # 23 blocks of 3 dense blocks of 239 808, and four layers around them.
    "esrgan": (314_785, 23 * 3 * 239_808 + 640 + 2 * 36_928 + 577),
    "swinir": (66_193, 11_497_321),
    "unet3d": (190_981, 762_697),
}


@pytest.mark.parametrize("name", list(COUNTS))
def test_parameter_counts_are_those_of_the_papers(name):
    count = tuple(sum(p.numel() for p in build(name, 1, size).parameters()) for size in ("laptop", "paper"))
    assert count == COUNTS[name]


def test_weights_of_ours_stay_small():
    """With all eight sequences and a base: below 5 MB."""
    count = [sum(p.numel() for p in build("unet3d", 9, size, base=True).parameters()) for size in ("laptop", "paper")]
    assert count == [193_573, 767_881]
    critics = [build_critic("esrgan", size) for size in ("laptop", "paper")]
    assert [sum(p.numel() for p in critic.parameters()) for critic in critics if critic] == [75_137, 4_729_601]


@pytest.mark.parametrize("name", ["srcnn", "unet", "esrgan", "swinir", "unet3d"])
def test_with_a_base_every_network_starts_as_the_base(name):
    image = torch.rand((1, 2, 9, 8) if dimensions_of(name) == 2 else (1, 2, 9, 8, 7))
    network = build(name, 2, base=True)
    assert torch.equal(network(image), image[:, 1:])
    network(image).sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


@pytest.mark.parametrize("name", ["esrgan", "swinir"])
def test_without_a_base_they_start_as_the_sequence(name):
    image = torch.rand(1, 2, 9, 8)
    assert torch.equal(build(name, 2)(image), image[:, :1])


def test_a_residual_network_starts_as_the_mean_of_its_channels():
    image = torch.rand(1, 3, 9, 8, 7)
    torch.testing.assert_close(build("unet3d", 3)(image), image.mean(dim=1, keepdim=True))


def test_losses_are_means_over_what_counts():
    prediction, target = torch.tensor([1.0, 5.0, 0.0]), torch.tensor([0.0, 0.0, 0.0])
    weight = torch.tensor([1.0, 0.0, 1.0])
    assert losses.l1(prediction, target, weight) == 0.5
    assert losses.charbonnier(prediction, target, weight) == pytest.approx((1 + 1e-3) / 2, abs=1e-4)
