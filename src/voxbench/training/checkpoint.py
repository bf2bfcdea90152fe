"""Everything a training needs to go on, in one safetensors file that appears whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxbench.errors import FileReadError, FileWriteError
from voxbench.io import atomic
from voxbench.io.failures import named_failures

_KEY = "voxbench"
_DAMAGED = "not a checkpoint or weights of voxbench, or damaged"


@dataclass
class Critic:
    """A discriminator, and what moves it.

    Attributes:
        model: The network.
        optimiser: AdamW.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer


@dataclass
class State:
    """A training under way.

    Attributes:
        model: The network.
        average: Its moving average, which is what is kept in the end.
        optimiser: AdamW.
        step: Updates done.
        best: The best validation so far; None before the first.
        waited: Validations since.
        about: What must agree for a run to go on: configuration, data, network.
        critic: What the network learns against; None for most.
    """

    model: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    best: float | None = None
    waited: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    critic: Critic | None = None

    @property
    def learners(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """What is being updated, and what by; names as in the file."""
        pairs = {"model": (self.model, self.optimiser)}
        return pairs if self.critic is None else pairs | {"critic": (self.critic.model, self.critic.optimiser)}


def save(path: Path, state: State) -> None:
    """Write a checkpoint.

    Raises:
        FileWriteError: It cannot be written.
    """
    tensors = {f"average.{n}": t for n, t in state.average.state_dict().items()}
    for learner, (model, optimiser) in state.learners.items():
        tensors |= {f"{learner}.{n}": t for n, t in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            moments = optimiser.state.get(parameter, {})
            tensors |= {f"{learner} moment.{name}.{key}": value for key, value in moments.items()}
    about = {"step": state.step, "best": state.best, "waited": state.waited, "about": state.about}
    write(path, tensors, about)


def write(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors and a card as safetensors.

    Raises:
        FileWriteError: It cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        try:
            save_file(stored, temporary, {_KEY: json.dumps(about)})
        except SafetensorError as error:  # also of a full disk
            raise FileWriteError(f"{path}: cannot be written: {error}") from error


def load(path: Path, state: State) -> None:
    """Bring a training to where a checkpoint left it.

    Raises:
        FileReadError: The file is damaged, or of a training with other settings, data or network (named).
    """
    tensors, about = read(path)
    if not isinstance(about.get("about"), dict) or not {"step", "best", "waited"} <= set(about):
        raise FileReadError(f"{path}: {_DAMAGED}: it does not say how far the training was")
    for key in sorted(set(about["about"]) | set(state.about)):
        there, here = about["about"].get(key), state.about.get(key)
        if there != here:
            raise FileReadError(
                f"{path}: of another training\n  {key} there  {there}\n  {key} here   {here}\n"
                "  give another --out, or --force to start anew"
            )
    with named_failures(path, "of another network, or damaged"):
        state.average.load_state_dict(_named(tensors, "average."))
        for learner, (model, optimiser) in state.learners.items():
            model.load_state_dict(_named(tensors, f"{learner}."))
            _load_moments(model, optimiser, _named(tensors, f"{learner} moment."))
    state.step, state.best, state.waited = about["step"], about["best"], about["waited"]


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and card of a safetensors file of ours.

    Raises:
        FileReadError: It cannot be read, or is none of ours.
    """
    from safetensors import safe_open

    with named_failures(path, _DAMAGED), safe_open(str(path), "pt") as file:
        about = json.loads((file.metadata() or {})[_KEY])
        if not isinstance(about, dict):
            raise FileReadError(f"{path}: {_DAMAGED}: its card is a {type(about).__name__}")
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118  (not a mapping)


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_moments(model: nn.Module, optimiser: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}.{key}" in moments]
        values = {key: moments[f"{name}.{key}"] for key in keys}
        if values:
            optimiser.state[parameter] = {
                key: value if key == "step" else torch.empty_like(parameter).copy_(value)
                for key, value in values.items()
            }
