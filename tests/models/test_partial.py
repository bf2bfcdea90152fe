"""Losses for partial labels against plain NumPy, and their gradients where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from voxbench.models.partial import (
    IGNORED,
    coarser,
    cross_entropy,
    cross_pseudo,
    dice_and_cross_entropy,
    dice_loss,
    foreground_share,
    head_weights,
    kept,
    known,
    merged,
    mixed_pseudo,
    positive_unlabelled,
    ramp,
)


def some(seed=0, classes=4, shape=(2, 5, 4, 3), unknown=0.4):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((shape[0], classes, *shape[1:]))
    labels = rng.integers(0, classes, shape)
    labels[rng.random(shape) < unknown] = IGNORED
    return logits, labels, rng.random(shape)


def softmax(logits):
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def tensor(array, gradient=False):
    return torch.tensor(array, dtype=torch.float64 if array.dtype.kind == "f" else torch.int64, requires_grad=gradient)


def test_cross_entropy_is_the_weighted_mean_over_known_voxels():
    logits, labels, weight = some()
    p = softmax(logits)
    total = count = 0.0
    for index in np.ndindex(*labels.shape):
        if labels[index] != IGNORED:
            total -= weight[index] * math.log(p[(index[0], labels[index], *index[1:])])
            count += weight[index]
    counted = known(tensor(labels), tensor(weight))
    found = cross_entropy(tensor(logits).log_softmax(1), tensor(labels), counted)
    assert float(found) == pytest.approx(total / count, rel=1e-6)


def test_dice_is_that_of_soft_masks_over_the_batch():
    logits, labels, weight = some()
    p, counted = softmax(logits), np.where(labels == IGNORED, 0, weight)
    dice = []
    for label in range(1, 4):
        truth = labels == label
        both = (p[:, label] * truth * counted).sum()
        dice.append((2 * both + 1e-5) / ((p[:, label] * counted).sum() + (truth * counted).sum() + 1e-5))
    found = dice_loss(tensor(p), tensor(labels), tensor(counted))
    assert float(found) == pytest.approx(1 - np.mean(dice), rel=1e-6)


@pytest.mark.parametrize("annotated", [None, [[True, True, False, True], [True, False, True, True]]])
def test_unknown_voxels_and_those_of_weight_0_have_exactly_no_gradient(annotated):
    logits, labels, weight = some()
    weight[0, 0] = 0
    given = tensor(logits, gradient=True)
    told = None if annotated is None else torch.tensor(annotated)
    dice_and_cross_entropy(given, tensor(labels), tensor(weight), told).backward()
    outside = np.broadcast_to(((labels == IGNORED) | (weight == 0))[:, None], logits.shape)
    gradient = given.grad.numpy()
    assert (gradient[outside] == 0).all()
    assert (np.abs(gradient).sum(axis=1)[~outside[:, 0]] > 0).all()


def test_what_unknown_voxels_hold_changes_nothing():
    logits, labels, _ = some()
    other = np.where((labels == IGNORED)[:, None], 50 * np.sin(logits), logits)
    a, b = (dice_and_cross_entropy(tensor(x), tensor(labels)) for x in (logits, other))
    assert float(a) == pytest.approx(float(b), abs=1e-12)


def test_nothing_known_gives_nothing():
    logits, labels, _ = some()
    given = tensor(logits, gradient=True)
    loss = dice_and_cross_entropy(given, tensor(np.full_like(labels, IGNORED)))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert not given.grad.any()


def test_a_perfect_answer_costs_nothing():
    _, labels, _ = some()
    logits = 40.0 * (np.minimum(labels, 3)[:, None] == np.arange(4).reshape(1, 4, 1, 1, 1))
    assert float(dice_and_cross_entropy(tensor(logits), tensor(labels))) == pytest.approx(0, abs=1e-6)


def test_merged_adds_undrawn_classes_to_the_background():
    logits, labels, _ = some()
    told = np.array([[True, True, False, True], [False, False, False, True]])
    p = softmax(logits)
    found = merged(tensor(logits), torch.tensor(told)).numpy()
    np.testing.assert_allclose(found[0, 0], np.log(p[0, 0] + p[0, 2]), rtol=1e-9)
    np.testing.assert_allclose(found[1, 0], np.log(p[1, 0] + p[1, 1] + p[1, 2]), rtol=1e-9)
    np.testing.assert_allclose(found[1, 3], np.log(p[1, 3]), rtol=1e-9)
    assert not found[0, 2].any()
    changed = kept(tensor(labels), torch.tensor(told)).numpy()
    assert not np.isin(changed[0], [2]).any()
    assert not np.isin(changed[1], [1, 2]).any()
    assert ((changed == IGNORED) == (labels == IGNORED)).all()
    assert (changed[0][labels[0] == 3] == 3).all()


def test_marginal_loss_is_that_of_fewer_classes():
    """Where no case tells of class 2, the loss is that of a network whose background holds both."""
    logits, labels, _ = some()
    told = torch.tensor([[True, True, False, True]] * 2)
    p = softmax(logits)
    fewer = np.log(np.stack([p[:, 0] + p[:, 2], p[:, 1], p[:, 3]], axis=1))
    renamed = np.select([labels == 3, labels == 2], [2, 0], labels)
    a = dice_and_cross_entropy(tensor(logits), tensor(labels), annotated=told)
    b = dice_and_cross_entropy(tensor(fewer), tensor(renamed))
    assert float(a) == pytest.approx(float(b), rel=1e-6)


def test_undrawn_classes_may_be_predicted_at_no_cost():
    """In a case that tells only of class 1, calling background class 2 costs nothing."""
    labels = np.zeros((1, 4, 4, 4), int)
    labels[0, :2] = 1
    told = torch.tensor([[True, True, False]])
    logits = np.zeros((1, 3, 4, 4, 4))
    logits[0, 1, :2] = logits[0, 2, 2:] = 40
    assert float(dice_and_cross_entropy(tensor(logits), tensor(labels), annotated=told)) == pytest.approx(0, abs=1e-6)
    assert float(dice_and_cross_entropy(tensor(logits), tensor(labels))) > 10


def test_a_class_that_no_case_tells_of_is_left_out_of_the_mean():
    logits, labels, _ = some(classes=3)
    p, counted = softmax(logits), np.where(labels == IGNORED, 0.0, 1.0)
    told = torch.tensor([[True, True, False]] * 2)
    only = dice_loss(tensor(p[:, :2]), tensor(np.where(labels == 2, 0, labels)), tensor(counted))
    found = dice_loss(tensor(p), tensor(labels), tensor(counted), told)
    assert float(found) == pytest.approx(float(only), rel=1e-6)


def test_foreground_share_is_the_divergence_from_the_prior():
    logits, labels, _ = some(classes=3)
    mean = 1 - softmax(logits)[:, 0][labels == IGNORED].mean()
    wanted = 0.1 * math.log(0.1 / mean) + 0.9 * math.log(0.9 / (1 - mean))
    found = foreground_share(tensor(logits).softmax(1), tensor(labels), 0.1)
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    everything = np.where(labels == IGNORED, 0, labels)
    assert float(foreground_share(tensor(logits).softmax(1), tensor(everything), 0.1)) == 0


def risks(logits, labels):
    """Of drawn voxels called foreground and background, and of unknown ones called background."""
    score = np.log(np.exp(logits[:, 1:]).sum(axis=1)) - logits[:, 0]
    positive, unknown = (labels > 0) & (labels != IGNORED), labels == IGNORED
    return (
        np.log1p(np.exp(-score[positive])).mean(),
        np.log1p(np.exp(score[positive])).mean(),
        np.log1p(np.exp(score[unknown])).mean(),
    )


def test_positive_unlabelled_risk_is_the_published_one():
    logits, labels, _ = some(classes=3)
    plus, minus, unknown = risks(logits, labels)
    given = tensor(logits, gradient=True)
    loss = positive_unlabelled(given, tensor(labels), 0.2)
    assert unknown > 0.2 * minus
    assert float(loss.detach()) == pytest.approx(0.2 * plus + unknown - 0.2 * minus, rel=1e-6)
    loss.backward()
    known_background = np.broadcast_to((labels == 0)[:, None], logits.shape)
    assert not given.grad.numpy()[known_background].any()


def test_a_negative_risk_is_cut_and_its_gradient_turned_round():
    logits, labels, _ = some(classes=2)
    logits[:, 1] += np.where(labels == IGNORED, -9.0, 9.0)  # drawn ones sure, unknown ones surely not
    plus, minus, unknown = risks(logits, labels)
    assert unknown < 0.5 * minus
    given = tensor(logits, gradient=True)
    loss = positive_unlabelled(given, tensor(labels), 0.5)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.5 * plus, rel=1e-6)
    other = tensor(logits, gradient=True)
    score = other[:, 1] - other[:, 0]
    positive, lost = tensor(labels) == 1, tensor(labels) == IGNORED
    softplus = torch.nn.functional.softplus
    (0.5 * softplus(score[positive]).mean() - softplus(score[lost]).mean()).backward()
    np.testing.assert_allclose(given.grad.numpy(), other.grad.numpy(), atol=1e-7)


def test_each_branch_learns_what_the_other_holds_for_likely():
    first, labels, where = some(1)
    second, _, _ = some(2)
    where[labels == IGNORED] = 0
    a, b = softmax(first), softmax(second)
    wanted = 0.0
    for index in np.ndindex(*labels.shape):
        place = (index[0], slice(None), *index[1:])
        wanted -= where[index] * (math.log(a[place][b[place].argmax()]) + math.log(b[place][a[place].argmax()]))
    found = cross_pseudo(tensor(first), tensor(second), tensor(where))
    assert float(found) == pytest.approx(wanted / where.sum(), rel=1e-6)


def test_mixtures_are_sharpened_and_learned_by_both():
    first, _, where = some(1)
    second, _, _ = some(2)
    share = np.array([0.2, 0.9])
    part = share.reshape(-1, 1, 1, 1, 1)
    target = (part * softmax(first) + (1 - part) * softmax(second)) ** (1 / 0.3)
    target /= target.sum(axis=1, keepdims=True)
    each = [-(target * np.log(softmax(x))).sum(axis=1) for x in (first, second)]
    wanted = (where * (each[0] + each[1]) / 2).sum() / where.sum()
    given = tensor(first, gradient=True)
    found = mixed_pseudo(given, tensor(second), tensor(where), tensor(share))
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-6)
    found.backward()  # a soft cross entropy's gradient: p - target, as if the target were given
    np.testing.assert_allclose(
        given.grad.numpy(), (softmax(first) - target) * where[:, None] / (2 * where.sum()), atol=1e-8
    )


def test_heads_count_half_from_one_to_the_next():
    assert head_weights(3) == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    assert head_weights(1) == (1,)


def test_coarser_takes_every_nth_voxel():
    values = torch.arange(2 * 7 * 4 * 3).reshape(2, 7, 4, 3)
    assert torch.equal(coarser(values, (4, 2, 3)), values[:, ::2, ::2])
    assert torch.equal(coarser(values, (7, 4, 3)), values)


def test_the_ramp_rises_from_little_to_one():
    assert ramp(0.0, 0.5) == pytest.approx(math.exp(-5))
    assert ramp(0.25, 0.5) == pytest.approx(math.exp(-1.25))
    assert ramp(0.5, 0.5) == ramp(1.0, 0.5) == 1
