"""What makes networks agree: with labels, with each other, with a teacher. Means over points or pixels.

Cross pseudo supervision: X. Chen et al., CVPR 2021, doi:10.1109/CVPR46437.2021.00264. Weights and ramp are those of
SSR-KD, Y. Lin et al., npj Digital Medicine 2026, doi:10.1038/s41746-026-02389-9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

BACKGROUND = 1.5
"""Weight of the background where bones have (n_max / n)^(1/3)."""


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None, axis: int = -1) -> Tensor:
    """Mean cross entropy; with weights of the classes the weighted mean (over the sum of the weights).

    Args:
        logits: Of any shape with the classes along ``axis``: the last for points, 1 for images.
        labels: Integers of that shape without the axis.
        weights: (classes,).
        axis: Where the classes lie.
    """
    rows = logits.movedim(axis, -1).reshape(-1, logits.shape[axis])
    return functional.cross_entropy(rows, labels.reshape(-1).long(), weights)


def cross_pseudo_supervision(a: Tensor, b: Tensor, axis: int = -1) -> Tensor:
    """Each network's decision teaches the other: cross entropy of the one to the other's argmax, and vice versa.

    No gradient passes through a decision.

    Args:
        a: Logits of the one.
        b: Of the other, the same shape.
        axis: Where the classes lie.
    """
    return cross_entropy(a, b.argmax(axis), axis=axis) + cross_entropy(b, a.argmax(axis), axis=axis)


def distillation(students: Sequence[Tensor], teacher: Tensor) -> Tensor:
    """Mean absolute difference between a student's features and the teacher's, over all stacks alike.

    Args:
        students: From each stack, (n, p, features).
        teacher: (n, p, features); no gradient reaches it.
    """
    differences = [(student - teacher.detach()).abs().mean() for student in students]
    return torch.stack(differences).mean()


def ramp(done: float, most: float = 0.1) -> float:
    """Weight of what networks learn from each other: most * exp(-5 (1 - t)^2), t the share of the updates made."""
    return most * math.exp(-5 * (1 - min(max(done, 0.0), 1.0)) ** 2)


def class_weights(counts: Sequence[int]) -> Tensor:
    """Weights of the classes, the background first: 1.5, and (n_max / n)^(1/3) for a bone with n points.

    Args:
        counts: Points in each bone; one that has none is weighted as if it had one.

    Returns:
        (bones + 1,), float32.
    """
    least_one = [max(1, int(n)) for n in counts]
    most = max(least_one)
    return torch.tensor([BACKGROUND, *((most / n) ** (1 / 3) for n in least_one)], dtype=torch.float32)


def stack_weights(stacks: int, growth: float = 1.5) -> list[float]:
    """Weights of the stacks, each ``growth`` times the one before, of sum 1: of 4 as 1, 1.5, 2.25, 3.375."""
    weights = [growth**n for n in range(stacks)]
    return [w / sum(weights) for w in weights]


def over_stacks(losses: Sequence[Tensor], growth: float = 1.5) -> Tensor:
    """Mean of the stacks' losses, weighted by `stack_weights`; growth 1.0 weighs all alike (the teacher's heads)."""
    return torch.stack(list(losses)) @ torch.tensor(stack_weights(len(losses), growth)).to(losses[0])
