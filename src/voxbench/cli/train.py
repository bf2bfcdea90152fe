"""voxbench train: a network learns from a challenge's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from voxbench.cli.settings import toml_settings
from voxbench.training.config import TrainingConfig

app = App(name="train", help="Train a network on a challenge's data (needs voxbench[learn]).")
lumbarsr = App(
    name="lumbarsr", help="Train a super-resolution network on LumbarSR.", config=toml_settings(TrainingConfig)
)
app.command(lumbarsr)

DEFAULTS = TrainingConfig()
Many = Annotated[list[str] | None, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Run:
    """What from, and where to."""

    data: Annotated[Path, Parameter(help="Folder holding RegisteredData/ and BoneMask/.")]
    out: Annotated[Path, Parameter(help="Folder for the run; one that was interrupted goes on.")]
    method: Annotated[
        Literal["srcnn", "unet", "unet3d"], Parameter(help="srcnn, unet: slices of one sequence; unet3d: all of them.")
    ] = "unet3d"
    size: Annotated[Literal["laptop", "paper"], Parameter(help="The published size, or a small one.")] = "laptop"
    sample: Annotated[list[str] | None, Parameter(help="Samples to learn from [01 to 25].", negative="")] = None
    validation: Annotated[list[str] | None, Parameter(help="Samples to validate on [none].", negative="")] = None
    split: Annotated[str | None, Parameter(help="Samples of a split to learn from, e.g. released-train.")] = None
    validation_split: Annotated[str | None, Parameter(help="Samples of a split to validate on.")] = None
    sequence: Annotated[
        list[str] | None,
        Parameter(help="Sequences that go in [all eight; the seed's four with its split].", negative=""),
    ] = None
    base: Annotated[
        str | None,
        Parameter(
            help="For unet3d: method whose volume goes in too and is corrected, e.g. fusion [the channels' mean]."
        ),
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
    from voxbench.errors import MissingToolError, UsageError

    try:
        import accelerate  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingToolError(f"training needs {error.name}: pip install 'voxbench[learn]'") from error
    from voxbench.challenges.lumbarsr.cases import SEQUENCES, TRAINING_SAMPLES
    from voxbench.challenges.lumbarsr.learning import LearningConfig
    from voxbench.challenges.lumbarsr.splits import samples_of, split_named

    expected = SEQUENCES if run.split is None else split_named(run.split).sequences
    learning = LearningConfig(
        method=run.method,
        size=run.size,
        samples=samples_of(run.sample, run.split, TRAINING_SAMPLES),
        validation=samples_of(run.validation, run.validation_split, (), option="validation"),
        sequences=tuple(run.sequence or expected),
        base=_base(run),
    )
    both = sorted(set(learning.samples) & set(learning.validation))
    if both:
        raise UsageError(f"{', '.join(both)}: in --sample and in --validation; what is learned cannot be validated on")
    _train(run, learning, training)


def _base(run: Run) -> str:
    """The method whose volume goes in too."""
    from voxbench.errors import UsageError
    from voxbench.tasks.superresolution import method_named

    if run.base is None:
        return ""
    if run.method != "unet3d":
        raise UsageError(f"--base is for unet3d; the method is {run.method}")
    return method_named(run.base).name


def _train(run: Run, learning: object, training: TrainingConfig) -> None:
    from voxbench.challenges.lumbarsr.learning import LearningConfig, lesson
    from voxbench.cli.progress import lines
    from voxbench.errors import FileWriteError
    from voxbench.io import to_json
    from voxbench.training.loop import CHECKPOINT, estimate, train
    from voxbench.training.weights import read_card

    assert isinstance(learning, LearningConfig)
    if run.out.is_file():
        raise FileWriteError(f"{run.out}: is a file; --out names the folder of the run")
    cache = run.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    if run.force:
        for name in (CHECKPOINT, "metrics.jsonl", "curves.png", "weights.safetensors", "weights.json"):
            (run.out / name).unlink(missing_ok=True)
    task = lesson(run.data, learning, training, cache)
    with lines("training") as tell:
        tell(estimate(task, training))
        done = train(task, training, run.out, tell)
        tell(f"{done.steps} updates in {done.seconds:.0f} s; weights in {run.out}")
    if run.json:
        print(to_json(read_card(run.out)))
