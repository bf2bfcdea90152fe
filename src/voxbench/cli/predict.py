"""voxbench predict: run a method over all cases of a challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from voxbench.cli.predict_lnq2023 import lnq2023
from voxbench.cli.predict_lumbarsr import lumbarsr
from voxbench.cli.predict_spider import spider

app = cyclopts.App(name="predict", help="Run a method over all cases of a challenge.")
app.command(lumbarsr, name="lumbarsr")
app.command(spider, name="spider")
app.command(lnq2023, name="lnq2023")


@app.command(name="lumir25")
def lumir25(
    *,
    data: Path,
    out: Path,
    method: str = "deformable",
    preset: str | None = None,
    dataset_json: Path | None = None,
    force: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    json: Annotated[bool, cyclopts.Parameter(negative="")] = False,
) -> None:
    """Register all validation pairs of LUMIR25; begun again, it goes on where it stopped.

    Args:
        data: The data set's folder, holding imagesVal/.
        out: Folder for disp_FIXED_MOVING.nii.gz.
        method: zero, deformable, convex, ants-syn, greedy, deeds.
        preset: fast or accurate.
        dataset_json: The list of pairs; by default LUMIR25_dataset.json in the data folder.
        force: Predict also what is there already.
        json: Print what became of every pair on standard output.
    """
    from dataclasses import asdict
    from json import dumps

    from rich.console import Console

    from voxbench.challenges.lumir25.baseline import PredictionSettings, predict
    from voxbench.challenges.lumir25.cases import read_dataset
    from voxbench.errors import JobError

    console = Console(stderr=True, highlight=False)
    dataset = read_dataset(dataset_json or data / "LUMIR25_dataset.json")
    pairs = dataset.validation
    summary = predict(
        data,
        out,
        pairs,
        PredictionSettings(method=method, preset=preset),
        force=force,
        progress=lambda o: console.print(f"{o.pair.key}  {o.state}  {o.seconds:.1f} s  {o.error}", markup=False),
    )
    if json:
        print(dumps([asdict(outcome) for outcome in summary.outcomes], indent=2))
    if summary.failed:
        raise JobError(str(summary))
    console.print(str(summary), markup=False)
