"""voxbench train spider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from cyclopts import App, Parameter

from voxbench.cli.settings import toml_settings
from voxbench.config import Config
from voxbench.training.config import PatchTraining

if TYPE_CHECKING:
    from voxbench.challenges.spider.learning import Prepared
    from voxbench.tasks.instances import IisConfig
    from voxbench.tasks.segmentation import Plan
    from voxbench.training.loop import Lesson

    Make = Callable[[Callable[[str], None]], Lesson]

T = TypeVar("T", bound=Config)


class SpiderFile(PatchTraining):
    """What a settings file may hold: how it is trained, and what is learned."""

    method: str = ""
    preset: str = ""
    fold: int | None = None
    made: float = 0.0


spider = App(
    name="spider", help="Train a network on SPIDER's lumbar spines (or any data of its layout).",
    config=toml_settings(SpiderFile),
)  # fmt: skip
DEFAULTS = PatchTraining()


@Parameter(name="*")
@dataclass(frozen=True)
class SpiderRun:
    """What from, and where to."""

    data: Annotated[Path, Parameter(help="Folder holding images/, masks/ and overview.csv.")]
    out: Annotated[Path, Parameter(help="Folder for the run; one that was interrupted goes on.")]
    method: Annotated[
        Literal["centres", "iis"],
        Parameter(
            help="centres: classes and the way to each structure's centre, in one pass; iis: iterative instance "
            "segmentation, one vertebra after the other, as the challenge's baseline."
        ),
    ] = "centres"
    preset: Annotated[
        Literal["laptop", "standard", "paper"],
        Parameter(help="laptop: two processor cores; standard (centres): a GPU; paper (iis): as published, a GPU."),
    ] = "laptop"
    fold: Annotated[
        int | None,
        Parameter(help="0 to 4: validate on this fifth of the patients [on the official subset of overview.csv]."),
    ] = None
    made: Annotated[
        float, Parameter(help="Share of patches whose image is made from the labels, in a contrast drawn at random.")
    ] = 0.0
    plan: Annotated[
        Path | None,
        Parameter(
            help="A plan as TOML, e.g. an edited plan.toml of another run [made from the data; iis: the preset]."
        ),
    ] = None
    cache: Annotated[Path | None, Parameter(help="Folder for prepared series; runs may share it [cache in --out].")] = (
        None
    )
    config: Annotated[Path | None, Parameter(help="Training settings as TOML; options on the line come first.")] = None
    force: Annotated[bool, Parameter(negative="", help="Start anew if the folder holds a run.")] = False
    json: Annotated[bool, Parameter(negative="", help="Print the card of the weights on stdout.")] = False


@spider.default
def run(*, run: SpiderRun, training: Annotated[PatchTraining, Parameter(name="*")] = DEFAULTS) -> None:
    """Train a network on SPIDER: plan.toml, splits.json, weights.safetensors with a card, curves, checkpoints.

    The patch is the plan's; --patch, --outside and --loss have no part in it.

    Args:
        run: What from, and where to.
        training: How.
    """
    from voxbench.cli.train_run import require_folder, require_learning

    require_learning()
    require_folder(run.out)
    _train(run, training)


def _train(run: SpiderRun, training: PatchTraining) -> None:
    from voxbench.cli.train_run import begin, train_lesson

    given, make = (_iis if run.method == "iis" else _centres)(run, training)

    def prepared(first: bool, tell: Callable[[str], None]) -> Lesson:
        tell(str(given.plan))
        if first:
            begin(run.out, run.force)
            _write_down(run, given)
        return make(tell)

    train_lesson(run.out, training, prepared, json=run.json)


def _centres(run: SpiderRun, training: PatchTraining) -> tuple[Prepared[Plan], Make]:
    from voxbench.challenges.spider.learning import SpiderLearning, lesson, settle
    from voxbench.tasks.segmentation import read_plan

    learning = _learning(SpiderLearning, run)
    given = settle(run.data, learning, read_plan(run.plan) if run.plan is not None else None)
    return given, lambda tell: lesson(given, learning, training, _cache(run), tell)


def _iis(run: SpiderRun, training: PatchTraining) -> tuple[Prepared[IisConfig], Make]:
    from voxbench.challenges.spider.iterative import IisLearning, lesson_of_iis, settle_iis
    from voxbench.tasks.instances.iterative_config import read_iis

    learning = _learning(IisLearning, run)
    given = settle_iis(run.data, learning, read_iis(run.plan) if run.plan is not None else None)
    return given, lambda tell: lesson_of_iis(given, learning, training, _cache(run), tell)


def _learning(kind: type[T], run: SpiderRun) -> T:
    """What is learned, from the options.

    Raises:
        UsageError: One cannot be used.
    """
    from pydantic import ValidationError

    from voxbench.errors import UsageError

    try:
        return kind.model_validate({name: getattr(run, name) for name in ("method", "preset", "fold", "made")})
    except ValidationError as error:
        told = error.errors()[0]
        raise UsageError(f"--{told['loc'][0]}: {told['msg']}; got {told['input']}") from error


def _cache(run: SpiderRun) -> Path:
    return run.cache or run.out / "cache"


def _write_down(run: SpiderRun, given: Prepared[Plan] | Prepared[IisConfig]) -> None:
    """The plan and the split, before anything is learned."""
    from voxbench.challenges.spider.splits import write_splits
    from voxbench.io import atomic
    from voxbench.tasks.instances.iterative_config import IisConfig, iis_toml
    from voxbench.tasks.segmentation import to_toml

    with atomic(run.out / "plan.toml") as temporary:
        text = iis_toml(given.plan) if isinstance(given.plan, IisConfig) else to_toml(given.plan)
        temporary.write_text(text, encoding="utf-8")
    drawn = "official subsets" if run.fold is None else f"fold {run.fold} of 5 by patient"
    write_splits(run.out / "splits.json", [given.split], {"drawn": drawn})
