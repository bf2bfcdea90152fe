"""voxbench train spider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from voxbench.cli.settings import toml_settings
from voxbench.training.config import TrainingConfig

if TYPE_CHECKING:
    from voxbench.challenges.spider.learning import Prepared, SpiderLearning
    from voxbench.training.loop import Lesson


class SpiderFile(TrainingConfig):
    """What a settings file may hold: how it is trained, and what is learned."""

    method: str = ""
    preset: str = ""
    fold: int | None = None
    made: float = 0.0


spider = App(
    name="spider", help="Train a network on SPIDER's lumbar spines (or any data of its layout).",
    config=toml_settings(SpiderFile),
)  # fmt: skip
DEFAULTS = TrainingConfig(batch=2, learning_rate=2e-3)


@Parameter(name="*")
@dataclass(frozen=True)
class SpiderRun:
    """What from, and where to."""

    data: Annotated[Path, Parameter(help="Folder holding images/, masks/ and overview.csv.")]
    out: Annotated[Path, Parameter(help="Folder for the run; one that was interrupted goes on.")]
    method: Annotated[
        Literal["centres"], Parameter(help="centres: classes and the way to each structure's centre, in one pass.")
    ] = "centres"
    preset: Annotated[
        Literal["laptop", "standard"], Parameter(help="Size of the network: two processor cores, or a GPU.")
    ] = "laptop"
    fold: Annotated[
        int | None,
        Parameter(help="0 to 4: validate on this fifth of the patients [on the official subset of overview.csv]."),
    ] = None
    made: Annotated[
        float, Parameter(help="Share of patches whose image is made from the labels, in a contrast drawn at random.")
    ] = 0.0
    plan: Annotated[
        Path | None, Parameter(help="A plan as TOML, e.g. an edited plan.toml of another run [made from the data].")
    ] = None
    cache: Annotated[Path | None, Parameter(help="Folder for prepared series; runs may share it [cache in --out].")] = (
        None
    )
    config: Annotated[Path | None, Parameter(help="Training settings as TOML; options on the line come first.")] = None
    force: Annotated[bool, Parameter(negative="", help="Start anew if the folder holds a run.")] = False
    json: Annotated[bool, Parameter(negative="", help="Print the card of the weights on stdout.")] = False


@spider.default
def run(*, run: SpiderRun, training: Annotated[TrainingConfig, Parameter(name="*")] = DEFAULTS) -> None:
    """Train a network on SPIDER: plan.toml, splits.json, weights.safetensors with a card, curves, checkpoints.

    The patch is the plan's; --patch, --outside and --loss have no part in it.

    Args:
        run: What from, and where to.
        training: How.
    """
    from pydantic import ValidationError

    from voxbench.cli.train_run import require_folder, require_learning
    from voxbench.errors import UsageError

    require_learning()
    from voxbench.challenges.spider.learning import SpiderLearning

    try:
        learning = SpiderLearning(method=run.method, preset=run.preset, fold=run.fold, made=run.made)
    except ValidationError as error:
        told = error.errors()[0]
        raise UsageError(f"--{told['loc'][0]}: {told['msg']}; got {told['input']}") from error
    require_folder(run.out)
    _train(run, learning, training)


def _train(run: SpiderRun, learning: SpiderLearning, training: TrainingConfig) -> None:
    from voxbench.challenges.spider.learning import lesson, settle
    from voxbench.cli.train_run import begin, train_lesson
    from voxbench.tasks.segmentation import read_plan

    given = settle(run.data, learning, read_plan(run.plan) if run.plan is not None else None)
    cache = run.cache or run.out / "cache"

    def make(first: bool, tell: Callable[[str], None]) -> Lesson:
        tell(str(given.plan))
        if first:
            begin(run.out, run.force)
            _write_down(run.out, given, learning)
        return lesson(given, learning, training, cache, tell)

    train_lesson(run.out, training, make, json=run.json)


def _write_down(out: Path, given: Prepared, learning: SpiderLearning) -> None:
    """The plan and the split, before anything is learned."""
    from voxbench.challenges.spider.splits import write_splits
    from voxbench.io import atomic
    from voxbench.tasks.segmentation import to_toml

    with atomic(out / "plan.toml") as temporary:
        temporary.write_text(to_toml(given.plan), encoding="utf-8")
    drawn = "official subsets" if learning.fold is None else f"fold {learning.fold} of 5 by patient"
    write_splits(out / "splits.json", [given.split], {"drawn": drawn})
