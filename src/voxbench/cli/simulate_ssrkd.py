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
        jobs: Processes.
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from pydantic import ValidationError

    from voxbench.challenges.ssrkd.geometry import warning_of
    from voxbench.challenges.ssrkd.radiographs import device_of
    from voxbench.challenges.ssrkd.simulation import TRUTH, SsrkdSimulation, simulate
    from voxbench.challenges.ssrkd.writing import INFO
    from voxbench.cli.degrees import degrees_of
    from voxbench.cli.progress import lines
    from voxbench.errors import UsageError

    values = {"cases": cases, "unlabelled": unlabelled, "shapes": shapes, "size": size, "seed": seed}
    values |= {"noise_hu": noise_hu, "keep_hu": keep_hu, "angles": degrees_of(views), "geometry": geometry}
    try:
        settings = SsrkdSimulation.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{name}: {first['msg']}, got {first['input']}") from error
    if jobs < 1:
        raise UsageError(f"--jobs must be at least 1; got {jobs}")
    with lines("simulating") as tell:
        if (warning := warning_of(device_of(settings.geometry, settings.size))) is not None:
            tell(f"warning: {warning}")
        made = simulate(out, settings, workers=jobs, force=force, progress=tell)
        tell(f"{out}: {len(made)} knees; splits in {INFO}, truth in {TRUTH}, meshes in mm in meshes/")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))
