"""voxbench evaluate lnq2023."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.challenges.lnq2023.evaluation import Evaluation

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def lnq2023(
    *,
    predictions: Path,
    references: Path,
    out: Path,
    config: Path | None = None,  # noqa: ARG001  (read before this is called: voxbench.cli.settings)
    allow_missing: Switch = False,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Score LNQ 2023's masks: metrics.json in the official layout, scores.json with more.

    Args:
        predictions: Folder of CASE-seg.mha (or .nrrd, .nii.gz), 1 in lymph nodes.
        references: Folder of CASE-seg.nrrd, e.g. lnq2023-test-0002-seg.nrrd.
        out: Folder for metrics.json and scores.json.
        config: TOML file that gives options as key = value; those on the command line come first.
        allow_missing: Give the worst values to predictions that are missing or cannot be used.
        jobs: Processes that score cases at the same time.
        scheduler: Address of a Dask scheduler whose workers score them instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Score cases again that are unchanged, and replace whatever is in --out.
        json: Print scores.json on standard output too.
    """
    from rich.console import Console

    from voxbench.challenges.lnq2023.evaluation import FILES, Evaluation, Lnq2023Evaluation, line
    from voxbench.challenges.lnq2023.evaluation import jobs as jobs_of
    from voxbench.cli.scoring import require_folders, scoring, show_scoring
    from voxbench.io import to_json
    from voxbench.jobs import Manner

    settings = Lnq2023Evaluation(allow_missing=allow_missing)
    require_folders(predictions, references)
    manner = Manner(jobs, scheduler, afresh=force)
    cases = jobs_of(predictions, references, settings)
    if dry_run:
        show_scoring(out, "lnq2023", cases, manner, json)
        return
    with scoring(out, "lnq2023", FILES, manner) as run:
        evaluation = Evaluation(settings, run.outcomes(cases, line))
        evaluation.write(run.folder)
    Console(stderr=True, highlight=False).print(_table(evaluation))
    if json:
        print(to_json(evaluation.scores()))


def _table(evaluation: Evaluation) -> object:
    """Means and medians for eyes; the challenge publishes medians."""
    from rich.table import Table

    table = Table(title=f"LNQ 2023: {evaluation.counted}")
    table.add_column("metric")
    for name in ("mean", "median", "cases"):
        table.add_column(name, justify="right")
    for name, numbers in evaluation.summary().items():
        table.add_row(name, f"{numbers['mean']:.4f}", f"{numbers['median']:.4f}", str(numbers["defined"]))
    return table
