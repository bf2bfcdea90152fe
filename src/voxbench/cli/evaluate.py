"""voxbench evaluate: score predictions as a challenge's organisers do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from voxbench.cli.evaluate_lumbarsr import lumbarsr
from voxbench.cli.evaluate_ssrkd import ssrkd

app = cyclopts.App(name="evaluate", help="Score predictions as a challenge's organisers do.")
app.command(lumbarsr, name="lumbarsr")
app.command(ssrkd, name="ssrkd")


@app.command(name="lumir25")
def lumir25(
    *,
    predictions: Path,
    references: Path,
    config: Annotated[list[Path], cyclopts.Parameter(negative="")],
    out: Path,
    force: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    json: Annotated[bool, cyclopts.Parameter(negative="")] = False,
) -> None:
    """Score LUMIR25 displacement fields: metrics.json in the official layout, scores.json with more.

    Args:
        predictions: Folder of disp_FIXED_MOVING.nii.gz.
        references: Folder holding imagesVal/, labelsVal/, landmarksVal/.
        config: Evaluation configuration; once per part, in the official order (landmarks, in-domain, out-of-domain,
            multimodal) if the file names do not tell.
        out: Folder for metrics.json and scores.json.
        force: Replace files that are there.
        json: Print metrics.json on standard output too.
    """
    from json import dumps

    from rich.console import Console

    from voxbench.challenges.lumir25.cases import read_config
    from voxbench.challenges.lumir25.evaluation import evaluate, refuse_existing

    console = Console(stderr=True, highlight=False)
    refuse_existing([out / "metrics.json", out / "scores.json"], force)
    evaluation = evaluate(
        predictions, references, [read_config(path) for path in config], lambda line: console.print(line, markup=False)
    )
    evaluation.write(out, force)
    console.print(_table(evaluation.metrics["aggregates"], len(evaluation.metrics["cases"])))
    if json:
        print(dumps(evaluation.metrics, indent=4))


def _table(aggregates: dict[str, dict[str, float]], cases: int) -> object:
    """The aggregates for eyes."""
    from rich.table import Table

    table = Table(title=f"LUMIR25, {cases} cases")
    table.add_column("metric")
    for name in ("mean", "std", "30"):
        table.add_column(name, justify="right")
    for metric, values in aggregates.items():
        table.add_row(metric, *(f"{values[name]:.4f}" for name in ("mean", "std", "30")))
    return table
