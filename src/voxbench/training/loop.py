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
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from voxbench.errors import NotFiniteError
from voxbench.models.losses import LOSSES
from voxbench.training.checkpoint import State, load, save
from voxbench.training.config import TrainingConfig
from voxbench.training.optimise import average_in, learning_rate, optimiser
from voxbench.training.record import Log, draw_curves
from voxbench.training.weights import save_weights

CHECKPOINT = "checkpoint.safetensors"
Validation = Callable[[nn.Module], dict[str, float]]


@runtime_checkable
class Source(Protocol):
    """Where batches come from."""

    def batch(self, step: int, rows: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, targets and weights of some patches of a step."""
        ...


@dataclass(frozen=True)
class Lesson:
    """What is learned, from what.

    Attributes:
        build: Makes the network; called with the random state seeded.
        source: Gives batches.
        validate: Scores a network on whole cases; None leaves validation out.
        better: The score that decides, higher is better.
        card: Goes into the weights' card: method, data hashes, spacing, licence.
    """

    build: Callable[[], nn.Module]
    source: Source
    validate: Validation | None = None
    better: str = ""
    card: dict[str, Any] = field(default_factory=dict)


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
    """
    from accelerate import Accelerator

    start = time.perf_counter()
    accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no", cpu=_cpu())
    torch.use_deterministic_algorithms(True, warn_only=accelerator.device.type != "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    model = lesson.build().to(accelerator.device)
    state = State(model, copy.deepcopy(model), optimiser(model, config))
    state.about = {"config": config.model_dump(mode="json"), **{k: lesson.card[k] for k in sorted(lesson.card)}}
    if (folder / CHECKPOINT).is_file():
        load(folder / CHECKPOINT, state)
        tell(f"going on after {state.step} of {config.steps} updates")
    log = Log(folder, state.step) if accelerator.is_main_process else None
    prepared = accelerator.prepare_model(model)
    while state.step < config.steps and not (config.patience and state.waited >= config.patience):
        loss = _update(accelerator, prepared, state, lesson.source, config)
        if state.step % 20 == 0 or state.step == config.steps:
            _note(log, state, loss, config, tell)
        due = state.step % config.validate_every == 0 or state.step == config.steps
        if due and accelerator.is_main_process:
            _validate(lesson, state, log, folder, tell)
        if accelerator.is_main_process and (due or state.step % config.save_every == 0):
            save(folder / CHECKPOINT, state)
        if due and accelerator.num_processes > 1:
            state.waited = _shared(accelerator, state.waited)
    accelerator.wait_for_everyone()
    return Trained(state.average, state.step, state.best, time.perf_counter() - start)


def estimate(lesson: Lesson, config: TrainingConfig, trials: int = 3) -> str:
    """What a training will take, from a few updates of a throw-away network: time, memory, parameters."""
    torch.manual_seed(config.seed)
    model = lesson.build()
    steps = optimiser(model, config)
    seconds, shape = [], ()
    for step in range(trials):
        begin = time.perf_counter()
        inputs, targets, weights = (torch.from_numpy(a) for a in lesson.source.batch(step, range(config.batch)))
        shape = tuple(inputs.shape)
        LOSSES[config.loss](model(inputs), targets, weights).backward()
        steps.step()
        steps.zero_grad()
        seconds.append(time.perf_counter() - begin)
    parameters = sum(p.numel() for p in model.parameters())
    minutes = config.steps * float(np.median(seconds)) / 60
    megabytes = 5 * 4 * parameters / 2**20
    return (
        f"{parameters} parameters, weights and optimiser {megabytes:.0f} MB, batch {shape}; "
        f"{config.steps} updates of {np.median(seconds):.2f} s: about {minutes:.0f} min on this CPU, validation apart"
    )


def _update(accelerator: Any, prepared: nn.Module, state: State, source: Source, config: TrainingConfig) -> float:
    """One update of the weights; the mean loss over all processes."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state.step, config)
    state.model.train()
    total = torch.zeros((), device=accelerator.device)
    ours = range(accelerator.process_index, config.batch, accelerator.num_processes)
    parts = [list(ours)[part :: config.accumulate] for part in range(config.accumulate)]
    for rows in (rows for rows in parts if rows):
        arrays = source.batch(state.step, rows)
        inputs, targets, weights = (torch.from_numpy(a).to(accelerator.device) for a in arrays)
        with accelerator.autocast():
            loss = LOSSES[config.loss](prepared(inputs).float(), targets, weights) * (len(rows) / len(ours))
        accelerator.backward(loss)
        total += loss.detach()
    mean = float(accelerator.reduce(total, reduction="mean"))
    if not np.isfinite(mean):
        raise NotFiniteError(
            f"the loss became {mean} at update {state.step + 1}\n  try a smaller --learning-rate (now "
            f"{config.learning_rate:g}), or check the data: voxbench check"
        )
    nn.utils.clip_grad_norm_(state.model.parameters(), config.clip)
    state.optimiser.step()
    state.optimiser.zero_grad()
    state.step += 1
    average_in(state.average, state.model, config.average, state.step)
    return mean


def _note(log: Log | None, state: State, loss: float, config: TrainingConfig, tell: Callable[[str], None]) -> None:
    if log is None:
        return
    log.add({"step": state.step, "loss": loss, "learning_rate": learning_rate(state.step - 1, config)})
    if state.step % 100 == 0:
        tell(f"{state.step} of {config.steps} updates, loss {loss:.5f}")


def _validate(lesson: Lesson, state: State, log: Log | None, folder: Path, tell: Callable[[str], None]) -> None:
    """Score the averaged weights, keep them if they are the best, and draw the curves."""
    scores: dict[str, float] = {}
    if lesson.validate is not None:
        state.average.eval()
        with torch.inference_mode():
            scores = lesson.validate(state.average)
        tell(f"{state.step} updates: " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    score = scores.get(lesson.better)
    if score is None or state.best is None or score > state.best:
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


def _cpu() -> bool:
    return not (torch.cuda.is_available() or torch.backends.mps.is_available())
