"""What every ``voxbench simulate`` of independent cases does: settings from options, the plan, cases in processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from voxbench.cli.cases import run_cases
from voxbench.cli.plans import show_plan
from voxbench.cli.progress import Lines
from voxbench.config import Config
from voxbench.errors import UsageError
from voxbench.io.folders import require_replaceable
from voxbench.jobs import Job, Manner, Outcome, Record, Runner

C = TypeVar("C", bound=Config)


def settings_of(kind: type[C], values: Mapping[str, Any]) -> C:
    """Settings from options of the same names.

    Args:
        kind: The settings.
        values: What was given.

    Raises:
        UsageError: A value is refused; its option is named.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{name}: {first['msg']}, got {first['input']}") from error


def runner(manner: Manner, line: Callable[[Record], str], tell: Lines) -> Runner:
    """Does the cases of a data set, a line for each, and says how long the rest may take.

    Args:
        manner: How they are run.
        line: What to say of a case.
        tell: Told of each case as it comes.
    """

    def do(jobs: Sequence[Job]) -> tuple[Outcome, ...]:
        return run_cases(jobs, manner, line, tell)

    return do


def plan_of(
    challenge: str, out: tuple[Path, Sequence[str], bool], jobs: Sequence[Job], manner: Manner, json: bool
) -> None:
    """Print what a simulation would do (``--dry-run``).

    Args:
        challenge: In whose layout.
        out: The folder, by what a data set of ours is known, whether it may be replaced.
        jobs: The cases.
        manner: How they would be run.
        json: Whether to print it as JSON on standard output, too.

    Raises:
        FileWriteError: The folder must not be replaced.
    """
    require_replaceable(*out)
    show_plan(f"simulate {challenge}", jobs, manner, json)
