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
        force: Replace a simulated data set that is there.
        json: Print truth.json on standard output too.
    """
    from pydantic import ValidationError

    from voxbench.challenges.lumbarsr.simulation import TRUTH, LumbarsrSimulation, degrade, simulate
    from voxbench.cli.progress import lines
    from voxbench.errors import UsageError

    try:
        values = {"cases": len(microct) if microct else cases, "size": size, "seed": seed, "noise_hu": noise_hu}
        settings = LumbarsrSimulation.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{name}: {first['msg']}, got {first['input']}") from error
    with lines("simulating") as tell:
        if microct:
            samples = degrade(out, microct, settings, force=force, progress=tell)
        else:
            samples = simulate(out, settings, force=force, progress=tell)
        tell(f"{out}: {', '.join(samples)}, each with its micro-CT and eight clinical sequences; truth in {TRUTH}")
    if json:
        print((out / TRUTH).read_text(encoding="utf-8"))
