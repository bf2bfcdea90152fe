"""What training front ends do once their options are read (imports torch when called)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxbench.challenges.spider.learning import Prepared, SpiderLearning
    from voxbench.cli.train_spider import SpiderRun
    from voxbench.training.config import TrainingConfig

OURS = ("checkpoint.safetensors", "metrics.jsonl", "curves.png", "weights.safetensors", "weights.json", "plan.toml")


def train_run(run: SpiderRun, learning: SpiderLearning, training: TrainingConfig) -> None:
    """Settle, write down what was settled, train."""
    from voxbench.challenges.spider.learning import lesson, settle
    from voxbench.cli.progress import lines
    from voxbench.errors import FileWriteError
    from voxbench.io import to_json
    from voxbench.tasks.segmentation import read_plan
    from voxbench.training.loop import estimate, train
    from voxbench.training.processes import first_alone
    from voxbench.training.weights import read_card

    if run.out.is_file():
        raise FileWriteError(f"{run.out}: is a file; --out names the folder of the run")
    given = settle(run.data, learning, read_plan(run.plan) if run.plan is not None else None)
    cache = run.cache or run.out / "cache"
    with lines("training") as tell:
        with first_alone() as first:
            told = tell if first else _silent
            told(str(given.plan))
            if first:
                _write_down(run.out, given, learning, force=run.force)
            task = lesson(given, learning, training, cache, told)
            if first:
                tell(estimate(task, training))
        done = train(task, training, run.out, told)
        told(f"{done.steps} updates in {done.seconds:.0f} s; weights in {run.out}")
    if run.json and first:
        print(to_json(read_card(run.out)))


def _write_down(out: Path, given: Prepared, learning: SpiderLearning, *, force: bool) -> None:
    """The plan and the split, before anything is learned."""
    from voxbench.challenges.spider.splits import write_splits
    from voxbench.errors import FileWriteError
    from voxbench.io import atomic
    from voxbench.tasks.segmentation import to_toml

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{out}: cannot be made: {error.strerror or error}") from error
    if force:
        for name in OURS:
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "tensorboard", ignore_errors=True)
    with atomic(out / "plan.toml") as temporary:
        temporary.write_text(to_toml(given.plan), encoding="utf-8")
    drawn = "official subsets" if learning.fold is None else f"fold {learning.fold} of 5 by patient"
    write_splits(out / "splits.json", [given.split], {"drawn": drawn})


def _silent(_line: str) -> None:
    """What processes other than the first tell."""
