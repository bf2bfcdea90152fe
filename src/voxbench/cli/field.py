"""``voxbench field``: displacement files inspected and converted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

if TYPE_CHECKING:
    from voxbench.io import FieldDescription

app = cyclopts.App(name="field", help="Inspect a displacement file, or convert it between conventions.")

Name = Literal["voxel", "voxel-first", "mm-ras", "itk", "ants", "torch"]
Flag = cyclopts.Parameter(negative="")


@app.command
def info(
    file: Path,
    *,
    fixed: Path | None = None,
    moving: Path | None = None,
    convention: Name | None = None,
    json: Annotated[bool, Flag] = False,
) -> None:
    """Say in which convention a displacement file is, how far it moves, and where it folds.

    Args:
        file: The displacement file.
        fixed: The fixed image, whose grid the field must lie on; by default the file's header is believed.
        moving: The moving image, for fields in voxel units between images on different grids.
        convention: How the file is to be understood; by default it is detected.
        json: Print JSON on standard output instead of a table.
    """
    from voxbench.io import describe_field, read_grid, to_json

    description = describe_field(
        file,
        fixed=read_grid(fixed) if fixed else None,
        moving=read_grid(moving) if moving else None,
        convention=convention,
    )
    if json:
        print(to_json(description))
        return
    _show(description)


@app.command
def convert(
    source: Path,
    target: Path,
    *,
    to: Name,
    from_: Annotated[Name | None, cyclopts.Parameter(name="--from")] = None,
    fixed: Path | None = None,
    moving: Path | None = None,
    force: Annotated[bool, Flag] = False,
) -> None:
    """Write a displacement file in another convention.

    voxel: (X,Y,Z,3) voxels, LUMIR and scipy's map_coordinates. voxel-first: (3,X,Y,Z). mm-ras: (X,Y,Z,3) mm.
    itk, ants: vector image, LPS mm. torch: (X,Y,Z,3) for grid_sample, align_corners=True.

    Args:
        source: The displacement file.
        target: The file to write.
        to: The convention to write.
        from_: The convention of the source; by default it is detected.
        fixed: The fixed image, whose grid the field must lie on; by default the file's header is believed.
        moving: The moving image, for fields in voxel units between images on different grids.
        force: Overwrite the target if it exists.
    """
    from voxbench.errors import FileWriteError
    from voxbench.io import read_displacement, read_grid, write_displacement

    if target.exists() and not force:
        raise FileWriteError(f"{target}: exists already; --force overwrites it")
    moving_grid = read_grid(moving) if moving else None
    field = read_displacement(source, fixed=read_grid(fixed) if fixed else None, moving=moving_grid, convention=from_)
    write_displacement(target, field, convention=to, moving=moving_grid)


def _show(description: FieldDescription) -> None:
    """For eyes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    how = "assumed from" if description.assumed else "told by"
    rows = (
        ("convention", f"{description.convention}, {how}: {description.reason}"),
        ("grid", description.grid),
        ("mean", f"{description.mean_mm:.4g} mm, {description.mean_voxels:.4g} voxels"),
        ("largest", f"{description.largest_mm:.4g} mm, {description.largest_voxels:.4g} voxels"),
        ("folded", f"{description.folded} voxels, {description.folded_percent:.4g} %"),
        ("determinant", f"smallest {description.smallest_determinant:.4g}"),
    )
    for name, value in rows:
        table.add_row(name, escape(value))
    console = Console(stderr=True)
    console.print(f"[bold]{escape(str(description.path))}[/bold]", soft_wrap=True)
    console.print(table)
