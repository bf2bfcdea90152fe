"""The network of iterative instance segmentation has the published sizes and answers for patches of any size."""

from __future__ import annotations

import pytest
import torch

from voxbench.models.iis import IisNetwork


@pytest.mark.parametrize(("width", "parameters"), [(50, 1_281_307), (84, 3_609_151)])
def test_it_has_as_many_parameters_as_the_published_one(width: int, parameters: int):
    assert sum(p.numel() for p in IisNetwork(width).parameters()) == parameters


@pytest.mark.parametrize("edges", [(8, 8, 8), (16, 24, 8), (32, 32, 48)])
def test_masks_are_of_the_patch_and_labels_never_below_nothing(edges: tuple[int, int, int]):
    torch.manual_seed(0)
    masks, complete, label = IisNetwork(2)(torch.randn(3, 3, *edges))
    assert masks.shape == (3, 3, *edges)
    assert complete.shape == label.shape == (3,)
    assert (label >= 0).all()


def test_what_a_patch_gives_does_not_depend_on_its_neighbours_in_the_batch():
    torch.manual_seed(0)
    network, patches = IisNetwork(3), torch.randn(2, 3, 16, 16, 16)
    for together, alone in zip(network(patches), network(patches[1:]), strict=True):
        torch.testing.assert_close(together[1:], alone)
