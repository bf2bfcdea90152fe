"""A data set that is made case by case, and is there whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from voxbench.jobs.job import Job, Outcome, Record
from voxbench.jobs.leftovers import WORKER, run_name, sweep
from voxbench.jobs.run import require_all

Runner = Callable[[Sequence[Job]], tuple[Outcome, ...]]
"""Does all cases, those after a failed one too; `voxbench.jobs.run` is one."""


def make_all(jobs: Sequence[Job], folder: Path, runner: Runner) -> tuple[Record, ...]:
    """Make every case of a data set.

    Args:
        jobs: The cases; each writes files of its own, and may be done twice.
        folder: The temporary folder of the data set, where they write.
        runner: How they are done.

    Returns:
        What is known of each, in order.

    Raises:
        JobError: Cases failed; each is named with its reason.
    """
    run_name()  # before anything is written: what workers leave half-written is known by it
    outcomes = runner(jobs)
    sweep(folder, run_name() + WORKER)
    require_all(outcomes, "; no data set is written")
    return tuple(outcome.record for outcome in outcomes if outcome.record is not None)
