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


class Counter:
    """Counts outcomes, and tells how long the rest may take.

    Attributes:
        total: How many there will be.
        count: How many there were.
        done: How many of them are not failures, those kept of earlier runs included.
    """

    def __init__(self, tell: Lines, total: int) -> None:
        self._tell, self.total = tell, total
        self.count = self.done = self._computed = 0
        self._start = time.perf_counter()

    def __call__(self, outcome: Outcome) -> None:
        """Count one; a kept case tells nothing of how long the others take."""
        self.count += 1
        self.done += outcome.record is not None
        self._computed += not outcome.reused
        left = self.total - self.count
        if left and self._computed:
            seconds = left * (time.perf_counter() - self._start) / self._computed
            self._tell.doing(f"{self.count} of {self.total} done, {left} left, about {spoken(seconds)}")


class Teller(Counter):
    """Tells a line of each outcome, too."""

    def __init__(self, tell: Lines, line: Callable[[Record], str], total: int) -> None:
        super().__init__(tell, total)
        self._line = line

    def __call__(self, outcome: Outcome) -> None:
        """Tell of one: how many of how many, what, and how long it took."""
        if outcome.record is None:
            said, *rest = [f"{outcome.key}  failed: {outcome.error.splitlines()[0]}"]
        else:
            first, *rest = self._line(outcome.record).splitlines()
            said = first + ("  (kept)" if outcome.reused else f"  {outcome.seconds:.1f} s")
        self._tell("\n".join([f"[{self.count + 1:{len(str(self.total))}}/{self.total}] {said}", *rest]))
        super().__call__(outcome)


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
