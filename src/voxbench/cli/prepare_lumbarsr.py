"""voxbench prepare lumbarsr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
Many = Annotated[list[str] | None, cyclopts.Parameter(negative="")]


def lumbarsr(
    *,
    data: Path,
    out: Path,
    sample: Many = None,
    split: str | None = None,
    sequence: Many = None,
    flip: Annotated[
        list[Literal["as-is", "turned", "mirrored", "headers"]] | None, cyclopts.Parameter(negative="")
    ] = None,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Register LumbarSR's scans to their micro-CT: registered data, bone masks; it goes on where it stopped.

    Args:
        data: Folder holding original_dicom/Lumbar_XX/clinical_ct/SEQUENCE and .../micro_ct: DICOM series, or a NIfTI
            file in place of each.
        out: Folder for RegisteredData/, BoneMask/, native/, and preparation/ with a JSON and a picture of each sample.
        sample: Samples, e.g. Lumbar_01; all that are there if not given.
        split: Samples of a split instead: seed-train, seed-phase-1, released-train, released-test.
        sequence: Sequences, e.g. 195X_195Y_500Z_B, as far as they are there; all eight if not given (the four of the
            seed with its splits).
        flip: How a clinical scan may lie: as-is, turned and mirrored are the organisers' three, headers trusts the
            headers; all four are tried if not given, and the best Dice of bone wins.
        jobs: Processes that prepare samples at the same time.
        scheduler: Address of a Dask scheduler whose workers do it instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Prepare again what is there already, and replace files of other origin.
        json: Print what was found for each sample on standard output.
    """
    from dataclasses import replace

    from voxbench.challenges.lumbarsr.alignment import FLIPS
    from voxbench.challenges.lumbarsr.cases import SEQUENCES, cases_of
    from voxbench.challenges.lumbarsr.preparation import LumbarsrPreparation, line
    from voxbench.challenges.lumbarsr.preparation import jobs as jobs_of
    from voxbench.challenges.lumbarsr.prepared import FOLDER, prepare_resume
    from voxbench.challenges.lumbarsr.sources import samples_in
    from voxbench.challenges.lumbarsr.splits import samples_of, split_named
    from voxbench.cli.cases import NEXT, rows_of, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.errors import InputError, UsageError
    from voxbench.io import to_json
    from voxbench.jobs import Manner, Records, require_all
    from voxbench.report.preparation import alignment_picture

    manner = Manner(jobs, scheduler, afresh=force)  # refuse a contradiction before anything is read
    samples = samples_of(sample, split, ())
    expected = SEQUENCES if split is None else split_named(split).sequences
    settings = LumbarsrPreparation(
        samples=samples or samples_in(data),
        sequences=tuple(sequence or expected),
        flips=tuple(flip or FLIPS),  # pyright: ignore[reportArgumentType]
    )
    try:
        cases_of(settings.samples, settings.sequences)
    except InputError as error:
        raise UsageError(str(error)) from error
    todo = jobs_of(data, out, settings, alignment_picture)
    manner = replace(manner, need=need_of("prepare lumbarsr"))
    if dry_run:
        show_plan("prepare lumbarsr", todo, replace(manner, records=Records(out / "cases" / FOLDER)), json)
        return
    manner = replace(manner, records=prepare_resume(out, settings.samples, force))
    with lines(f"preparing, {len(todo)} samples") as tell:
        outcomes = run_cases(todo, manner, line, tell)
    if json:
        print(to_json(rows_of(outcomes, "sample")))
    require_all(outcomes, NEXT)
