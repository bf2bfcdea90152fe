"""voxbench evaluate lumir25."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def lumir25(
    *,
    predictions: Path,
    references: Path,
    config: Annotated[list[Path], cyclopts.Parameter(negative="")],
    out: Path,
    allow_missing: Switch = False,
    jobs: int = 1,
    scheduler: str | None = None,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Score LUMIR25 displacement fields: metrics.json in the official layout, scores.json with more.

    Args:
        predictions: Folder of disp_FIXED_MOVING.nii.gz.
        references: Folder holding imagesVal/, labelsVal/, landmarksVal/.
        config: Evaluation configuration; once per part, in the official order (landmarks, in-domain, out-of-domain,
            multimodal) if the file names do not tell. A .toml file gives options as key = value instead; those on the
            command line come first.
        out: Folder for metrics.json and scores.json.
        allow_missing: Give the worst values to fields that are missing or cannot be used (the organisers refuse them).
        jobs: Processes that score cases at the same time.
        scheduler: Address of a Dask scheduler whose workers score them instead, e.g. tcp://host:8786.
        force: Score cases again that are unchanged, and replace whatever is in --out.
        json: Print metrics.json on standard output too.
    """
    from json import dumps

    from rich.console import Console

    from voxbench.challenges.lumir25.cases import read_config
    from voxbench.challenges.lumir25.evaluation import FILES, Evaluation, Lumir25Evaluation, line
    from voxbench.challenges.lumir25.evaluation import jobs as jobs_of
    from voxbench.cli.scoring import require_folders, scoring
    from voxbench.jobs import Manner

    settings = Lumir25Evaluation(allow_missing=allow_missing)
    require_folders(predictions, references)
    manner = Manner(jobs, scheduler, afresh=force)
    configs = tuple(read_config(path) for path in config)
    cases = jobs_of(predictions, references, configs, settings)
    with scoring(out, "lumir25", FILES, manner) as run:
        evaluation = Evaluation(settings, run.outcomes(cases, line), configs)
        evaluation.write(run.folder)
    metrics = evaluation.metrics()
    Console(stderr=True, highlight=False).print(_table(metrics["aggregates"], evaluation.counted))
    if json:
        print(dumps(metrics, indent=4))


def _table(aggregates: dict[str, dict[str, float]], counted: str) -> object:
    """The aggregates for eyes."""
    from rich.table import Table

    table = Table(title=f"LUMIR25: {counted}")
    table.add_column("metric")
    for name in ("mean", "std", "30"):
        table.add_column(name, justify="right")
    for metric, values in aggregates.items():
        table.add_row(metric, *(f"{values[name]:.4f}" for name in ("mean", "std", "30")))
    return table
