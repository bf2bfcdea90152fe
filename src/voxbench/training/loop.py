"""The training loop, for every method; on CPU, one GPU, or several processes started by torchrun.

Every draw is made from the seed and the number of the step, so that a run that was interrupted at any point goes on
from its last checkpoint to the very weights it would have had.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voxbench.errors import UsageError
from voxbench.models.losses import Name
from voxbench.training.checkpoint import Critic, State, load, save
from voxbench.training.config import TrainingConfig
from voxbench.training.optimise import laid_out, learning_rate, optimiser
from voxbench.training.processes import cpu
from voxbench.training.record import Log, draw_curves
from voxbench.training.update import Means, Objective, Source, pretrained_steps, shares, update
from voxbench.training.weights import save_weights

CHECKPOINT = "checkpoint.safetensors"
Validation = Callable[[nn.Module], dict[str, float]]
UNDECISIVE = {"tensorboard"}
"""Settings that change nothing in the weights; a run goes on with others."""


@dataclass(frozen=True)
class Lesson:
    """What is learned, from what.

    Attributes:
        build: Makes the network; called with the random state seeded.
        source: Gives batches.
        validate: Scores a network on whole cases; None leaves validation out.
        better: The score that decides, higher is better.
        card: Goes into the weights' card: method, data hashes, spacing, licence.
        loss: What is made small where the settings name nothing else.
        critic: Makes a discriminator, against which it is learned; the last weights are kept then, not those of the
            best score, since such scores prefer blur.
        objective: What is made small, where that is more than the loss of an output; then there is no critic.
    """

    build: Callable[[], nn.Module]
    source: Source
    validate: Validation | None = None
    better: str = ""
    card: dict[str, Any] = field(default_factory=dict)
    loss: Name = "charbonnier"
    critic: Callable[[], nn.Module] | None = None
    objective: Objective | None = None

    def __post_init__(self) -> None:
        """Refuse a critic beside an objective."""
        if self.critic is not None and self.objective is not None:
            raise UsageError("a lesson has an objective of its own or a critic, not both")


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        model: The averaged network: the best by validation, or the last.
        steps: Updates done.
        best: Its validation; None without one.
        seconds: Wall time of this start.
    """

    model: nn.Module
    steps: int
    best: float | None
    seconds: float


