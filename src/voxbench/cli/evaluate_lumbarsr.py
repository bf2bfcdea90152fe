"""voxbench evaluate lumbarsr."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from rich.table import Table

    from voxbench.challenges.lumbarsr.results import Evaluation

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
SYMBOLS = {
    "bone_volume_fraction": "BV/TV",
    "trabecular_thickness": "Tb.Th",
    "trabecular_separation": "Tb.Sp",
    "trabecular_number_plate": "Tb.N plate",
    "trabecular_number_spacing": "Tb.N spacing",
    "distance_thickness": "2x distance bone",
    "distance_separation": "2x distance rest",
}
"""What the quantities are called for eyes."""

Many = Annotated[list[str] | None, cyclopts.Parameter(negative="")]


def lumbarsr(
    *,
    predictions: Path,
    references: Path,
    method: str,
    out: Path,
    config: Path | None = None,  # noqa: ARG001  (read before this is called: voxbench.cli.settings)
    sample: Many = None,
    split: str | None = None,
    sequence: Many = None,
    fast_ssim: Switch = False,
    morphometry: Switch = False,
    threshold: float | None = None,
    allow_missing: Switch = False,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Score LumbarSR volumes: the organisers' tables, similarity_metrics.csv and scores.json.

    Args:
        predictions: Folder holding METHOD/Lumbar_XX/LumbarXX_SEQUENCE_METHOD.nii.gz.
        references: Folder holding RegisteredData/ and BoneMask/.
        method: Name of the method.
        out: Folder for the results.
        config: TOML file that gives options as key = value; those on the command line come first.
        sample: Samples to score, e.g. Lumbar_26; the reference test (26 to 30) if not given.
        split: Samples of a split instead: seed-train, seed-phase-1, released-train, released-test.
        sequence: Sequences to score, e.g. 195X_195Y_1000Z_S; the two official ones (1000Z_S) if not given.
        fast_ssim: SSIM of an eighth of the slices, as the official --fast-ssim; not comparable to the full one.
        morphometry: Bone morphometry (BV/TV, Tb.Th, Tb.Sp, Tb.N) in the bone mask, too: bone_morphometry.csv.
        threshold: HU above which a voxel is bone, with --morphometry; Otsu's of each micro-CT if not given.
        allow_missing: Give the worst values to predictions that are missing or cannot be used.
        jobs: Processes that score cases at the same time.
        scheduler: Address of a Dask scheduler whose workers score them instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Score cases again that are unchanged, and replace whatever is in --out.
        json: Print scores.json on standard output too.
    """
    from rich.console import Console

    from voxbench.challenges.lumbarsr.cases import OFFICIAL_SAMPLES, OFFICIAL_SEQUENCES, cases_of
    from voxbench.challenges.lumbarsr.evaluation import jobs as jobs_of
    from voxbench.challenges.lumbarsr.evaluation import line
    from voxbench.challenges.lumbarsr.results import FILES, Evaluation, LumbarsrEvaluation
    from voxbench.challenges.lumbarsr.splits import samples_of
    from voxbench.cli.scoring import require_folders, scoring, show_scoring
    from voxbench.errors import InputError, UsageError
    from voxbench.io import to_json
    from voxbench.jobs import Manner

    if threshold is not None and not morphometry:
        raise UsageError(f"--threshold {threshold:g} needs --morphometry: no other number knows a threshold")
    settings = LumbarsrEvaluation(
        method=method,
        samples=samples_of(sample, split, OFFICIAL_SAMPLES),
        sequences=tuple(sequence or OFFICIAL_SEQUENCES),
        fast_ssim=fast_ssim,
        morphometry=morphometry,
        threshold=threshold,
        allow_missing=allow_missing,
    )
    try:
        cases_of(settings.samples, settings.sequences)
    except InputError as error:
        raise UsageError(str(error)) from error
    require_folders(predictions, references)
    manner = Manner(jobs, scheduler, afresh=force)
    cases = jobs_of(predictions, references, settings)
    if dry_run:
        show_scoring(out, "lumbarsr", cases, manner, json)
        return
    with scoring(out, "lumbarsr", FILES, manner) as run:
        evaluation = Evaluation(settings, run.outcomes(cases, line))
        evaluation.write(run.folder)
    console = Console(stderr=True, highlight=False)
    console.print(_table(evaluation))
    for table in _bone_tables(evaluation) if morphometry else ():
        console.print(table)
    if json:
        print(to_json(evaluation.scores()))


def _table(evaluation: Evaluation) -> object:
    """The summary for eyes."""
    from rich.table import Table

    table = Table(title=f"LumbarSR, {evaluation.settings.method}: {evaluation.counted}")
    for name in ("sequence", "mask", "window"):
        table.add_column(name)
    for name in ("PSNR, dB", "SSIM", "MAE"):
        table.add_column(name, justify="right")
    for row in evaluation.summary():
        means = f"{row['psnr_mean']:.2f}", f"{row['ssim_mean']:.4f}", f"{row['mae_mean']:.4f}"
        table.add_row(row["sequence"], row["mode"], row["window"], *means)
    return table


def _bone_tables(evaluation: Evaluation) -> Iterator[Table]:
    """Bone morphometry for eyes, a table a sequence: means, their difference, and the exact test of the claim."""
    from rich.table import Table

    for sequence, quantities in evaluation.bones().items():
        table = Table(title=f"bone morphometry, {sequence}; p exact, one-sided")
        table.add_column("mean, mm or 1/mm", no_wrap=True)
        for name in ("micro-CT", "method", "difference", "claim", "n", "p"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, row in quantities.items():
            numbers = f"{row['mean_reference']:.4g}", f"{row['mean_prediction']:.4g}", f"{row['mean_difference']:+.4g}"
            claim = "< 0" if row["claim"] == "less" else "> 0"
            table.add_row(SYMBOLS[name], *numbers, claim, str(row["pairs"]), f"{row['p_value']:.4g}")
        yield table
