"""voxbench predict lumbarsr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
Many = Annotated[list[str] | None, cyclopts.Parameter(negative="")]


def lumbarsr(
    *,
    data: Annotated[Path, cyclopts.Parameter(name=["--data", "--references"])],
    out: Path,
    method: str | None = None,
    weights: Path | None = None,
    sample: Many = None,
    split: str | None = None,
    sequence: Many = None,
    observe: Many = None,
    source: Literal["auto", "native", "registered"] = "auto",
    confidence: Switch = False,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Bring LumbarSR's clinical sequences to the micro-CT's 105 um; begun again, it goes on where it stopped.

    Args:
        data: Folder holding RegisteredData/, and the scanner's own voxels as NIfTI where there are any: native/ as
            prepare writes it, or original_dicom/ as simulate does.
        out: Folder for METHOD/Lumbar_XX/LumbarXX_SEQUENCE_METHOD.nii.gz.
        method: nearest, trilinear, bicubic (spline order 3), spline5 (spline order 5, published as lanczos), lanczos
            (windowed sinc), or fusion (all sequences of a sample together, blur calibrated on samples of the data that
            are not predicted); trilinear if not given. With --weights a name for the predictions [the network's].
        weights: Folder of a voxbench train lumbarsr: predict with this network (needs voxbench[learn]).
        sample: Samples, e.g. Lumbar_26; the reference test (26 to 30) if not given.
        split: Samples of a split instead: seed-train, seed-phase-1, seed-phase-2, released-train, released-test.
        sequence: Sequences, e.g. 195X_195Y_1000Z_S; the two official ones (1000Z_S) if not given.
        observe: Sequences that a method which joins several may use; all that are there if not given.
        source: native: the scanner's voxels; registered: the volume on the target grid, read at the sequence's own
            spacing; auto: native where it is there. With --weights of a network that was given a base, where that is
            made from; auto: as in its training.
        confidence: Of fusion also write how much of each voxel the data fix, percent.
        jobs: Processes that predict at the same time.
        scheduler: Address of a Dask scheduler whose workers predict instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Predict again what is there already, and replace files of other origin.
        json: Print what was made on standard output.
    """
    from voxbench.challenges.lumbarsr.baseline import LumbarsrPrediction, line, prepare_resume, records
    from voxbench.challenges.lumbarsr.baseline import jobs as jobs_of
    from voxbench.challenges.lumbarsr.cases import OFFICIAL_SAMPLES, OFFICIAL_SEQUENCES, SEQUENCES, cases_of
    from voxbench.challenges.lumbarsr.splits import samples_of
    from voxbench.cli.cases import NEXT, rows_of, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.errors import InputError, UsageError
    from voxbench.io import to_json
    from voxbench.jobs import Manner, require_all

    settings = LumbarsrPrediction(
        method=method or ("trilinear" if weights is None else _network(weights)),
        samples=samples_of(sample, split, OFFICIAL_SAMPLES, needs_target=False),
        sequences=tuple(sequence or OFFICIAL_SEQUENCES),
        source=source,
        observe=tuple(observe or SEQUENCES),
        confidence=confidence,
    )
    try:
        cases_of(settings.samples, (*settings.sequences, *settings.observe))
    except InputError as error:
        raise UsageError(str(error)) from error
    if confidence and settings.method != "fusion":
        raise UsageError(f"--confidence is of --method fusion; the method is {settings.method}")
    Manner(jobs, scheduler)  # refuse a contradiction before anything is made
    if weights is None:
        todo = jobs_of(data, out, settings)
    else:
        from voxbench.challenges.lumbarsr.trained import jobs as jobs_with

        todo = jobs_with(data, out, weights, settings)
    need = need_of(f"predict lumbarsr {'network' if weights is not None else settings.method}")
    if dry_run:
        manner = Manner(jobs, scheduler, records(out, settings.method), force, need)
        show_plan("predict lumbarsr", todo, manner, json)
        return
    manner = Manner(jobs, scheduler, prepare_resume(out, settings, force), force, need)
    with lines(f"predicting, {len(todo)} cases") as tell:
        outcomes = run_cases(todo, manner, line, tell)
    if json:
        print(to_json(rows_of(outcomes)))
    require_all(outcomes, NEXT)


def _network(weights: Path) -> str:
    """The name of a network by its card."""
    from voxbench.errors import MissingToolError

    try:
        from voxbench.training.weights import read_card

        return str(read_card(weights).get("method"))
    except ImportError as error:
        raise MissingToolError(f"--weights needs {error.name}: pip install 'voxbench[learn]'") from error
