"""voxbench predict spider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def spider(
    *,
    data: Path,
    out: Path,
    weights: Path,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Number the vertebrae, discs and canal of lumbar MR images; begun again, it goes on where it stopped.

    Args:
        data: SPIDER's folder, holding images/, or any folder of .mha images.
        out: Folder for one integer .mha a series, on the image's grid and under its name.
        weights: Folder of a voxbench train spider (needs voxbench[learn]).
        jobs: Processes that predict at the same time.
        scheduler: Address of a Dask scheduler whose workers predict instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Predict again what is there already, and replace files of other origin.
        json: Print what was made on standard output.
    """
    from voxbench.cli.cases import NEXT, rows_of, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.errors import MissingToolError
    from voxbench.io import to_json
    from voxbench.jobs import Manner, Records, require_all
    from voxbench.tasks.instances import CentresConfig

    Manner(jobs, scheduler)  # refuse a contradiction before anything is made
    try:
        from voxbench.challenges.spider.trained import jobs as jobs_of
        from voxbench.challenges.spider.trained import line, prepare_resume
    except ImportError as error:
        raise MissingToolError(f"--weights needs {error.name}: pip install 'voxbench[learn]'") from error
    todo = jobs_of(data, out, weights, CentresConfig())
    need = need_of("predict spider")
    if dry_run:
        show_plan("predict spider", todo, Manner(jobs, scheduler, Records(out / "cases"), force, need), json)
        return
    manner = Manner(jobs, scheduler, prepare_resume(out, [job.key for job in todo], force=force), force, need)
    with lines(f"predicting, {len(todo)} cases") as tell:
        outcomes = run_cases(todo, manner, line, tell)
    if json:
        print(to_json(rows_of(outcomes)))
    require_all(outcomes, NEXT)
