"""voxbench predict lnq2023."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def lnq2023(
    *,
    data: Path,
    out: Path,
    weights: Annotated[list[Path], cyclopts.Parameter(consume_multiple=True, negative="")],
    minimum_mm3: float = 175.0,
    short_mm: float = 0.0,
    overlap: float = 0.5,
    mirror: Switch = False,
    jobs: int = 1,
    scheduler: str | None = None,
    force: Switch = False,
    json: Switch = False,
    dry_run: Switch = False,
) -> None:
    """Find the lymph nodes in chest CT; begun again, it goes on where it stopped.

    Args:
        data: Folder of CASE-ct.nrrd (also .nii.gz, .mha), at any depth.
        out: Folder for CASE-seg.mha, 1 in nodes, on the CT's grid; voxbench submit lnq2023 takes it.
        weights: Folders of voxbench train lnq2023 (needs voxbench[learn]); probabilities of several are averaged.
        minimum_mm3: Least volume of a node that is kept.
        short_mm: Least short axis, in an axial slice, of a node that is kept.
        overlap: Share of a window that the next one covers again; less is faster.
        mirror: Look at every CT mirrored too, where the plan allows it.
        jobs: Processes that predict at the same time.
        scheduler: Address of a Dask scheduler whose workers predict instead, e.g. tcp://host:8786.
        force: Predict again what is there already, and replace files of other origin.
        json: Print what was made on standard output.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
    """
    from voxbench.cli.cases import NEXT, rows_of, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.cli.settings import checked
    from voxbench.errors import MissingToolError
    from voxbench.io import to_json
    from voxbench.jobs import Manner, Records, records_of_files, require_all

    Manner(jobs, scheduler)  # refuse a contradiction before anything is made
    try:
        from voxbench.challenges.lnq2023.trained import KIND, WRITTEN, NodeRules, line
        from voxbench.challenges.lnq2023.trained import jobs as jobs_of
    except ImportError as error:
        raise MissingToolError(f"--weights needs {error.name}: pip install 'voxbench[learn]'") from error
    values = {"minimum_mm3": minimum_mm3, "short_mm": short_mm, "overlap": overlap, "mirror": mirror}
    settings = checked(NodeRules, values)
    todo = jobs_of(data, out, weights, settings)
    need = need_of("predict lnq2023")
    if dry_run:
        show_plan("predict lnq2023", todo, Manner(jobs, scheduler, Records(out / "cases"), force, need), json)
        return
    kept = records_of_files(out, KIND, {job.key: f"{job.key}{WRITTEN}" for job in todo}, force=force)
    manner = Manner(jobs, scheduler, kept, force, need)
    with lines(f"predicting, {len(todo)} cases") as tell:
        outcomes = run_cases(todo, manner, line, tell)
    if json:
        print(to_json(rows_of(outcomes)))
    require_all(outcomes, NEXT)
