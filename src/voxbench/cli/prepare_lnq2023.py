"""voxbench prepare lnq2023."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def lnq2023(
    *,
    data: Path,
    out: Path,
    labels: Path | None = None,
    format: Literal["nrrd", "nii.gz"] = "nrrd",  # noqa: A002  (the option is --format)
    threshold_mm: float = 10.0,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """LNQ 2023's CT and labels as pairs on one grid, with previews and statistics; it goes on where it stopped.

    Args:
        data: The challenge's CASE-ct.nrrd with CASE-seg.nrrd, in any folders, or the DICOM of TCIA's
            Mediastinal-Lymph-Node-SEG (CT and SEG series; SeriesDescription says which are fully annotated).
        out: Folder for train/, val/, test/ with CASE-ct, CASE-seg, CASE.png; dataset.csv; statistics.
        labels: Folder with label files to be taken before those beside the CT (the organisers' corrected ones).
        format: Of the images and labels.
        threshold_mm: Short axis from which on a node is counted as enlarged.
        jobs: Processes that prepare cases at the same time.
        scheduler: Address of a Dask scheduler whose workers do it instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Prepare again what is there already, and replace files of other origin.
        json: Print statistics.json on standard output.
    """
    from dataclasses import replace

    from voxbench.challenges.lnq2023.preparation import RECORDS, Lnq2023Preparation, kept_records, line
    from voxbench.challenges.lnq2023.preparation import jobs as jobs_of
    from voxbench.challenges.lnq2023.sources import sources_in
    from voxbench.challenges.lnq2023.statistics import TEXT, write_statistics
    from voxbench.cli.cases import NEXT, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.io import to_json
    from voxbench.jobs import Manner, Records, require_all
    from voxbench.report.nodes import case_picture

    manner = Manner(jobs, scheduler, afresh=force)  # refuse a contradiction before anything is read
    settings = Lnq2023Preparation(format=format, threshold_mm=threshold_mm)
    sources = sources_in(data, labels)
    todo = jobs_of(sources, out, settings, case_picture)
    manner = replace(manner, need=need_of("prepare lnq2023"))
    if dry_run:
        show_plan("prepare lnq2023", todo, replace(manner, records=Records(out / RECORDS)), json)
        return
    manner = replace(manner, records=kept_records(out, sources, force))
    with lines(f"preparing, {len(todo)} cases") as tell:
        outcomes = run_cases(todo, manner, line, tell)
        records = [outcome.record for outcome in outcomes if outcome.record is not None]
        found = write_statistics(out, records) if records else {}
        tell("" if not records else (out / TEXT).read_text(encoding="utf-8"))
    if json:
        print(to_json(found))
    require_all(outcomes, NEXT)
