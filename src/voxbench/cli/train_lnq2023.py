"""voxbench train lnq2023."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from voxbench.cli.settings import checked, toml_settings
from voxbench.training.config import PatchTraining, TrainingConfig

if TYPE_CHECKING:
    from voxbench.challenges.lnq2023.learning import Lnq2023Learning, Prepared
    from voxbench.tasks.segmentation import Plan
    from voxbench.training.loop import Lesson

Tell = Callable[[str], None]


class Lnq2023File(PatchTraining):
    """What a settings file may hold: how it is trained, and what is learned."""

    strategy: str = ""
    share: float | None = None
    preset: str = ""
    fold: int | None = None
    rounds: int = 0


lnq2023 = App(
    name="lnq2023", help="Train a network on LNQ 2023's partly labelled lymph nodes (or any data of its names).",
    config=toml_settings(Lnq2023File),
)  # fmt: skip
DEFAULTS = PatchTraining()


@Parameter(name="*")
@dataclass(frozen=True)
class Lnq2023Run:
    """What from, and where to."""

    data: Annotated[
        Path, Parameter(help="Folder of CASE-ct with CASE-seg, prepared or as downloaded; test cases are left alone.")
    ]
    out: Annotated[Path, Parameter(help="Folder for the run; one that was interrupted goes on.")]
    strategy: Annotated[
        Literal["ignore", "background", "foreground", "positive-unlabelled", "cross", "decoders"],
        Parameter(help="What is done about voxels nobody told of; background is the naive way."),
    ] = "ignore"
    share: Annotated[
        float | None,
        Parameter(help="Of those voxels that are node, for foreground and positive-unlabelled [as many as labelled]."),
    ] = None
    rounds: Annotated[
        int, Parameter(help="Rounds of self-training: what the network is sure of becomes a label; --steps are shared.")
    ] = 0
    preset: Annotated[
        Literal["laptop", "standard"], Parameter(help="Size of the network: two processor cores, or a GPU.")
    ] = "laptop"
    fold: Annotated[
        int | None, Parameter(help="0 to 4: validate on this fifth of train and val [train on train, validate on val].")
    ] = None
    structures: Annotated[
        Path | None,
        Parameter(help="Folder of label maps of organs, CASE.nii.gz, e.g. TotalSegmentator's: no nodes there."),
    ] = None
    plan: Annotated[
        Path | None, Parameter(help="A plan as TOML, e.g. an edited plan.toml of another run [made from the data].")
    ] = None
    cache: Annotated[Path | None, Parameter(help="Folder for prepared cases; runs may share it [cache in --out].")] = (
        None
    )
    config: Annotated[Path | None, Parameter(help="Training settings as TOML; options on the line come first.")] = None
    force: Annotated[bool, Parameter(negative="", help="Start anew if the folder holds a run.")] = False
    json: Annotated[bool, Parameter(negative="", help="Print the card of the weights on stdout.")] = False


@lnq2023.default
def run(*, run: Lnq2023Run, training: Annotated[PatchTraining, Parameter(name="*")] = DEFAULTS) -> None:
    """Train a network on LNQ 2023: plan.toml, splits.json, weights.safetensors with a card, curves, checkpoints.

    The patch is the plan's; --patch, --outside and --loss have no part in it.

    Args:
        run: What from, and where to.
        training: How.
    """
    from voxbench.cli.train_run import require_folder, require_learning

    require_learning()
    from voxbench.challenges.lnq2023.learning import Lnq2023Learning

    values = {name: getattr(run, name) for name in ("strategy", "share", "preset", "fold", "rounds")}
    learning = checked(Lnq2023Learning, values)
    require_folder(run.out)
    _train(run, learning, training)


def _train(run: Lnq2023Run, learning: Lnq2023Learning, training: PatchTraining) -> None:
    """The first network, then those of the rounds; the last one lies in the run's own folder."""
    from voxbench.cli.train_run import train_lesson
    from voxbench.tasks.segmentation import read_plan
    from voxbench.tasks.segmentation.rounds import parts

    given = _Given(run, learning, read_plan(run.plan) if run.plan is not None else None)
    trainings = parts(training, learning.rounds)
    before: Path | None = None
    for number, part in enumerate(trainings):
        folder = run.out if number == learning.rounds else run.out / "rounds" / str(number)
        make = partial(_lesson, given, folder, before, part)
        train_lesson(folder, part, make, json=run.json and folder == run.out)
        before = folder


@dataclass
class _Given:
    """What is asked for, and what was settled, once."""

    run: Lnq2023Run
    learning: Lnq2023Learning
    plan: Plan | None
    settled: Prepared | None = None


def _lesson(
    given: _Given, folder: Path, before: Path | None, training: TrainingConfig, first: bool, tell: Tell
) -> Lesson:
    """What the network of a folder learns; ``before`` is that of the one it goes on from."""
    from voxbench.challenges.lnq2023.learning import course, settle
    from voxbench.cli.train_run import begin, silent
    from voxbench.tasks.segmentation.learning import segmentation_lesson
    from voxbench.tasks.segmentation.rounds import Confidence, next_round

    run, learning = given.run, given.learning
    cache = run.cache or run.out / "cache"
    told = tell if before is None else silent
    if given.settled is None:
        given.settled = settle(run.data, learning, cache, given.plan, run.structures, told)
        told(str(given.settled.plan))
        if first:
            _write_down(run, given.settled)
    if first:
        begin(folder, run.force)
    learned = course(given.settled, learning, training, cache, told)
    return segmentation_lesson(learned) if before is None else next_round(learned, before, Confidence(), tell)


def _write_down(run: Lnq2023Run, given: Prepared) -> None:
    """The plan and the split, before anything is learned; with --force the rounds of an earlier run go."""
    import shutil

    from voxbench.cli.train_run import begin
    from voxbench.io import atomic
    from voxbench.tasks.segmentation import to_toml, write_folds

    begin(run.out, run.force)
    if run.force:
        shutil.rmtree(run.out / "rounds", ignore_errors=True)
    with atomic(run.out / "plan.toml") as temporary:
        temporary.write_text(to_toml(given.plan), encoding="utf-8")
    write_folds(run.out / "splits.json", (given.split,))
