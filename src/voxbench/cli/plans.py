"""``--dry-run``: what a command over many cases would do; and the warning if its memory is not there."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxbench.jobs import Job, Manner, Need, Plan, plan

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 40
"""Cases in the table for eyes; --json has all."""

NEEDS = {
    "evaluate lnq2023": Need(98.0, 1.9),
    "evaluate lumbarsr": Need(72.0, 1.4),
    "evaluate lumir25": Need(73.0, 1.3),
    "evaluate spider": Need(191.0, 1.6),
    "evaluate ssrkd": Need(116.0, 0.0),
    "predict lumbarsr bicubic": Need(90.0, 5.7),
    "predict lumbarsr fusion": Need(88.0, 28.0),
    "predict lumbarsr lanczos": Need(82.0, 5.8),
    "predict lumbarsr trilinear": Need(82.0, 5.7),
    "predict lumir25 deformable": Need(98.0, 11.8),
    "predict lumir25 zero": Need(71.0, 4.5),
    "prepare lnq2023": Need(151.0, 3.7),
}
"""What a case of a command takes, by benchmarks/memory_of_cases.py; of those that do not stand here it is unknown."""


def need_of(command: str) -> Need | None:
    """How much memory a case of a command takes; None if that was not measured."""
    return NEEDS.get(command)


def show_plan(command: str, jobs: Sequence[Job], manner: Manner, json: bool) -> None:
    """Print what a run would do; nothing is done.

    Args:
        command: What is run, e.g. ``evaluate spider``.
        jobs: Its cases.
        manner: How they would be run, with the records of an earlier start, if there are any.
        json: Whether to print it as JSON on standard output, too.
    """
    from rich.console import Console

    from voxbench.io import to_json

    found = plan(jobs, manner)
    console = Console(stderr=True, highlight=False)
    for name, text in _lines(command, found, manner).items():
        console.print(f"{name:7}{text}", markup=False, soft_wrap=True)
    console.print(_table(found))
    if len(found.cases) > SHOWN:
        console.print(f"and {len(found.cases) - SHOWN} more; --json lists all", markup=False)
    console.print("nothing was done: leave --dry-run out to begin", markup=False)
    if json:
        print(to_json({"command": command, **found.as_dict()}))


def short_of_memory(jobs: Sequence[Job], manner: Manner) -> str | None:
    """What to say before a run whose cases may not fit in this machine's memory; None if they do, or it is unknown."""
    if manner.need is None or manner.scheduler is not None:
        return None
    return _short(plan(jobs, manner))


def spoken(seconds: float) -> str:
    """A time for eyes: seconds, minutes or hours."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _lines(command: str, found: Plan, manner: Manner) -> dict[str, str]:
    """The plan in short."""
    where = f"on {manner.scheduler}" if found.workers is None else f"with {found.workers} at a time, {platform.node()}"
    kept = len(found.cases) - len(found.todo)
    told = {
        "plan": f"voxbench {command}, {len(found.cases)} cases {where}",
        "cases": f"{len(found.todo)} to do, {kept} kept" + (" (by settings and dates)" if kept else ""),
        "memory": _memory(found),
        "time": _time(found),
    }
    short = _short(found)
    return told | ({"": short} if short else {})


def _memory(found: Plan) -> str:
    needs = found.needs_mib
    if not needs:
        return "nothing to do" if not found.todo else "unknown: not measured for this command, or no header can be read"
    low, high = _size(needs[-1]), _size(needs[0])
    each = f"about {high} a case" if low == high else f"about {low} to {high} a case"
    together = "" if found.at_once_mib is None else f", {_size(found.at_once_mib)} at a time"
    unknown = len(found.todo) - len(needs)
    return each + together + (f"; {unknown} unknown" if unknown else "")


def _time(found: Plan) -> str:
    if found.seconds is None:
        return "unknown: no case was done here before"
    if not found.todo:
        return "none: all is there"
    by = f", by {len(found.known_seconds)} cases done here before"
    return f"about {spoken(found.seconds)}{by}" + ("; divide by the cluster's workers" if found.workers is None else "")


def _short(found: Plan) -> str | None:
    fitting = found.workers_that_fit
    if fitting is None or found.at_once_mib is None:
        return None
    need = f"the largest cases need about {_size(found.at_once_mib)} at a time, {_size(found.free_mib)} are free"
    return f"{need}; --jobs {fitting} " + ("fits" if found.needs_mib[0] <= found.free_mib else "may not fit either")


def _table(found: Plan) -> Table:
    from rich.table import Table

    table = Table()
    for name in ("case", "", "memory", "took"):
        table.add_column(name, justify="left" if name in {"case", ""} else "right")
    for case in found.cases[:SHOWN]:
        memory = "?" if case.memory_mib is None else _size(case.memory_mib)
        took = "" if case.seconds is None else spoken(case.seconds)
        table.add_row(case.case, "kept" if case.kept else "to do", memory, took)
    return table


def _size(mib: float) -> str:
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"
