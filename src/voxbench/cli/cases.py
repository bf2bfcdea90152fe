"""What every command over many cases does around them: run, tell a line each, print, name what failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from voxbench.cli.plans import short_of_memory, spoken
from voxbench.cli.progress import Lines
from voxbench.jobs import Job, Manner, Outcome, Record, run

NEXT = "; the others are there, and the next start does only what failed"
"""What follows the list of failed cases where each case's results stand alone."""


def run_cases(jobs: Sequence[Job], manner: Manner, line: Callable[[Record], str], tell: Lines) -> tuple[Outcome, ...]:
    """Do all cases, those that fail too.

    Args:
        jobs: The cases.
        manner: How they are run.
        line: What to say of a case's record; the seconds, or that it was kept, follow its first line.
        tell: Told of each case as it comes, and how long the rest may take.
    """
    teller = Teller(tell, line, len(jobs))
    if (warning := short_of_memory(jobs, manner)) is not None:
        tell(f"warning: {warning}")
    with _goes_on(teller, manner, tell):
        return run(jobs, manner, teller)


def rows_of(outcomes: Sequence[Outcome], name: str = "case") -> list[dict[str, object]]:
    """What became of every case, for --json.

    Args:
        outcomes: Of the cases.
        name: Under which a case's key stands.
    """
    return [{name: o.key, "error": o.error, "seconds": o.seconds, **(o.record or {})} for o in outcomes]


class Teller:
    """Tells of each outcome: how many of how many, what, and how long the rest may take.

    Attributes:
        done: How many cases are done, those kept of earlier runs included.
        total: Of how many.
    """

    def __init__(self, tell: Lines, line: Callable[[Record], str], total: int) -> None:
        self._tell, self._line, self.total = tell, line, total
        self._count = self._computed = self.done = 0
        self._start = time.perf_counter()

    def __call__(self, outcome: Outcome) -> None:
        """Tell of one."""
        self._count += 1
        self._computed += not outcome.reused
        self.done += outcome.record is not None
        if outcome.record is None:
            said, *rest = [f"{outcome.key}  failed: {outcome.error.splitlines()[0]}"]
        else:
            first, *rest = self._line(outcome.record).splitlines()
            said = first + ("  (kept)" if outcome.reused else f"  {outcome.seconds:.1f} s")
        self._tell("\n".join([f"[{self._count:{len(str(self.total))}}/{self.total}] {said}", *rest]))
        self._rest()

    def _rest(self) -> None:
        """How much is left; a kept case tells nothing of how long the others take."""
        left = self.total - self._count
        if left and self._computed:
            seconds = left * (time.perf_counter() - self._start) / self._computed
            self._tell.doing(f"{self._count} of {self.total} cases, {left} left, about {spoken(seconds)}")


@contextmanager
def _goes_on(teller: Teller, manner: Manner, tell: Lines) -> Iterator[None]:
    """If the run is stopped, say what is kept."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if manner.records is not None:
            tell(
                f"stopped: {teller.done} of {teller.total} cases are done and kept; the same command goes on from there"
            )
        raise
