"""A set of cases, run: here one after another, in processes of their own, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from voxbench.errors import JobError, UsageError
from voxbench.jobs.attempt import attempt
from voxbench.jobs.job import Job, Outcome
from voxbench.jobs.memory import Need
from voxbench.jobs.record import Records
from voxbench.jobs.status import Status

Told = Callable[[Outcome], None]


@dataclass(frozen=True)
class Manner:
    """How a set of cases is run.

    Attributes:
        workers: Processes of this machine; with 1 the cases are done in this one.
        scheduler: Address of a Dask scheduler whose workers do them instead, e.g. ``tcp://host:8786``.
        records: Where what each case leaves is kept; None keeps nothing.
        afresh: Whether to do cases again that are on record unchanged.
        need: How much memory a case takes; None if that was never measured.
    """

    workers: int = 1
    scheduler: str | None = None
    records: Records | None = None
    afresh: bool = False
    need: Need | None = None

    def __post_init__(self) -> None:
        """Refuse fewer than one worker."""
        if self.workers < 1:
            raise UsageError(f"--jobs must be at least 1; got {self.workers}")
        if self.scheduler is not None and self.workers > 1:
            raise UsageError("give --jobs or --scheduler, not both: a cluster has workers of its own")


def run(jobs: Sequence[Job], manner: Manner = Manner(), told: Told | None = None) -> tuple[Outcome, ...]:
    """Do all cases; a case that fails does not stop the others.

    Args:
        jobs: The cases; their keys differ.
        manner: How.
        told: Told of each outcome as it comes.

    Returns:
        What came of each, in the order of ``jobs``. Where records are kept, ``status.json`` beside them says meanwhile
        what became of every case.

    Raises:
        UsageError: The manner contradicts itself, or two cases have one key.
        JobError: The scheduler cannot be reached.
    """
    _require_unlike(jobs)
    found: dict[str, Outcome] = {}
    status = Status(jobs, manner.records)
    # A run that is stopped (Ctrl-C) ends its workers first, then says so in its status.
    with status.written(), closing(_attempts(jobs, manner, status)) as attempts:
        for outcome, mark in attempts:
            if manner.records is not None and not outcome.reused:
                manner.records.keep(outcome, mark)
            status.ended(outcome)
            found[outcome.key] = outcome
            if told is not None:
                told(outcome)
    return tuple(found[job.key] for job in jobs)


def require_all(outcomes: Sequence[Outcome], hint: str = "") -> None:
    """Refuse to go on when cases failed.

    Raises:
        JobError: Some failed; each is named with its reason.
    """
    failed = [outcome for outcome in outcomes if outcome.record is None]
    if failed:
        reasons = "\n".join(_reason(outcome).replace("\n", "\n  ") for outcome in failed)
        raise JobError(f"{len(failed)} of {len(outcomes)} cases failed{hint}\n{reasons}")


def _reason(outcome: Outcome) -> str:
    """The case and what went wrong with it; the case only once."""
    return outcome.error if outcome.error.startswith(outcome.key) else f"{outcome.key}: {outcome.error}"


def _attempts(jobs: Sequence[Job], manner: Manner, status: Status) -> Generator[tuple[Outcome, str], None, None]:
    kept = {job.key: manner.records.kept(job.key) if manner.records and not manner.afresh else {} for job in jobs}
    # One process needs no cluster, and one case no second process.
    if manner.scheduler is None and min(manner.workers, len(jobs)) <= 1:
        for job in jobs:
            status.began(job.key)
            yield attempt(job, kept[job.key])
        return
    from voxbench.jobs.cluster import attempts

    with closing(attempts(jobs, kept, (manner.workers, manner.scheduler), status)) as found:
        yield from found


def _require_unlike(jobs: Sequence[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.key in seen:
            raise UsageError(f"{job.key}: named twice; every case needs a name of its own")
        seen.add(job.key)
