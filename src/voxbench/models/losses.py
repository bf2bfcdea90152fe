"""Losses, each a mean over the voxels that count."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Name = Literal["l1", "charbonnier"]


def l1(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference; all of one shape, ``weight`` at least 0."""
    return _mean((prediction - target).abs(), weight)


def charbonnier(prediction: Tensor, target: Tensor, weight: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(d^2 + epsilon^2): the absolute difference, smooth at 0.

    P. Charbonnier et al., ICIP 1994, doi:10.1109/ICIP.1994.413553.
    """
    return _mean(torch.sqrt((prediction - target) ** 2 + epsilon**2), weight)


LOSSES = {"l1": l1, "charbonnier": charbonnier}


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-12)
