"""voxbench evaluate ssrkd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.challenges.ssrkd.evaluation import Evaluation

Switch = Annotated[bool, cyclopts.Parameter(negative="")]

SHOWN = (
    ("dsc", "DSC, %"),
    ("hd", "HD, mm"),
    ("assd", "ASSD, mm"),
    ("hd_surface", "HD to the surface, mm"),
    ("hd95_surface", "HD95 to the surface, mm"),
    ("assd_surface", "ASSD to the surface, mm"),
)


def ssrkd(
    *,
    predictions: Path,
    references: Path,
    out: Path,
    config: Path | None = None,  # noqa: ARG001  (read before this is called: voxbench.cli.settings)
    points: int = 49152,
    seed: int = 0,
    spacing: float = 0.5,
    step: float = 1.0,
    allow_missing: Switch = False,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Score SSR-KD's meshes: results.csv as the organisers' script, bones.csv and scores.json with more.

    Args:
        predictions: Folder of CASE/sub_0.obj to sub_3.obj (patella, femur, fibula, tibia), mm.
        references: Folder of the same layout, mm, in the same frame.
        out: Folder for the results.
        config: TOML file that gives options as key = value; those on the command line come first.
        points: Points sampled on each surface for the organisers' ASSD and HD.
        seed: Seed of the sampling (the organisers' script has none).
        spacing: Voxel spacing of DSC, mm.
        step: Longest step of the exact distances to a surface, mm.
        allow_missing: Give the worst values to predictions that are missing or cannot be used.
        jobs: Processes that score cases at the same time.
        scheduler: Address of a Dask scheduler whose workers score them instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Score cases again that are unchanged, and replace whatever is in --out.
        json: Print scores.json on standard output too.
    """
    from rich.console import Console

    from voxbench.challenges.ssrkd.evaluation import FILES, Evaluation, SsrkdEvaluation, line
    from voxbench.challenges.ssrkd.evaluation import jobs as cases_of
    from voxbench.cli.scoring import require_folders, scoring, show_scoring
    from voxbench.io import to_json
    from voxbench.jobs import Manner

    settings = SsrkdEvaluation(points=points, seed=seed, spacing=spacing, step=step, allow_missing=allow_missing)
    require_folders(predictions, references)
    manner = Manner(jobs, scheduler, afresh=force)
    cases = cases_of(predictions, references, settings)
    if dry_run:
        show_scoring(out, "ssrkd", cases, manner, json)
        return
    with scoring(out, "ssrkd", FILES, manner) as run:
        evaluation = Evaluation(settings, run.outcomes(cases, line))
        evaluation.write(run.folder)
    Console(stderr=True, highlight=False).print(_table(evaluation))
    if json:
        print(to_json(evaluation.scores()))


def _table(evaluation: Evaluation) -> object:
    """Means for eyes, in the order of the published table."""
    from rich.table import Table

    summary = evaluation.summary()
    bones = [name for name in summary["dsc"] if name != "average"]
    table = Table(title=f"SSR-KD: {evaluation.counted}")
    table.add_column("mean")
    for name in ("average", *bones):
        table.add_column(name, justify="right")
    for name, title in SHOWN:
        factor, digits = (100, 1) if name == "dsc" else (1, 2)
        table.add_row(title, *(f"{factor * summary[name][bone]:.{digits}f}" for bone in ("average", *bones)))
    return table
