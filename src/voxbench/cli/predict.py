"""voxbench predict: run a method over all cases of a challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from voxbench.cli.predict_lnq2023 import lnq2023
from voxbench.cli.predict_lumbarsr import lumbarsr
from voxbench.cli.predict_spider import spider

Switch = Annotated[bool, cyclopts.Parameter(negative="")]

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
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Register all validation pairs of LUMIR25; begun again, it goes on where it stopped.

    Args:
        data: The data set's folder, holding imagesVal/.
        out: Folder for disp_FIXED_MOVING.nii.gz.
        method: zero, deformable, convex, ants-syn, greedy, deeds.
        preset: fast or accurate.
        dataset_json: The list of pairs; by default LUMIR25_dataset.json in the data folder.
        jobs: Processes that register pairs at the same time.
        scheduler: Address of a Dask scheduler whose workers register instead, e.g. tcp://host:8786.
        dry_run: Print the cases, their memory and the time they may take; do nothing.
        force: Predict again what is there already, and replace files of other origin.
        json: Print what became of every pair on standard output.
    """
    from voxbench.challenges.lumir25 import baseline
    from voxbench.challenges.lumir25.cases import read_dataset
    from voxbench.cli.cases import NEXT, rows_of, run_cases
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.io import to_json
    from voxbench.jobs import Manner, require_all

    need = need_of(f"predict lumir25 {method}")
    manner = Manner(jobs, scheduler, baseline.records(out), force, need)
    pairs = read_dataset(dataset_json or data / "LUMIR25_dataset.json").validation
    todo = baseline.jobs(data, out, pairs, baseline.PredictionSettings(method=method, preset=preset))
    if dry_run:
        show_plan("predict lumir25", todo, manner, json)
        return
    baseline.prepare_resume(out, pairs, force)
    with lines(f"registering, {len(todo)} pairs") as tell:
        outcomes = run_cases(todo, manner, baseline.line, tell)
        kept, failed = (sum(found) for found in zip(*((o.reused, o.record is None) for o in outcomes), strict=True))
        tell(f"{len(outcomes) - kept - failed} predicted, {kept} there already, {failed} failed")
    if json:
        print(to_json(rows_of(outcomes)))
    require_all(outcomes, NEXT)
