"""voxbench train: a network learns from a challenge's data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from voxbench.cli.settings import toml_settings
from voxbench.cli.train_lnq2023 import lnq2023
from voxbench.cli.train_spider import spider
from voxbench.cli.train_ssrkd import ssrkd
from voxbench.training.config import TrainingConfig

if TYPE_CHECKING:
    from voxbench.challenges.lumbarsr.learning import LearningConfig
    from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation
    from voxbench.training.loop import Lesson

app = App(name="train", help="Train a network on a challenge's data (needs voxbench[learn]).")


class TrainingFile(TrainingConfig):
    """What a settings file may hold: how it is trained, and what is learned."""

    method: str = ""
    size: str = ""
    sample: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    split: str = ""
    validation_split: str = ""
    sequence: tuple[str, ...] = ()
    twin: bool = False
    base: str | None = None


lumbarsr = App(
    name="lumbarsr", help="Train a super-resolution network on LumbarSR.", config=toml_settings(TrainingFile)
)
app.command(lumbarsr)
app.command(ssrkd)
app.command(spider)
app.command(lnq2023)

DEFAULTS = TrainingConfig()
Many = Annotated[list[str] | None, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Run:
    """What from, and where to."""

    out: Annotated[Path, Parameter(help="Folder for the run; one that was interrupted goes on.")]
    data: Annotated[Path | None, Parameter(help="Folder holding RegisteredData/ and BoneMask/.")] = None
    microct: Annotated[
        list[Path] | None,
        Parameter(
            help="Instead of --data: micro-CT volumes (HU, 105 um), a sample each; the degradation model makes the "
            "clinical sequences. Up to five are named Lumbar_26 to 30, more begin at 01.",
            negative="",
        ),
    ] = None
    noise_hu: Annotated[
        float | None, Parameter(help="With --microct: noise of a 1 mm slice behind the soft kernel, HU [20].")
    ] = None
    method: Annotated[
        Literal["srcnn", "unet", "esrgan", "swinir", "unet3d"],
        Parameter(help="unet3d: all sequences at once, in 3-D; the others: slices of one sequence."),
    ] = "unet3d"
    size: Annotated[Literal["laptop", "paper"], Parameter(help="The published size, or a small one.")] = "laptop"
    sample: Annotated[
        list[str] | None,
        Parameter(help="Samples to learn from [01 to 25; of --microct all not validated on].", negative=""),
    ] = None
    validation: Annotated[list[str] | None, Parameter(help="Samples to validate on [none].", negative="")] = None
    split: Annotated[str | None, Parameter(help="Samples of a split to learn from, e.g. released-train.")] = None
    validation_split: Annotated[str | None, Parameter(help="Samples of a split to validate on.")] = None
    sequence: Annotated[
        list[str] | None,
        Parameter(help="Sequences that go in [all eight; the seed's four with its split].", negative=""),
    ] = None
    twin: Annotated[
        bool,
        Parameter(negative="", help="Slices: the same field of view behind the other kernel is a second channel."),
    ] = False
    base: Annotated[
        str | None,
        Parameter(
            help="Method whose volume goes in too, and to which what is learned is added: nearest, trilinear, bicubic, "
            "spline5, lanczos (of unet3d's sequences the first) or fusion."
        ),
    ] = None
    cache: Annotated[
        Path | None, Parameter(help="Folder for unpacked volumes and bases; runs may share it [cache in --out].")
    ] = None
    config: Annotated[Path | None, Parameter(help="Training settings as TOML; options on the line come first.")] = None
    force: Annotated[bool, Parameter(negative="", help="Start anew if the folder holds a run.")] = False
    json: Annotated[bool, Parameter(negative="", help="Print the card of the weights on stdout.")] = False


@lumbarsr.default
def run(*, run: Run, training: Annotated[TrainingConfig, Parameter(name="*")] = DEFAULTS) -> None:
    """Train a super-resolution network on LumbarSR: weights.safetensors with a card, learning curves, checkpoints.

    Args:
        run: What from, and where to.
        training: How.
    """
    from voxbench.cli.train_run import require_folder, require_learning
    from voxbench.errors import UsageError

    require_learning()
    if (run.data is None) == (run.microct is None):
        raise UsageError("give what to learn from: --data FOLDER, or --microct FILE...; one of the two")
    if run.noise_hu is not None and run.microct is None:
        raise UsageError("--noise-hu is for --microct; with --data the sequences are there already")
    require_folder(run.out)
    _train(run, training)


def _train(run: Run, training: TrainingConfig) -> None:
    from voxbench.challenges.lumbarsr.learning import lesson, require_sense
    from voxbench.cli.train_run import begin, train_lesson

    learning = _learning(run)
    require_sense(learning, training)
    cache = run.cache or run.out / "cache"

    def make(first: bool, tell: Callable[[str], None]) -> Lesson:
        if first:
            begin(run.out, run.force, [cache])
        return lesson(_data(run, tell), learning, training, cache)

    train_lesson(run.out, training, make, json=run.json)


def _simulation(run: Run) -> LumbarsrSimulation:
    """How clinical sequences are made of micro-CT."""
    from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation

    noise = {} if run.noise_hu is None else {"noise_hu": run.noise_hu}
    return LumbarsrSimulation.model_validate({"cases": len(run.microct or ())} | noise)


def _data(run: Run, tell: Callable[[str], None]) -> Path:
    """The folder of the data, made if there is only micro-CT."""
    from voxbench.challenges.lumbarsr.microct import paired

    if run.data is not None:
        return run.data
    return paired(run.microct or (), _simulation(run), run.cache or run.out / "cache", tell)


def _samples(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Samples to learn from, and to validate on."""
    from voxbench.challenges.lumbarsr.cases import TRAINING_SAMPLES
    from voxbench.challenges.lumbarsr.splits import samples_of
    from voxbench.errors import UsageError

    validation = samples_of(run.validation, run.validation_split, (), option="validation")
    if run.microct is None:
        return samples_of(run.sample, run.split, TRAINING_SAMPLES), validation
    there = _simulation(run).samples
    samples = samples_of(run.sample, run.split, tuple(name for name in there if name not in validation))
    strangers = [name for name in (*samples, *validation) if name not in there]
    if strangers:
        raise UsageError(f"{', '.join(strangers)}: not there\n  --microct gives {', '.join(there)}")
    if not samples:
        raise UsageError("--validation names all of --microct; leave some to learn from")
    return samples, validation


def _learning(run: Run) -> LearningConfig:
    """What is learned, from which samples."""
    from voxbench.challenges.lumbarsr.cases import SEQUENCES, cases_of
    from voxbench.challenges.lumbarsr.learning import LearningConfig
    from voxbench.challenges.lumbarsr.splits import split_named
    from voxbench.errors import InputError, UsageError

    samples, validation = _samples(run)
    sequences = tuple(run.sequence or (SEQUENCES if run.split is None else split_named(run.split).sequences))
    try:
        cases_of((*samples, *validation), sequences)
    except InputError as error:
        raise UsageError(str(error)) from error
    return LearningConfig(
        method=run.method,
        size=run.size,
        samples=samples,
        validation=validation,
        sequences=sequences,
        twin=run.twin,
        base=run.base,
    )
