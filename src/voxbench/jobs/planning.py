"""What a run would do, before it is begun: which cases, how much memory, how long."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxbench.jobs.job import Job
from voxbench.jobs.memory import free_mib
from voxbench.jobs.record import Records, fingerprint
from voxbench.jobs.run import Manner


@dataclass(frozen=True)
class PlannedCase:
    """A case, before it is begun.

    Attributes:
        case: Its name.
        kept: Whether it is on record with the same settings, and no input is younger than the record.
        memory_mib: What it will take; None if unknown.
        seconds: How long it took when it was last done.
    """

    case: str
    kept: bool
    memory_mib: float | None
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """A run, before it is begun.

    Attributes:
        cases: In order.
        workers: Cases done at the same time; None on a cluster.
        free_mib: Memory of this machine that could be had now.
    """

    cases: tuple[PlannedCase, ...]
    workers: int | None
    free_mib: float

    @property
    def todo(self) -> tuple[PlannedCase, ...]:
        """The cases that would be done."""
        return tuple(case for case in self.cases if not case.kept)

    @property
    def needs_mib(self) -> tuple[float, ...]:
        """What the cases to be done take, as far as it is known, the largest first."""
        return tuple(sorted((case.memory_mib for case in self.todo if case.memory_mib is not None), reverse=True))

    @property
    def at_once_mib(self) -> float | None:
        """What the largest cases take that may be done at the same time; None if unknown, or not on this machine."""
        return sum(self.needs_mib[: self.workers]) if self.workers and self.needs_mib else None

    @property
    def workers_that_fit(self) -> int | None:
        """How many processes the free memory is enough for, at least 1; None if `workers` of them fit."""
        if self.at_once_mib is None or self.at_once_mib <= self.free_mib:
            return None
        return max(1, int(self.free_mib / self.needs_mib[0]))

    @property
    def known_seconds(self) -> tuple[float, ...]:
        """How long cases took that were done earlier."""
        return tuple(case.seconds for case in self.cases if case.seconds is not None)

    @property
    def seconds(self) -> float | None:
        """Until the end, on this machine with all workers, on a cluster of one; None if no case was done earlier."""
        if not self.todo:
            return 0.0
        if not self.known_seconds:
            return None
        typical = statistics.fmean(self.known_seconds)
        whole = sum(typical if case.seconds is None else case.seconds for case in self.todo)
        return whole / min(self.workers or 1, len(self.todo))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        about: dict[str, Any] = {"todo": len(self.todo), "kept": len(self.cases) - len(self.todo)}
        about |= {"workers": self.workers, "memory_mib_at_once": self.at_once_mib, "free_mib": self.free_mib}
        return about | {"seconds": self.seconds, "cases": [asdict(case) for case in self.cases]}


def plan(jobs: Sequence[Job], manner: Manner) -> Plan:
    """Say what `run` would do; nothing is done, no file is read beyond its header.

    Args:
        jobs: The cases.
        manner: How they would be run.
    """
    cases = tuple(_planned(job, manner) for job in jobs)
    workers = None if manner.scheduler is not None else min(manner.workers, max(1, len(jobs)))
    return Plan(cases, workers, free_mib())


def _planned(job: Job, manner: Manner) -> PlannedCase:
    earlier = manner.records.kept(job.key) if manner.records is not None else {}
    kept = manner.records is not None and not manner.afresh and _holds(job, earlier, manner.records)
    need = None if manner.need is None else manner.need.of(job)
    seconds = earlier.get("seconds") if earlier.get("status") == "done" else None
    return PlannedCase(job.key, kept, need, seconds if isinstance(seconds, int | float) else None)


def _holds(job: Job, earlier: Mapping[str, Any], records: Records) -> bool:
    """Whether a record would be used again, told without reading the inputs: by settings and dates."""
    record, inputs = earlier.get("record"), earlier.get("inputs")
    if not isinstance(record, Mapping) or not isinstance(inputs, Mapping):
        return False
    if fingerprint(job, inputs) != earlier.get("fingerprint"):
        return False
    written = records.path(job.key).stat().st_mtime
    unchanged = all(_unchanged(path, inputs.get(name), written) for name, path in job.inputs.items())
    return unchanged and all((records.root / file).is_file() for file in record.get("files") or ())


def _unchanged(path: Path, known: str | None, written: float) -> bool:
    if not path.exists():
        return known is None
    files = [path, *path.iterdir()] if path.is_dir() else [path]
    return known is not None and all(file.stat().st_mtime <= written for file in files)