def train(
    lesson: Lesson, config: TrainingConfig, folder: Path, tell: Callable[[str], None] = lambda _: None
) -> Trained:
    """Train a network, or go on where a run in the same folder was interrupted.

    The folder receives checkpoint.safetensors, metrics.jsonl, curves.png, weights.safetensors and weights.json.

    Args:
        lesson: What is learned, from what.
        config: How.
        folder: Where the run is kept; made if it is not there.
        tell: Told how it goes, a line at a time.

    Raises:
        FileReadError: The folder holds a run of other settings, data or network.
        NotFiniteError: The loss is no longer a number.
        UsageError: A batch cannot be shared out among the processes, or a loss is asked for where the method has its
            own.
        MissingToolError: TensorBoard is wanted and not installed.
    """
    from accelerate import Accelerator

    start = time.perf_counter()
    accelerator = Accelerator(cpu=cpu())
    _require_sense(lesson, config, accelerator)
    torch.use_deterministic_algorithms(True, warn_only=accelerator.device.type != "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    state = begin(lesson, config, accelerator.device)
    if (folder / CHECKPOINT).is_file():
        load(folder / CHECKPOINT, state)
        tell(f"going on after {state.step} of {config.steps} updates")
    log = Log(folder, state.step, config.tensorboard) if accelerator.is_main_process else None
    means = _means(lesson, config, state, accelerator)
    while state.step < config.steps and not (config.patience and state.waited >= config.patience):
        losses = update(means, state, lesson.source, config)
        if state.step % 20 == 0 or state.step == config.steps:
            _note(log, state, losses, config, tell)
        due = state.step % config.validate_every == 0 or state.step == config.steps
        if due and accelerator.is_main_process:
            _validate(lesson, state, log, folder, tell)
        if accelerator.is_main_process and (due or state.step % config.save_every == 0):
            save(folder / CHECKPOINT, state)
        if due and accelerator.num_processes > 1:
            state.waited = _shared(accelerator, state.waited)
    if log is not None:
        log.close()
    accelerator.wait_for_everyone()
    return Trained(state.average, state.step, state.best, time.perf_counter() - start)


def _require_sense(lesson: Lesson, config: TrainingConfig, accelerator: Any) -> None:
    """Refuse before anything is made."""
    shares(accelerator, config)
    if lesson.objective is not None and config.loss is not None:
        raise UsageError(f"--loss {config.loss}: this method makes a loss of its own small; leave --loss out")


def begin(lesson: Lesson, config: TrainingConfig, device: torch.device) -> State:
    """A training before its first update."""
    torch.manual_seed(config.seed)
    model = laid_out(lesson.build().to(device), config)
    state = State(model, copy.deepcopy(model), optimiser(model, config))
    settings = config.model_dump(mode="json", exclude=UNDECISIVE)
    state.about = {"config": settings, **{k: lesson.card[k] for k in sorted(lesson.card)}}
    if lesson.critic is not None:
        critic = laid_out(lesson.critic().to(device), config)
        state.critic = Critic(critic, optimiser(critic, config))
    return state


def estimate(lesson: Lesson, config: TrainingConfig, trials: int = 3) -> str:
    """What a training will take, from a few updates of a throw-away network: time, memory, parameters."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=cpu())
    state = begin(lesson, config, accelerator.device)
    rows, _ = shares(accelerator, config)[0]
    shape = tuple(lesson.source.batch(0, rows)[0].shape)
    ours = _Alone(accelerator.device, accelerator.num_processes, accelerator.process_index)
    alone = Means(ours, state.model, None, config.loss or lesson.loss, lesson.objective)
    seconds = _seconds(alone, state, lesson, config, range(trials))
    told, minutes = f"{seconds:.2f} s", config.steps * seconds / 60
    networks = [state.model]
    if state.critic is not None:
        before = pretrained_steps(config)
        against = Means(alone.accelerator, state.model, state.critic.model, alone.loss)
        slower = _seconds(against, state, lesson, config, range(before, before + trials))
        told += f" (from {before} on {slower:.2f} s)"
        minutes += (config.steps - before) * (slower - seconds) / 60
        networks.append(state.critic.model)
    parameters = [sum(p.numel() for p in network.parameters()) for network in networks]
    megabytes = 5 * 4 * sum(parameters) / 2**20
    return (
        f"{parameters[0]} parameters"
        + (f" and {parameters[1]} of the discriminator" if state.critic else "")
        + f", weights and optimiser {megabytes:.0f} MB, {config.accumulate} times {shape} a batch; "
        f"{config.steps} updates of {told}: about {minutes:.0f} min on this {_device(accelerator)}, validation apart"
    )


@dataclass(frozen=True)
class _Alone:
    """One of the processes, that talks to no other."""

    device: torch.device
    num_processes: int
    process_index: int

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def reduce(self, values: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "mean"
        return values


def _seconds(means: Means, state: State, lesson: Lesson, config: TrainingConfig, steps: range) -> float:
    """Of an update, the median."""
    seconds = []
    for step in steps:
        state.step = step
        begin = time.perf_counter()
        update(means, state, lesson.source, config)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def _device(accelerator: Any) -> str:
    return "CPU" if accelerator.device.type == "cpu" else accelerator.device.type.upper()


def _means(lesson: Lesson, config: TrainingConfig, state: State, accelerator: Any) -> Means:
    critic = accelerator.prepare_model(state.critic.model) if state.critic is not None else None
    model = accelerator.prepare_model(state.model)
    return Means(accelerator, model, critic, config.loss or lesson.loss, lesson.objective)


def _note(
    log: Log | None, state: State, losses: dict[str, float], config: TrainingConfig, tell: Callable[[str], None]
) -> None:
    if log is None:
        return
    log.add({"step": state.step, **losses, "learning_rate": learning_rate(state.step - 1, config)})
    if state.step % 100 == 0:
        told = ", ".join(f"{name} {value:.5f}" for name, value in losses.items())
        tell(f"{state.step} of {config.steps} updates, {told}")


def _validate(lesson: Lesson, state: State, log: Log | None, folder: Path, tell: Callable[[str], None]) -> None:
    """Score the averaged weights, keep them if they are the best, and draw the curves."""
    scores: dict[str, float] = {}
    if lesson.validate is not None:
        state.average.eval()
        with torch.inference_mode():
            scores = lesson.validate(state.average)
        tell(f"{state.step} updates: " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    score = scores.get(lesson.better)
    if state.critic is not None or score is None or state.best is None or score > state.best:
        state.best, state.waited = score, 0
        card = dict(state.about) | {"steps": state.step, "validation": scores, "torch": str(torch.__version__)}
        save_weights(folder, state.average, card)
    else:
        state.waited += 1
    if log is not None:
        log.add({"step": state.step, "validation": scores})
        draw_curves(log.events, folder / "curves.png")


def _shared(accelerator: Any, value: int) -> int:
    """The first process's value, in all of them."""
    mine = torch.tensor(value if accelerator.is_main_process else 0, device=accelerator.device)
    return int(accelerator.reduce(mine, reduction="sum"))
