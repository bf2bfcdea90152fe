"""voxbench simulate lumbarsr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def lumbarsr(
    *,
    out: Path,
    cases: int = 2,
    size: tuple[int, int, int] = (256, 256, 192),
    seed: int = 0,
    noise_hu: float = 20.0,
    microct: Annotated[list[Path] | None, cyclopts.Parameter(negative="")] = None,
    jobs: int = 1,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Phantom vertebrae in LumbarSR's layout: micro-CT, the eight clinical sequences of it, bone masks, truth.json.

    Args:
        out: Folder for the data set.
        cases: Samples; up to five are named 26 to 30, more begin at 01.
        size: Voxels of 105 um along each axis, e.g. 256 256 192.
        seed: Another seed is another data set.
        noise_hu: Standard deviation of the noise in a 1 mm slice behind the soft kernel, HU; the others follow from it.
        microct: Degrade these micro-CT volumes (HU, 105 um) instead of phantoms; a sample each.
        jobs: Processes that make cases at the same time; a data set appears whole, so a second start begins anew.
        dry_run: Print the cases and what is known of their memory and time; make nothing.
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from voxbench.challenges.lumbarsr.simulation import MARKS, TRUTH, LumbarsrSimulation, degrade, line, simulate
    from voxbench.challenges.lumbarsr.simulation import jobs as jobs_of
    from voxbench.cli.progress import lines
    from voxbench.cli.simulating import plan_of, runner, settings_of
    from voxbench.jobs import Manner

    values = {"cases": len(microct) if microct else cases, "size": size, "seed": seed, "noise_hu": noise_hu}
    settings = settings_of(LumbarsrSimulation, values)
    manner = Manner(jobs)
    if dry_run:
        plan_of("lumbarsr", (out, MARKS, force), jobs_of(out, settings, microct or ()), manner, json)
        return
    with lines("simulating") as tell:
        how = runner(manner, line, tell)
        if microct:
            samples = degrade(out, microct, settings, force=force, runner=how)
        else:
            samples = simulate(out, settings, force=force, runner=how)
        tell(f"{out}: {', '.join(samples)}, each with its micro-CT and eight clinical sequences; truth in {TRUTH}")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))
