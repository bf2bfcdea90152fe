"""Agreement of networks, next to the formulas written out in NumPy."""

import numpy as np
import pytest
import torch

from voxbench.models import agreement


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def entropy(logits, labels, weights=None):
    picked = -np.take_along_axis(log_softmax(logits), labels[..., None], axis=-1)[..., 0]
    weights = np.ones_like(picked) if weights is None else weights[labels]
    return (picked * weights).sum() / weights.sum()


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 30, 5)), rng.normal(size=(2, 30, 5)), rng.integers(0, 5, (2, 30))


def test_cross_entropy_is_the_mean_weighted_by_class(logits):
    a, _, labels = logits
    weights = np.array([1.5, 2.0, 1.0, 1.3, 1.1])
    found = agreement.cross_entropy(torch.tensor(a), torch.tensor(labels), torch.tensor(weights))
    assert float(found) == pytest.approx(entropy(a, labels, weights), rel=1e-12)
    assert float(agreement.cross_entropy(torch.tensor(a), torch.tensor(labels))) == pytest.approx(entropy(a, labels))


def test_each_network_learns_from_the_decision_of_the_other(logits):
    a, b, _ = logits
    expected = entropy(a, b.argmax(-1)) + entropy(b, a.argmax(-1))
    assert float(agreement.cross_pseudo_supervision(torch.tensor(a), torch.tensor(b))) == pytest.approx(expected)


def test_classes_may_lie_along_any_axis(logits):
    a, b, _ = (torch.tensor(x) for x in logits)
    moved = agreement.cross_pseudo_supervision(a.movedim(-1, 1), b.movedim(-1, 1), axis=1)
    torch.testing.assert_close(moved, agreement.cross_pseudo_supervision(a, b))


def test_no_gradient_passes_through_a_decision(logits):
    a, b = (torch.tensor(x, requires_grad=True) for x in logits[:2])
    agreement.cross_pseudo_supervision(a, b).backward()
    decided = np.eye(5)[logits[1].argmax(-1)]
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.numpy(), (np.exp(log_softmax(logits[0])) - decided) / 60, atol=1e-12)


def test_distillation_is_the_mean_absolute_difference_over_all_stacks():
    rng = np.random.default_rng(1)
    students, teacher = rng.normal(size=(4, 2, 10, 64)), rng.normal(size=(2, 10, 64))
    told = torch.tensor(teacher, requires_grad=True)
    mine = [torch.tensor(s, requires_grad=True) for s in students]
    found = agreement.distillation(mine, told)
    assert float(found.detach()) == pytest.approx(np.abs(students - teacher).mean())
    found.backward()
    assert told.grad is None
    assert mine[0].grad is not None


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_ramp_is_a_tenth_of_a_gaussian_of_what_is_left(t):
    assert agreement.ramp(t) == pytest.approx(0.1 * np.exp(-5 * (1 - t) ** 2))


def test_rare_bones_weigh_more_by_the_cube_root():
    found = agreement.class_weights([10, 1000, 125, 0])
    np.testing.assert_allclose(found.numpy(), [1.5, 100 ** (1 / 3), 1, 2, 10], rtol=1e-6)
    assert agreement.class_weights([0, 0, 0, 0]).tolist() == [1.5, 1, 1, 1, 1]


def test_later_stacks_weigh_half_as_much_again():
    assert agreement.stack_weights(4) == pytest.approx(np.array([1, 1.5, 2.25, 3.375]) / 8.125)
    losses = [torch.tensor(x) for x in (1.0, 2.0, 3.0, 4.0)]
    assert float(agreement.over_stacks(losses)) == pytest.approx((1 + 3 + 6.75 + 13.5) / 8.125)
    assert float(agreement.over_stacks(losses, growth=1.0)) == pytest.approx(2.5)
