"""Losses for labels that are only partly there.

A voxel's label is a class (0 background), or `IGNORED`: nobody said. What is not known has no part in the supervised
losses, and its gradient is exactly 0; each strategy adds a term of its own over those voxels. Logits are (b, c, ...),
labels (b, ...) whole numbers, weights (b, ...) at least 0.

Dice: F. Milletari et al., 3DV 2016, doi:10.1109/3DV.2016.79.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

IGNORED = 255
"""The label of voxels of which nobody said what they are."""
_LEAST = 1e-12


def known(labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """How much each voxel counts, float (b, ...): its weight, and 0 where the label is `IGNORED`."""
    counted = (labels != IGNORED).float()
    return counted if weight is None else counted * weight


def cross_entropy(log_probabilities: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Mean of -log p of the labels over the voxels that count; 0 where none does."""
    found = (_hot(labels, log_probabilities.shape[1]) * log_probabilities).sum(1)
    return -(found * weight).sum() / weight.sum().clamp(min=_LEAST)


def dice_loss(probabilities: Tensor, labels: Tensor, weight: Tensor, annotated: Tensor | None = None) -> Tensor:
    """1 - mean Dice of the classes but the background, with probabilities as soft masks, over the batch as one.

    Classes that are not in the batch, and those that no case of it annotates, are left out of the mean: there is
    nothing to overlap with, and the cross entropy tells of what was found wrongly.

    Args:
        probabilities: (b, c, ...).
        labels: (b, ...).
        weight: (b, ...).
        annotated: (b, c), true where a case tells of a class; all if None.
    """
    space = tuple(range(2, probabilities.ndim))
    truth = _hot(labels, probabilities.shape[1])
    both, found, there = (
        (values * weight[:, None]).sum(space)[:, 1:] for values in (probabilities * truth, probabilities, truth)
    )
    told = torch.ones_like(both) if annotated is None else annotated[:, 1:].float()
    both, found, there = ((values * told).sum(0) for values in (both, found, there))
    dice = (2 * both + 1e-5) / (found + there + 1e-5)
    classes = (there > 0).float()
    return ((1 - dice) * classes).sum() / classes.sum().clamp(min=1)


def dice_and_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor | None = None, annotated: Tensor | None = None
) -> Tensor:
    """Sum of both over the voxels that are known.

    Args:
        logits: (b, c, ...).
        labels: (b, ...).
        weight: (b, ...); 1 if None.
        annotated: (b, c), the classes that each case tells of (`merged`); all if None.
    """
    counted = known(labels, weight)
    if annotated is None:
        log = logits.log_softmax(1)
    else:
        log, labels = merged(logits, annotated), kept(labels, annotated)
    entropy = cross_entropy(log, labels, counted)
    return entropy + dice_loss(log.exp() * _some(annotated, logits), labels, counted, annotated)


def merged(logits: Tensor, annotated: Tensor) -> Tensor:
    """Log-probabilities with the classes that a case does not tell of counted as its background.

    Where a case leaves a class undrawn, its voxels lie in what is labelled background; so the background's probability
    is the sum of theirs and its own. Channels of such classes hold 0 and mean nothing.

    G. Shi et al., Medical Image Analysis 70:101979, 2021, doi:10.1016/j.media.2021.101979.

    Args:
        logits: (b, c, ...).
        annotated: (b, c); the background's column is not looked at.
    """
    log = logits.log_softmax(1)
    some = annotated.bool().reshape(*annotated.shape, *[1] * (logits.ndim - 2))
    rest = (~some).clone()
    rest[:, 0] = True
    background = torch.where(rest, log, torch.full_like(log, -math.inf)).logsumexp(1, keepdim=True)
    others = torch.where(some[:, 1:], log[:, 1:], torch.zeros_like(log[:, 1:]))
    return torch.cat([background, others], dim=1)


def kept(labels: Tensor, annotated: Tensor) -> Tensor:
    """Labels with the classes that a case does not tell of made background."""
    told = annotated.bool().clone()
    told[:, 0] = True
    inside = labels.clamp(max=annotated.shape[1] - 1).long()
    row = torch.arange(len(labels), device=labels.device).reshape(-1, *[1] * (labels.ndim - 1))
    return torch.where((labels == IGNORED) | told[row, inside], labels, torch.zeros_like(labels))


def head_weights(heads: int) -> tuple[float, ...]:
    """What each head counts, finest first: halved from one to the next, with sum 1."""
    weights = [0.5**level for level in range(heads)]
    return tuple(weight / sum(weights) for weight in weights)


