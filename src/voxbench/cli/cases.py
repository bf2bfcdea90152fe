"""What every command over many cases does around them: run, tell a line each, print, name what failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voxbench.jobs import Job, Manner, Outcome, Record, run

NEXT = "; the others are there, and the next start does only what failed"
"""What follows the list of failed cases where each case's results stand alone."""


def run_cases(
    jobs: Sequence[Job], manner: Manner, line: Callable[[Record], str], tell: Callable[[str], None]
) -> tuple[Outcome, ...]:
    """Do all cases, those that fail too.

    Args:
        jobs: The cases.
        manner: How they are run.
        line: What to say of a case's record; the seconds, or that it was kept, follow its first line.
        tell: Told of each case as it comes.
    """

    def told(outcome: Outcome) -> None:
        if outcome.record is None:
            tell(f"{outcome.key}  failed: {outcome.error}")
            return
        kept = "  (kept)" if outcome.reused else f"  {outcome.seconds:.1f} s"
        first, *rest = line(outcome.record).splitlines()
        tell("\n".join([first + kept, *rest]))

    return run(jobs, manner, told)


def rows_of(outcomes: Sequence[Outcome], name: str = "case") -> list[dict[str, object]]:
    """What became of every case, for --json.

    Args:
        outcomes: Of the cases.
        name: Under which a case's key stands.
    """
    return [{name: o.key, "error": o.error, "seconds": o.seconds, **(o.record or {})} for o in outcomes]
