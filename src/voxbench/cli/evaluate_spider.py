"""voxbench evaluate spider."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.challenges.spider.evaluation import Evaluation

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def spider(
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
    """Score SPIDER's label maps: metrics.json in the official layout, scores.json with more.

    Args:
        predictions: Folder of PATIENT_SEQUENCE.mha, e.g. 1_t2.mha: whole numbers, each structure its own.
        references: Folder of the masks, of the same names.
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

    from voxbench.challenges.spider.evaluation import FILES, Evaluation, SpiderEvaluation, line
    from voxbench.challenges.spider.evaluation import jobs as jobs_of
    from voxbench.cli.scoring import require_folders, scoring, show_scoring
    from voxbench.io import to_json
    from voxbench.jobs import Manner

    settings = SpiderEvaluation(allow_missing=allow_missing)
    require_folders(predictions, references)
    manner = Manner(jobs, scheduler, afresh=force)
    cases = jobs_of(predictions, references, settings)
    if dry_run:
        show_scoring(out, "spider", cases, manner, json)
        return
    with scoring(out, "spider", FILES, manner) as run:
        evaluation = Evaluation(settings, run.outcomes(cases, line))
        evaluation.write(run.folder)
    Console(stderr=True, highlight=False).print(_table(evaluation))
    if json:
        print(to_json(evaluation.scores()))


def _table(evaluation: Evaluation) -> object:
    """The content of metrics.json and the distances with the right spacing, for eyes."""
    from rich.table import Table

    table = Table(title=f"SPIDER: {evaluation.counted}")
    table.add_column("metric")
    for name in ("mean", "sd"):
        table.add_column(name, justify="right")
    for name, numbers in (evaluation.metrics() | evaluation.summary()).items():
        table.add_row(name, f"{numbers['mean']:.4f}", f"{numbers['std']:.4f}")
    return table
