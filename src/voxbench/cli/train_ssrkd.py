"""voxbench train ssrkd: the three stages of SSR-KD, one or all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from pydantic import Field

from voxbench.cli.settings import toml_settings
from voxbench.config import Config

if TYPE_CHECKING:
    from voxbench.challenges.ssrkd.learning_data import Knees
    from voxbench.challenges.ssrkd.stages import Stage, StageConfig
    from voxbench.training.config import TrainingConfig
    from voxbench.training.loop import Lesson


class StageOptions(Config):
    """How stages are trained; what is not chosen depends on the stage and the size (docs/ssrkd.md)."""

    steps: int | None = Field(default=None, ge=1, description="Updates, of one stage.")
    segment_steps: int | None = Field(default=None, ge=1, description="Updates of the first stage, with --stage all.")
    teacher_steps: int | None = Field(default=None, ge=1, description="Updates of the second.")
    student_steps: int | None = Field(default=None, ge=1, description="Updates of the third.")
    batch: int | None = Field(default=None, ge=1, description="Labelled knees per update; as many unlabelled ones.")
    accumulate: int = Field(default=1, ge=1, description="Parts a batch is worked through in, to save memory.")
    patch: int | None = Field(default=None, ge=8, description="Edge: of squares of radiographs, of boxes of CTs.")
    points: int | None = Field(default=None, ge=10, description="Points of a knee per update.")
    augment: bool = Field(default=True, description="Mirror what is learned from.")
    learning_rate: float | None = Field(default=None, gt=0, description="Largest step of AdamW.")
    warm_up: int | None = Field(default=None, ge=0, description="Updates until the learning rate is reached.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Of AdamW.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient.")
    average: float = Field(default=0.995, ge=0, lt=1, description="Decay of the moving average of the weights.")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="Of the forward pass.")
    seed: int = Field(default=0, ge=0, description="Decides weights, draws and augmentation.")
    validate_every: int | None = Field(default=None, ge=1, description="Updates between validations.")
    save_every: int = Field(default=100, ge=1, description="Updates between checkpoints.")
    patience: int = Field(default=0, ge=0, description="Validations without a better one before stopping; 0: never.")
    tensorboard: bool = Field(default=False, description="Write TensorBoard events too (needs tensorboard).")


ssrkd = App(
    name="ssrkd", help="Train SSR-KD's networks: bones from two radiographs.", config=toml_settings(StageOptions)
)
DEFAULTS = StageOptions()
_OF_ONE = {"segment_steps", "teacher_steps", "student_steps"}
_NOT_THE_LOOP = {"points", *_OF_ONE}


@Parameter(name="*")
@dataclass(frozen=True)
class StageRun:
    """What from, and where to."""

    data: Annotated[Path, Parameter(help="Folder of knees as voxbench simulate ssrkd writes it.")]
    out: Annotated[Path, Parameter(help="Folder for the runs, one per stage in it; what was interrupted goes on.")]
    stage: Annotated[
        Literal["segment", "teacher", "student", "all"],
        Parameter(
            help="segment: shadows of bones on radiographs; teacher: bones in CT; student: bones from two views."
        ),
    ] = "all"
    size: Annotated[Literal["laptop", "paper"], Parameter(help="The published networks, or small ones.")] = "laptop"
    cache: Annotated[Path | None, Parameter(help="Folder for unpacked arrays; runs may share it [cache in --out].")] = (
        None
    )
    config: Annotated[Path | None, Parameter(help="Training settings as TOML; options on the line come first.")] = None
    force: Annotated[bool, Parameter(negative="", help="Start the stages anew if the folder holds runs.")] = False
    json: Annotated[bool, Parameter(negative="", help="Print the cards of the weights on stdout.")] = False


@ssrkd.default
def run(*, run: StageRun, options: Annotated[StageOptions, Parameter(name="*")] = DEFAULTS) -> None:
    """Train SSR-KD's networks: in a folder per stage weights.safetensors with a card, learning curves, checkpoints.

    Args:
        run: What from, and where to.
        options: How.
    """
    from voxbench.cli.train_run import require_folder, require_learning
    from voxbench.errors import UsageError

    require_learning()
    if run.stage == "all" and options.steps is not None:
        raise UsageError(
            "--steps is for one stage; with --stage all: --segment-steps, --teacher-steps, --student-steps"
        )
    chosen = [f"--{name.replace('_', '-')}" for name in sorted(_OF_ONE) if getattr(options, name) is not None]
    if run.stage != "all" and chosen:
        raise UsageError(f"{', '.join(chosen)}: for --stage all; with --stage {run.stage}: --steps")
    require_folder(run.out)
    _train(run, options)


def _train(run: StageRun, options: StageOptions) -> None:
    from voxbench.challenges.ssrkd.learning import load_guides
    from voxbench.challenges.ssrkd.learning_data import read_knees
    from voxbench.challenges.ssrkd.stages import STAGES
    from voxbench.cli.progress import lines
    from voxbench.cli.train_run import begin, silent
    from voxbench.io import to_json
    from voxbench.training.loop import train
    from voxbench.training.processes import first_alone
    from voxbench.training.weights import read_card

    stages: tuple[Stage, ...] = STAGES if run.stage == "all" else (run.stage,)
    knees = read_knees(run.data, stages, run.cache or run.out / "cache")
    if stages == ("student",):
        load_guides(run.out)  # refuse before anything is made
    plans: dict[Stage, tuple[StageConfig, TrainingConfig]] = {
        stage: _plan(stage, run, options, len(knees.train)) for stage in stages
    }
    with lines("training") as tell:
        with first_alone() as first:
            if first:
                for stage in stages:
                    begin(run.out / stage, run.force, [run.cache or run.out / "cache"])
                _estimate(run, knees, plans, tell)
        for stage, (_, training) in plans.items():
            with first_alone():
                task = _lesson(run, knees, plans[stage])
            told = _named(stage, tell) if first else silent
            done = train(task, training, run.out / stage, told)
            told(f"{done.steps} updates in {done.seconds:.0f} s; weights in {run.out / stage}")
    if run.json and first:
        print(to_json({stage: read_card(run.out / stage) for stage in stages}))


def _plan(stage: Stage, run: StageRun, options: StageOptions, knees: int) -> tuple[StageConfig, TrainingConfig]:
    """What a stage learns from, and how it is trained."""
    from voxbench.challenges.ssrkd.stages import learned, trained
    from voxbench.training.config import TrainingConfig

    given = {k: v for k, v in options.model_dump(exclude=_NOT_THE_LOOP).items() if v is not None}
    of_stage = getattr(options, f"{stage}_steps")
    if of_stage is not None:
        given["steps"] = of_stage
    config = learned(stage, run.size, options.points)
    if not options.augment:
        config = config.model_copy(update={"mirrored": False, "shortest": 1.0})
    return config, TrainingConfig.model_validate(trained(stage, run.size, knees, given))


def _lesson(run: StageRun, knees: Knees, plan: tuple[StageConfig, TrainingConfig]) -> Lesson:
    from voxbench.challenges.ssrkd.learning import lesson, load_guides

    guides = load_guides(run.out) if plan[0].stage == "student" else None
    return lesson(knees, *plan, guides, run.cache or run.out / "cache")


def _estimate(
    run: StageRun, knees: Knees, plans: dict[Stage, tuple[StageConfig, TrainingConfig]], tell: Callable[[str], None]
) -> None:
    """Tell what each stage will take that is not under way already; refuse what cannot be learned from."""
    from voxbench.challenges.ssrkd.learning import lesson, load_guides, untrained_guides
    from voxbench.training.loop import CHECKPOINT, estimate

    for stage, plan in plans.items():
        guides: Any = None
        if stage == "student":
            guides = untrained_guides(run.size) if len(plans) > 1 else load_guides(run.out)
        if not (run.out / stage / CHECKPOINT).is_file():
            _named(stage, tell)(estimate(lesson(knees, *plan, guides, run.cache or run.out / "cache"), plan[1]))


def _named(stage: Stage, tell: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: tell(f"{stage}: {line}")
