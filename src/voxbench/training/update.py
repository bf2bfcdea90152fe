"""One update of the weights, and of the discriminator's where there is one.

Relativistic average adversarial losses: A. Jolicoeur-Martineau, ICLR 2019, arXiv:1807.00734.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from voxbench.errors import NotFiniteError, UsageError
from voxbench.models.losses import LOSSES, Name
from voxbench.training.checkpoint import State
from voxbench.training.config import TrainingConfig
from voxbench.training.optimise import average_in, learning_rate


@runtime_checkable
class Source(Protocol):
    """Where batches come from."""

    def batch(self, step: int, rows: Any) -> tuple[np.ndarray, ...]:
        """Some patches of a step: inputs, targets and weights, or whatever else the objective takes."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What is made small, where that is more than a difference between an output and a target."""

    def __call__(self, model: nn.Module, batch: tuple[Tensor, ...], done: float) -> dict[str, Tensor]:
        """Losses by name, means over the patches; "loss" is made small, all are written down.

        Args:
            model: The network; several that learn together are its children.
            batch: What the source gave, on the device.
            done: Share of the updates made, 0 to 1, for what is ramped up.
        """
        ...


@dataclass(frozen=True)
class Means:
    """What updates are made with.

    Attributes:
        accelerator: Of Accelerate.
        model: The network, as it is called: wrapped where there are several processes.
        critic: The discriminator likewise.
        loss: What is made small.
        objective: The same, where it is more than that.
    """

    accelerator: Any
    model: nn.Module
    critic: nn.Module | None
    loss: Name
    objective: Objective | None = None


def pretrained_steps(config: TrainingConfig) -> int:
    """How many updates are made before the discriminator plays a part."""
    return round(config.gan.pretrain * config.steps)


def update(means: Means, state: State, source: Source, config: TrainingConfig) -> dict[str, float]:
    """Update the weights once.

    Returns:
        The mean loss over all processes; beside it the objective's others, or, where they play a part, the
        adversarial loss and the discriminator's.

    Raises:
        NotFiniteError: A loss is no longer a number.
    """
    rate = learning_rate(state.step, config)
    _set_rate(state.optimiser, rate)
    state.model.train()
    against = means.critic is not None and state.step >= pretrained_steps(config)
    totals: dict[str, Tensor] = {}
    pairs: list[tuple[Tensor, Tensor, float]] = []
    for rows, share in shares(means.accelerator, config):
        arrays = source.batch(state.step, rows)
        batch = tuple(torch.from_numpy(array).to(means.accelerator.device) for array in arrays)
        with _autocast(means, config):
            if means.objective is not None:
                losses = means.objective(means.model, batch, state.step / config.steps)
                loss = losses["loss"]
            else:
                inputs, targets, weights = batch
                found = means.model(inputs).float()
                losses = {"loss": LOSSES[means.loss](found, targets, weights)}
                loss = losses["loss"]
                if against:
                    losses["adversarial"] = _generator_loss(state, targets, found)
                    loss = loss + config.gan.weight * losses["adversarial"]
                    pairs.append((targets, found.detach(), share))
        means.accelerator.backward(loss * share)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0) + value.detach().float() * share
    _step(state.model, state.optimiser, config)
    if against:
        totals["critic"] = _update_critic(means, state, pairs, config)
    state.step += 1
    average_in(state.average, state.model, config.average, state.step)
    return _told(means, totals, state.step, config)


def shares(accelerator: Any, config: TrainingConfig) -> list[tuple[Sequence[int], float]]:
    """This process's patches of a batch, part by part, and the share of its patches that a part is.

    Raises:
        UsageError: The batch cannot be shared out evenly.
    """
    processes = accelerator.num_processes
    if config.batch % (processes * config.accumulate):
        raise UsageError(
            f"--batch {config.batch}: cannot be shared out evenly; it must be a multiple of --accumulate times the "
            f"processes, {config.accumulate} x {processes}"
        )
    ours = range(accelerator.process_index, config.batch, processes)
    return [(ours[part :: config.accumulate], 1 / config.accumulate) for part in range(config.accumulate)]


def relativistic(ahead: Tensor, behind: Tensor) -> Tensor:
    """Small when what lies ahead is taken to be more real than the other's mean, and the other way round.

    Args:
        ahead: What a discriminator says of images that shall look more real, of any shape.
        behind: What it says of the others.
    """
    return softplus(behind.mean() - ahead).mean() + softplus(behind - ahead.mean()).mean()


def _generator_loss(state: State, targets: Tensor, found: Tensor) -> Tensor:
    """How far the network's images are from being taken for the real ones; the discriminator is held still."""
    assert state.critic is not None
    model = state.critic.model
    still = {name: parameter.detach() for name, parameter in model.named_parameters()}
    real, fake = (functional_call(model, still, (image,)).float() for image in (targets, found))
    return relativistic(fake, real)


def _update_critic(
    means: Means, state: State, pairs: Sequence[tuple[Tensor, Tensor, float]], config: TrainingConfig
) -> Tensor:
    """One update of the discriminator, from the same patches; its loss."""
    assert state.critic is not None
    assert means.critic is not None
    ratio = learning_rate(state.step, config) / config.learning_rate
    _set_rate(state.critic.optimiser, config.gan.learning_rate * ratio)
    total = torch.zeros((), device=means.accelerator.device)
    for targets, found, share in pairs:
        with _autocast(means, config):
            real, fake = means.critic(torch.cat([targets, found])).float().chunk(2)
            loss = relativistic(real, fake) * share
        means.accelerator.backward(loss)
        total += loss.detach()
    _step(state.critic.model, state.critic.optimiser, config)
    return total


def _told(means: Means, totals: dict[str, Tensor], step: int, config: TrainingConfig) -> dict[str, float]:
    """The losses by name, checked."""
    mean = means.accelerator.reduce(torch.stack(list(totals.values())), reduction="mean").tolist()
    losses: dict[str, float] = dict(zip(totals, mean, strict=True))
    if not np.isfinite(list(losses.values())).all():
        raise NotFiniteError(
            f"the loss became {losses} at update {step}\n  try a smaller --learning-rate (now "
            f"{config.learning_rate:g}), or check the data: voxbench check"
        )
    return losses


def _step(model: nn.Module, optimiser: torch.optim.Optimizer, config: TrainingConfig) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimiser.step()
    optimiser.zero_grad()


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _autocast(means: Means, config: TrainingConfig) -> AbstractContextManager[Any]:
    return torch.autocast(means.accelerator.device.type, torch.bfloat16, enabled=config.precision == "bf16")
