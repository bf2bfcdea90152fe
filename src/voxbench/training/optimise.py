"""AdamW with a linear warm-up and a cosine to zero, and a moving average of the weights.

I. Loshchilov and F. Hutter, Decoupled weight decay regularization, ICLR 2019, arXiv:1711.05101.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from voxbench.training.config import TrainingConfig


def laid_out(model: nn.Module, config: TrainingConfig) -> nn.Module:
    """The model, its 3-D convolutions with channels last where they work in bf16: half the time on a CPU.

    Only bf16: in fp32 less is gained, and the sums of runs made earlier would change.
    """
    if config.precision == "bf16":
        for part in model.modules():
            if isinstance(part, nn.Conv3d | nn.ConvTranspose3d):
                part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last_3d)
    return model


def optimiser(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW over all parameters of a model; its learning rate is set before every update."""
    return torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The learning rate of a step, counted from 0."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    done = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@torch.no_grad()
def average_in(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards the current ones; early on faster, so that the start is forgotten."""
    decay = min(decay, (1 + step) / (10 + step))
    for ours, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.dtype.is_floating_point:
            ours.lerp_(theirs, 1 - decay)
        else:
            ours.copy_(theirs)
