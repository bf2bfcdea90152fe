"""The network: any size in, heads where they should be, exactly repeatable."""

from __future__ import annotations

import pytest
import torch

from voxbench.errors import InputError
from voxbench.models.partial import coarser, dice_and_cross_entropy
from voxbench.models.segmentation import Stages, build
from voxbench.tasks.segmentation.cost import Layout, cost_of

STAGES = Stages((4, 8, 12), ((1, 3, 3), (3, 3, 3), (3, 3, 3)), ((1, 1, 1), (1, 2, 2), (2, 2, 2)), (1, 2, 1))


@pytest.mark.parametrize(("branches", "count"), [("one", 1), ("decoders", 2), ("networks", 2)])
def test_heads_answer_at_their_own_resolution(branches, count):
    torch.manual_seed(0)
    model = build(1, 3, STAGES, branches)
    image = torch.randn(2, 1, 5, 10, 9)
    found = model.train()(image)
    assert len(found) == count
    assert [tuple(head.shape) for head in found[0]] == [(2, 3, 5, 10, 9), (2, 3, 5, 5, 5)]
    assert [tuple(head.shape) for head in model.eval()(image)[-1]] == [(2, 3, 5, 10, 9)]


def test_branches_differ_and_one_seed_gives_one_network():
    outputs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        first, second = build(1, 2, STAGES, "networks").eval()(torch.ones(1, 1, 4, 8, 8).cumsum(-1))
        assert not torch.equal(first[0], second[0])
        outputs.append(first[0])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_gradients_repeat_to_the_bit_and_reach_every_weight():
    torch.use_deterministic_algorithms(True)
    gradients = []
    try:
        for _ in range(2):
            torch.manual_seed(0)
            model = build(1, 2, STAGES).train()
            sum(head.square().mean() for head in model(torch.randn(1, 1, 4, 12, 12))[0]).backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(g.abs().sum() > 0 for g in gradients[0])


@pytest.mark.parametrize("stages", [STAGES, Stages((5, 5), ((3, 3, 3),) * 2, ((1, 1, 1), (2, 1, 2)), (2, 3), 1)])
def test_the_cost_told_first_is_the_cost(stages):
    """Parameters exactly; what is kept for the way back within a fifth of what torch keeps."""
    torch.manual_seed(0)
    patch = (8, 24, 24)
    model = build(1, 4, stages).train()
    told = cost_of(Layout(patch, stages.features, stages.kernels, stages.strides, stages.blocks, 4, stages.heads), 2)
    assert told.parameters == sum(parameter.numel() for parameter in model.parameters())
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        heads = model(torch.randn(2, 1, *patch))[0]
        labels = torch.zeros(2, *patch, dtype=torch.int64)
        loss = sum(dice_and_cross_entropy(head, coarser(labels, head.shape[2:])) for head in heads)
    activations = sum(size for pointer, size in kept.items() if pointer not in weights) / 2**20
    assert loss.requires_grad
    expected = told.memory_mb - 20 * told.parameters / 2**20
    assert expected == pytest.approx(activations, rel=0.2)


def test_stages_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="of one length\n  they are 2, 1, 1, 1"):
        Stages((4, 8), ((3, 3, 3),), ((1, 1, 1),), (1,))
    with pytest.raises(InputError, match=r"its strides must be 1, not \(2, 1, 1\)"):
        Stages((4,), ((3, 3, 3),), ((2, 1, 1),), (1,))
