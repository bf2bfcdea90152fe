"""What every ``voxbench evaluate`` does around its challenge's own numbers: run, tell, resume, keep."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from voxbench.cli.cases import run_cases
from voxbench.cli.output import make_folders, require_free_folder, result_folder
from voxbench.cli.plans import need_of, show_plan
from voxbench.cli.progress import lines
from voxbench.errors import FileReadError, FileWriteError
from voxbench.io import read_json
from voxbench.jobs import Job, Manner, Outcome, Record, Records, require_all
from voxbench.jobs.leftovers import run_name
from voxbench.jobs.record import FOLDER

REPORT = "report.html"
"""Written beside the results."""


@dataclass(frozen=True)
class Scoring:
    """A place for results, and a way to the outcomes they are made from.

    Attributes:
        folder: Where to write the results; they appear in --out when all is done.
        manner: How cases are run.
    """

    folder: Path
    manner: Manner

    def outcomes(self, jobs: Sequence[Job], line: Callable[[Record], str]) -> tuple[Outcome, ...]:
        """Score all cases, a line on stderr for each as it comes.

        Args:
            jobs: The cases.
            line: What to say of a case's record.

        Raises:
            JobError: Cases failed; each is named with its reason. What the others left is kept for the next start.
        """
        assert self.manner.records is not None
        with lines(f"scoring, {len(jobs)} cases") as tell:
            outcomes = run_cases(jobs, self.manner, line, tell)
        done = sum(outcome.record is not None for outcome in outcomes)
        kept = f"; no results are written; the other {done} are kept for the next start" if done else ""
        require_all(outcomes, kept)
        self.manner.records.drop_others(job.key for job in jobs)
        return outcomes


def require_folders(*folders: Path) -> None:
    """Refuse folders that are not there, which --allow-missing must not take for missing predictions.

    Raises:
        FileReadError: One does not exist, or is a file.
    """
    for folder in folders:
        if not folder.is_dir():
            what = "is a file; a folder is needed" if folder.is_file() else "no such folder"
            raise FileReadError(f"{folder}: {what}")


def show_scoring(out: Path, challenge: str, jobs: Sequence[Job], manner: Manner, json: bool) -> None:
    """Print what an evaluation would do (``--dry-run``).

    Args:
        out: The folder of its results.
        challenge: Whose evaluation.
        jobs: The cases.
        manner: How they would be run.
        json: Whether to print it as JSON on standard output, too.
    """
    command = f"evaluate {challenge}"
    show_plan(command, jobs, replace(manner, records=Records(out / FOLDER), need=need_of(command)), json)


@contextmanager
def scoring(out: Path, challenge: str, files: Collection[str], manner: Manner) -> Iterator[Scoring]:
    """Prepare --out: a new folder, an empty one, or one that an earlier run of the same evaluation left.

    What is known of each case is kept in ``cases/`` below it, so that a second start does only what is new. The results
    themselves appear, or replace older ones, when the block succeeds.

    Args:
        out: The folder.
        challenge: Whose evaluation.
        files: Every file a run may leave.
        manner: How cases are run; ``afresh`` also allows a folder with other things in it. Its records are set here.

    Raises:
        FileWriteError: The folder holds something else and ``afresh`` is not set, or it cannot be written.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100  (resolve() would follow a link at the end)
    run_name()  # before anything is written: a killed run's files are known by it
    records = Records(out / FOLDER)
    ours = records.kind
    if ours is not None and ours != challenge and not manner.afresh:
        raise FileWriteError(
            f"{out}: holds the results of another evaluation\n  there   {ours}\n  wanted  {challenge}\n"
            "  give another folder, or --force to replace them"
        )
    require_free_folder(out, manner.afresh or ours is not None)
    made = make_folders(out, out)
    fresh = not records.folder.exists()
    try:
        records.open(challenge)
        with result_folder(out, {*files, REPORT}, force=True) as folder:
            yield Scoring(folder, replace(manner, records=records, need=need_of(f"evaluate {challenge}")))
            reported = _report(folder, out.name)
        made.clear()
        if reported:
            with lines("") as tell:
                tell(f"report: {out / REPORT}  (voxbench report --predictions --references adds pictures of cases)")
    finally:
        if fresh and not records.any_done():
            shutil.rmtree(records.folder, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _report(folder: Path, name: str) -> bool:
    """Write the page of what was scored; False where the results hold no table of cases."""
    path = folder / "scores.json"
    content = read_json(path) if path.is_file() else {}
    if not {"challenge", "cases", "table"} <= set(content):
        return False
    from voxbench.report.evaluation import evaluation_page
    from voxbench.report.evaluation_html import write_evaluation_report
    from voxbench.report.scored import read_scored

    write_evaluation_report(folder / REPORT, evaluation_page([read_scored(folder, name)]))
    return True
