"""What every ``voxbench train`` does around its challenge's own lesson (imports torch when called)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxbench.training.config import TrainingConfig
    from voxbench.training.loop import Lesson

Tell = Callable[[str], None]


def require_learning() -> None:
    """Refuse where what training needs is not installed.

    Raises:
        MissingToolError: It is not; says how to get it.
    """
    from voxbench.errors import MissingToolError

    try:
        import accelerate  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingToolError(f"training needs {error.name}: pip install 'voxbench[learn]'") from error


def require_folder(out: Path) -> None:
    """Refuse a file where the folder of a run shall be.

    Raises:
        FileWriteError: There is one.
    """
    from voxbench.errors import FileWriteError

    if out.is_file():
        raise FileWriteError(f"{out}: is a file; --out names the folder of the run")


def begin(out: Path, force: bool, others: Sequence[Path] = ()) -> None:
    """Make the folder of a run, and others; with ``force`` what an earlier run left there goes.

    Raises:
        FileWriteError: One cannot be made.
    """
    from voxbench.errors import FileWriteError
    from voxbench.training.loop import CHECKPOINT

    for folder in (out, *others):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileWriteError(f"{folder}: cannot be made: {error.strerror or error}") from error
    if force:
        for name in (CHECKPOINT, "metrics.jsonl", "curves.png", "weights.safetensors", "weights.json"):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "tensorboard", ignore_errors=True)


def train_lesson(out: Path, training: TrainingConfig, make: Callable[[bool, Tell], Lesson], *, json: bool) -> None:
    """Estimate, train, tell; the first of several processes prepares before the others look.

    Args:
        out: Folder of the run.
        training: How.
        make: Makes the lesson; told whether this is the first process, and what to tell with.
        json: Print the card of the weights on standard output.
    """
    from voxbench.cli.progress import lines
    from voxbench.io import to_json
    from voxbench.training.loop import estimate, train
    from voxbench.training.processes import first_alone
    from voxbench.training.weights import read_card

    with lines("training") as tell:
        with first_alone() as first:
            told = tell if first else silent
            lesson = make(first, told)
            if first:
                tell(estimate(lesson, training))
        done = train(lesson, training, out, told)
        told(f"{done.steps} updates in {done.seconds:.0f} s; weights in {out}")
    if json and first:
        print(to_json(read_card(out)))


def silent(_line: str) -> None:
    """What processes other than the first tell."""
