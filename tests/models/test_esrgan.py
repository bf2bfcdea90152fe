"""ESRGAN: its blocks against the paper's formula, its discriminator on any size."""

import pytest
import torch
from torch.nn.functional import conv2d, leaky_relu

from voxbench.models.esrgan import DenseBlock, Discriminator, Generator, ResidualDenseBlock
from voxbench.models.superresolution import build, build_critic


def test_a_dense_block_is_the_formula_of_the_paper():
    torch.manual_seed(0)
    block, image = DenseBlock(6, 4), torch.rand(1, 6, 7, 5)
    seen = image
    for layer in block.layers[:4]:
        seen = torch.cat([seen, leaky_relu(conv2d(seen, layer.weight, layer.bias, padding=1), 0.2)], dim=1)
    last = block.layers[4]
    expected = image + 0.2 * conv2d(seen, last.weight, last.bias, padding=1)
    torch.testing.assert_close(block(image), expected)


def test_a_residual_dense_block_adds_a_fifth_of_three_dense_blocks():
    torch.manual_seed(0)
    block, image = ResidualDenseBlock(6, 4), torch.rand(1, 6, 7, 5)
    x = image
    for dense in block.blocks:
        x = dense(x)
    torch.testing.assert_close(block(image), image + 0.2 * x)


def test_the_discriminator_takes_any_size_and_judges_each_image_by_itself():
    torch.manual_seed(0)
    critic = build_critic("esrgan")
    assert isinstance(critic, Discriminator)
    images = torch.rand(3, 1, 21, 8)
    found = critic(images)
    assert found.shape == (3, 1, 3, 1)
    torch.testing.assert_close(critic(images[1:2]), found[1:2])
    assert critic(torch.rand(1, 1, 1, 1)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("name", ["srcnn", "unet", "swinir", "unet3d"])
def test_only_esrgan_has_a_discriminator(name):
    assert build_critic(name) is None


def test_the_paper_s_generator_is_23_blocks_of_64_features():
    network = build("esrgan", 1, "paper").network
    assert isinstance(network, Generator)
    assert (len(network.body), network.first.out_channels, network.body[0].blocks[0].layers[0].out_channels) == (
        23,
        64,
        32,
    )