def coarser(values: Tensor, size: Sequence[int]) -> Tensor:
    """Every n-th voxel of (b, ...), for a head with ``size`` voxels, each of which begins where one of them lies."""
    steps = [-(-n // m) for n, m in zip(values.shape[1:], size, strict=True)]
    return values[(slice(None), *(slice(None, None, step) for step in steps))]


def foreground_share(probabilities: Tensor, labels: Tensor, share: float) -> Tensor:
    """How far the foreground's share of the unknown voxels is from what is expected of it.

    The Kullback-Leibler divergence, in nats, of the mean probability of the foreground from a prior: KL(share || mean).
    Together with the cross entropy of what was drawn it keeps a network from calling everything foreground, and
    nothing.

    Args:
        probabilities: (b, c, ...).
        labels: (b, ...); the term is 0 if all are known.
        share: Of the unknown voxels that are foreground, between 0 and 1.
    """
    unknown = (labels == IGNORED).float()
    mean = ((1 - probabilities[:, 0]) * unknown).sum() / unknown.sum().clamp(min=1)
    mean = mean.clamp(1e-7, 1 - 1e-7)
    apart = share * (math.log(share) - mean.log()) + (1 - share) * (math.log1p(-share) - torch.log1p(-mean))
    return apart * (unknown.sum() > 0)


def positive_unlabelled(logits: Tensor, labels: Tensor, share: float, slack: float = 0.0) -> Tensor:
    """Non-negative risk of foreground against the rest, from voxels that are foreground and voxels that are unknown.

    With the logistic loss, Rp+ and Rp- the mean losses of drawn foreground called foreground and background, Ru- that
    of unknown voxels called background: share Rp+ + max(0, Ru- - share Rp-). Where the second term falls below
    -``slack`` its gradient is turned round, as published. Known background has no part.

    R. Kiryo et al., NeurIPS 2017, arXiv:1703.00593.

    Args:
        logits: (b, c, ...).
        labels: (b, ...).
        share: Of the voxels (unknown and drawn alike) that are foreground.
        slack: How far below 0 the second term may fall.
    """
    score = logits[:, 1:].logsumexp(1) - logits[:, 0]
    positive, unlabelled = ((labels > 0) & (labels != IGNORED)).float(), (labels == IGNORED).float()

    def mean(values: Tensor, over: Tensor) -> Tensor:
        return (values * over).sum() / over.sum().clamp(min=1)

    attracted = share * mean(softplus(-score), positive)
    repelled = mean(softplus(score), unlabelled) - share * mean(softplus(score), positive)
    value = attracted + repelled.clamp(min=-slack)
    descent = torch.where(repelled < -slack, -repelled, attracted + repelled)
    return descent + (value - descent).detach()


def cross_pseudo(first: Tensor, second: Tensor, where: Tensor) -> Tensor:
    """Each branch learns what the other holds for most likely: the sum of both cross entropies.

    X. Chen et al., CVPR 2021, arXiv:2106.01226.

    Args:
        first: Logits (b, c, ...).
        second: Logits of the other branch.
        where: (b, ...), how much each voxel counts.
    """
    ours, theirs = first.log_softmax(1), second.log_softmax(1)
    return cross_entropy(ours, theirs.argmax(1).detach(), where) + cross_entropy(theirs, ours.argmax(1).detach(), where)


def mixed_pseudo(first: Tensor, second: Tensor, where: Tensor, share: Tensor, temperature: float = 0.3) -> Tensor:
    """Both branches learn a sharpened mixture of what they hold: the mean of both soft cross entropies.

    X. Luo et al., MICCAI 2022, arXiv:2203.02106.

    Args:
        first: Logits (b, c, ...).
        second: Logits of the other branch.
        where: (b, ...), how much each voxel counts.
        share: (b,), of the first in the mixture; drawn anew for every batch.
        temperature: Below 1 sharpens.
    """
    part = share.reshape(-1, *[1] * (first.ndim - 1))
    mixture = part * first.softmax(1) + (1 - part) * second.softmax(1)
    target = (mixture.clamp(min=_LEAST).log() / temperature).softmax(1).detach()
    losses = [-((target * logits.log_softmax(1)).sum(1) * where).sum() for logits in (first, second)]
    return (losses[0] + losses[1]) / (2 * where.sum().clamp(min=_LEAST))


def ramp(done: float, until: float = 0.33) -> float:
    """From near 0 to 1 while a share ``until`` of the updates is made: exp(-5 (1 - t)^2).

    S. Laine and T. Aila, ICLR 2017, arXiv:1610.02242.
    """
    return math.exp(-5 * (1 - min(1.0, done / until)) ** 2)


def _hot(labels: Tensor, classes: int) -> Tensor:
    """(b, ...) to (b, c, ...), float; nothing where the label is no class."""
    ids = torch.arange(classes, device=labels.device).reshape(1, -1, *[1] * (labels.ndim - 1))
    return (labels[:, None] == ids).float()


def _some(annotated: Tensor | None, logits: Tensor) -> Tensor | float:
    """1 in the channels that mean something."""
    if annotated is None:
        return 1.0
    some = annotated.float().clone()
    some[:, 0] = 1
    return some.reshape(*some.shape, *[1] * (logits.ndim - 2))
