"""voxbench simulate: data sets whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from voxbench.cli.simulate_lnq2023 import lnq2023
from voxbench.cli.simulate_lumbarsr import lumbarsr
from voxbench.cli.simulate_spider import spider
from voxbench.cli.simulate_ssrkd import ssrkd

app = cyclopts.App(name="simulate", help="Make a data set whose truth is known.")
app.command(lnq2023, name="lnq2023")
app.command(lumbarsr, name="lumbarsr")
app.command(spider, name="spider")
app.command(ssrkd, name="ssrkd")


@app.command(name="lumir25")
def lumir25(
    *,
    out: Path,
    cases: int = 3,
    size: str = "160x224x192",
    seed: int = 0,
    amplitude_mm: float = 7.0,
    smoothness_mm: float = 16.0,
    force: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    json: Annotated[bool, cyclopts.Parameter(negative="")] = False,
) -> None:
    """Phantom brains in LUMIR25's layout, with labels, landmarks and true displacement fields.

    Args:
        out: Folder for the data set.
        cases: Pairs in each of the four validation parts, and training images.
        size: Voxels along each axis; the brain stays whole, a smaller size has larger voxels.
        seed: Another seed is another data set.
        amplitude_mm: No point of a person lies further from the phantom's, mm.
        smoothness_mm: Smoothness of the deformations, mm.
        force: Replace a simulated data set that is there.
        json: Print what was made on standard output.
    """
    from dataclasses import asdict
    from json import dumps

    from pydantic import ValidationError
    from rich.console import Console

    from voxbench.challenges.lumir25.simulation import LumirSimulation, simulate
    from voxbench.errors import UsageError

    values = {"cases": cases, "size": _shape(size), "seed": seed}
    values |= {"amplitude_mm": amplitude_mm, "smoothness_mm": smoothness_mm}
    try:
        settings = LumirSimulation.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0] if first["loc"] else "amplitude-mm").replace("_", "-")
        raise UsageError(f"{name}: {first['msg']}, got {first['input']}") from error
    console = Console(stderr=True, highlight=False)
    made = simulate(out, settings, force=force, progress=lambda name: console.print(name, markup=False))
    if json:
        print(dumps(asdict(made) | {"folder": str(made.folder)}, indent=2))
    console.print(
        f"{out}: {made.training} training images, {made.people} validation people in {made.pairs} pairs, "
        f"{made.labels} labels, {made.landmarks} landmarks; the true displacements are in {out / 'truth'}",
        markup=False,
    )


def _shape(text: str) -> tuple[int, ...]:
    """Three whole numbers of the form 160x224x192."""
    from voxbench.errors import UsageError

    parts = text.lower().split("x")
    if len(parts) != 3 or not all(p.strip().isdigit() for p in parts):
        raise UsageError(f"--size: three whole numbers joined by x, e.g. 160x224x192; got {text}")
    return tuple(int(p) for p in parts)
