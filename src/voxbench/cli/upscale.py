"""``voxbench upscale``: a CT on a finer grid, by any method of super-resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="upscale", help="Bring a CT to a finer grid.")


@app.default
def run(
    files: Annotated[list[Path], Parameter(help="A CT, or for a method that joins several all of them.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The file to write; whole HU if the first CT has them.")],
    method: Annotated[
        str, Parameter(help="nearest, trilinear, bicubic, spline5 (B-spline of order 5), lanczos or fusion.")
    ] = "lanczos",
    blur: Annotated[
        list[float] | None,
        Parameter(
            negative="",
            help="For fusion: width at half maximum of the kernel's point spread in plane, mm, one for all or one per "
            "file. Body kernels: soft about 1.1, bone about 0.5.",
        ),
    ] = None,
    spacing: Annotated[float, Parameter(help="Between the voxels of the result, mm.")] = 0.105,
    force: Annotated[bool, Parameter(negative="", help="Replace the file if it is there.")] = False,
) -> None:
    """Bring a CT to a finer grid over the same box."""
    import numpy as np
    from rich.console import Console

    from voxbench.cli.output import require_free_file
    from voxbench.errors import UsageError
    from voxbench.geometry import Volume
    from voxbench.io import read_volume, write_volume
    from voxbench.tasks.superresolution import method_named, nominal

    chosen = method_named(method)
    if not files:
        raise UsageError("upscale: no file is given")
    if len(files) > 1 and not chosen.joint:
        raise UsageError(f"--method {method} takes one file; {len(files)} are given")
    if not (np.isfinite(spacing) and spacing > 0):
        raise UsageError(f"--spacing: mm between voxels, above 0; got {spacing:g}")
    widths = _widths(blur or [], len(files)) if chosen.needs_blurs else []
    require_free_file(out, force)
    volumes = [read_volume(path) for path in files]
    first = volumes[0]
    for path, volume in zip(files, volumes, strict=True):
        volume.require_usable(str(path))
    if spacing >= float(first.grid.spacing.max()):
        raise UsageError(f"--spacing {spacing:g}: not finer than {files[0]} along any axis\n  there  {first.grid}")
    blurs = [nominal(volume, width) for volume, width in zip(volumes, widths, strict=False)]
    result = chosen.apply(volumes, first.grid.with_spacing((spacing, spacing, spacing)), blurs)
    if np.issubdtype(first.array.dtype, np.integer):
        limits = np.iinfo(np.int16)
        result = Volume(np.clip(np.rint(result.array), limits.min, limits.max).astype(np.int16), result.grid)
    write_volume(out, result)
    Console(stderr=True, highlight=False).print(f"{out}: {result.grid}", markup=False, soft_wrap=True)


def _widths(given: list[float], files: int) -> list[float]:
    """A width for every file."""
    import math

    from voxbench.errors import UsageError

    if len(given) not in (1, files):
        raise UsageError(
            f"--method fusion must know how the files blur: give --blur once, or once per file\n"
            f"  given  {len(given)} for {files} files\n  body kernels: soft about 1.1 mm, bone about 0.5 mm"
        )
    if any(not (math.isfinite(width) and width > 0) for width in given):
        raise UsageError(f"--blur: mm, above 0; got {', '.join(f'{width:g}' for width in given)}")
    return given if len(given) == files else given * files
