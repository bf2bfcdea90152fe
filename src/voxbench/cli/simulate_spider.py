"""voxbench simulate spider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def spider(
    *,
    out: Path,
    cases: int = 3,
    labels: Annotated[list[Path] | None, cyclopts.Parameter(negative="")] = None,
    seed: int = 0,
    inplane_mm: float = 0.8,
    slice_mm: tuple[float, float] = (3.3, 5.0),
    noise: float = 0.03,
    space_every: int = 4,
    mark_partial: Switch = False,
    jobs: int = 1,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Drawn spines in SPIDER's layout: T1, T2 and T2 SPACE series, label maps, both tables, truth.json.

    Args:
        out: Folder for the data set.
        cases: Patients; each has a T1 and a T2 series.
        labels: Image these label maps (1 to 25, 100, 101 to 125, 201 to 225) instead of drawn spines; a patient each.
        seed: Another seed is another data set.
        inplane_mm: Spacing in the sagittal plane, mm.
        slice_mm: Least and most thickness of T1 and T2 slices, mm.
        noise: Standard deviation of the noise; the brightest tissue is about 1.
        space_every: Every n-th patient, from the first, has a T2 SPACE series too; 0 for none.
        mark_partial: Give vertebrae that the field of view cuts 101 to 125 (the official masks have none).
        jobs: Processes that make cases at the same time; a data set appears whole, so a second start begins anew.
        dry_run: Print the cases and what is known of their memory and time; make nothing.
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from voxbench.challenges.spider.simulation import MARKS, TRUTH, SpiderSimulation, line, simulate
    from voxbench.challenges.spider.simulation import jobs as jobs_of
    from voxbench.cli.progress import lines
    from voxbench.cli.simulating import plan_of, runner, settings_of
    from voxbench.jobs import Manner

    values = {"cases": cases, "seed": seed, "inplane_mm": inplane_mm, "slice_mm": slice_mm, "noise": noise}
    settings = settings_of(SpiderSimulation, values | {"space_every": space_every, "mark_partial": mark_partial})
    manner = Manner(jobs)
    if dry_run:
        plan_of("spider", (out, MARKS, force), jobs_of(out, settings, labels or ()), manner, json)
        return
    with lines("simulating") as tell:
        series = simulate(out, settings, labels or (), force=force, runner=runner(manner, line, tell))
        tell(f"{out}: {len(series)} series with label maps; what is known of them in {TRUTH}")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))
