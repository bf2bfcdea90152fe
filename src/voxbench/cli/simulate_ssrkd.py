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
    keep_hu: Switch = False,
    jobs: int = 1,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Knees in SSR-KD's layout: CT, meshes and masks of the four bones, labelled points, splits, truth.json.

    Args:
        out: Folder for the data set.
        cases: Knees with meshes and masks.
        unlabelled: Knees with a CT only, of other patients.
        shapes: "people" (a shape model of 26 people, fetched through pip once) or "formulas" (built in, plainer).
        size: Voxels along each side of the large volume (256 mm); the small one has half as many.
        seed: Another seed is another data set.
        noise_hu: Noise of the CT, HU.
        keep_hu: Write each CT as NIfTI in HU too.
        jobs: Processes.
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from pydantic import ValidationError

    from voxbench.challenges.ssrkd.simulation import INFO, TRUTH, SsrkdSimulation, simulate
    from voxbench.cli.progress import lines
    from voxbench.errors import UsageError

    values = {"cases": cases, "unlabelled": unlabelled, "shapes": shapes, "size": size, "seed": seed}
    values |= {"noise_hu": noise_hu, "keep_hu": keep_hu}
    try:
        settings = SsrkdSimulation.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{name}: {first['msg']}, got {first['input']}") from error
    if jobs < 1:
        raise UsageError(f"--jobs must be at least 1; got {jobs}")
    with lines("simulating") as tell:
        made = simulate(out, settings, workers=jobs, force=force, progress=tell)
        tell(f"{out}: {len(made)} knees; splits in {INFO}, truth in {TRUTH}, meshes in mm in meshes/")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))
