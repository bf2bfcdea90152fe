"""``voxbench spine``: heights of vertebrae and discs, wedges, slips, the canal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.geometry import Grid
    from voxbench.metrics.spine import Outline

app = cyclopts.App(name="spine", help="Measure a spine: heights of vertebrae and discs, wedges, slips, the canal.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
TABLE, NUMBERS, PICTURE = "spine.csv", "spine.json", "spine.png"


@app.default
def spine(labels: Path, *, out: Path, image: Path | None = None, force: Switch = False, json: Switch = False) -> None:
    """Measure a spine: heights of vertebrae and discs, wedges, slips, the canal.

    Writes spine.csv, spine.json and spine.png, a row for every vertebra with the disc below it.

    Args:
        labels: Label map: 1 to 25 vertebrae from below (101 to 125 in part), 201 to 225 discs, 100 canal.
        out: Folder for the results.
        image: Shown in the picture; it may lie on another grid of the same world.
        force: Replace results that are there.
        json: Print the numbers on standard output too.
    """
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.errors import InputError
    from voxbench.io import read_labels, read_volume, to_json, write_json, write_table
    from voxbench.metrics.spine import measure_spine
    from voxbench.report.spine import spine_picture

    require_free_folder(out, force)
    drawn = read_labels(labels)
    shown = None if image is None else read_volume(image)
    if shown is not None:
        shown.require_usable(str(image))
    try:
        measured = measure_spine(drawn)
    except InputError as error:
        raise type(error)(f"{labels}: {error}") from error
    if shown is not None:
        _require_overlap(labels, measured[1], image, shown.grid)
    with result_folder(out, (TABLE, NUMBERS, PICTURE), force) as folder:
        write_table(folder / TABLE, measured[0])
        write_json(folder / NUMBERS, {"labels": labels, "image": image, "levels": measured[0]})
        spine_picture(folder / PICTURE, drawn, measured, shown)
    _show(out, measured[0])
    if json:
        print(to_json({"levels": measured[0]}))


def _require_overlap(labels: Path, outlines: tuple[Outline, ...], image: Path | None, grid: Grid) -> None:
    """Refuse an image in which no vertebra lies."""
    import numpy as np

    from voxbench.errors import GridMismatchError

    places = [grid.voxel_from_world(one.frame.centre) for one in outlines]
    if not any(((place >= -0.5) & (place <= np.array(grid.shape) - 0.5)).all() for place in places):
        raise GridMismatchError(f"{image}: no vertebra of {labels} lies in it\n  image   {grid!r}")


def _show(out: Path, levels: tuple) -> None:
    """For eyes."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{out}: from above, mm")
    for name in ("vertebra", "anterior", "middle", "posterior", "wedge", "disc below", "slip", "canal mm²"):
        table.add_column(name, justify="left" if name == "vertebra" else "right")
    for level in reversed(levels):
        values = (level.anterior_height, level.middle_height, level.posterior_height, level.wedge)
        values += (level.disc_middle_height, level.slip, level.canal_area)
        table.add_row(level.name, *("-" if value != value else f"{value:.1f}" for value in values))
    Console(stderr=True, highlight=False).print(table)
