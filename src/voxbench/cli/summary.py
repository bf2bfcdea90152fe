"""``voxbench summary``: the statistics of a data set."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from rich.table import Table

    from voxbench.challenges.datasets.summary import SplitStatistics, Spread

app = cyclopts.App(name="summary", help="Print the statistics of a data set: spacing, size, labels, volumes.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


@app.default
def summary(
    folder: Path,
    /,
    *,
    labels: Path | None = None,
    intensities: Switch = False,
    out: Path | None = None,
    jobs: int = 1,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Print the statistics of a data set: spacing, size, labels, volumes; per split if folders or names tell splits.

    Images and label maps are told apart and paired by their names: folders called labels, masks, imagesTr; -ct and
    -seg; _0000. Spacing and size are along the axes of the files.

    Args:
        folder: The data set; only its images count if --labels is given.
        labels: Folder of the label maps.
        intensities: Read the images' voxels, too: smallest, 0.5 %, median, 99.5 % and largest value of each image.
        out: A .csv file to write too.
        jobs: Processes that read files at the same time.
        force: Replace the .csv file.
        json: Print the statistics as JSON on standard output.
    """
    from rich.console import Console

    from voxbench.challenges.datasets.summary import COLUMNS, summarize
    from voxbench.cli.output import require_free_file
    from voxbench.cli.progress import lines
    from voxbench.errors import UsageError
    from voxbench.io import to_json, write_table
    from voxbench.jobs import Manner

    manner = Manner(jobs)
    if out is not None:
        if out.suffix not in {".csv", ".tsv"}:
            raise UsageError(f"--out: {out} is no table; name a .csv or .tsv file")
        require_free_file(out, force)
    with lines("reading") as tell:
        counted = itertools.count(1)
        found = summarize(
            folder, labels, manner, lambda _: tell.doing(f"reading, {next(counted)} files done"), intensities
        )
    console = Console(stderr=True, highlight=False)
    for split, statistics in found.splits.items():
        console.print(_counts(split, statistics), soft_wrap=True, markup=False)
        console.print(_geometry(statistics))
        if statistics.intensities:
            console.print(_intensities(statistics))
        if statistics.labels:
            console.print(_labels(statistics))
    if out is not None:
        write_table(out, found.rows(), COLUMNS)
    if json:
        print(to_json(found))


def _counts(split: str, found: SplitStatistics) -> str:
    """How much there is."""
    counts = f"{found.images} images, {found.label_maps} label maps, {found.pairs} pairs, {found.slices} slices"
    return f"{split}: {counts}"


def _geometry(found: SplitStatistics) -> Table:
    """Spacing and size."""
    from rich.table import Table

    table = Table()
    for name in ("", "spacing (mm)", "size"):
        table.add_column(name)
    for name in ("min", "median", "max"):
        spacing, size = (", ".join(f"{getattr(s, name):.{d}f}" for s in along) for along, d in _of(found))
        table.add_row(name, f"({spacing})", f"({size})")
    return table


def _of(found: SplitStatistics) -> tuple[tuple[tuple[Spread, Spread, Spread], int], ...]:
    """Spacing and size, each with its digits."""
    return (found.spacing_mm, 2), (found.size, 0)


def _intensities(found: SplitStatistics) -> Table:
    """A row a percentile of the voxels; over the images."""
    from rich.table import Table

    table = Table()
    table.add_column("intensity of an image")
    for name in ("min", "median", "max"):
        table.add_column(f"{name} of all", justify="right")
    for name, spread in found.intensities.items():
        table.add_row(name, *(f"{value:.6g}" for value in (spread.min, spread.median, spread.max)))
    return table


def _labels(found: SplitStatistics) -> Table:
    """A row a label."""
    from rich.table import Table

    table = Table()
    for name in ("label", "cases", "detected", "ml: min, median, max", "pieces: min, median, max"):
        table.add_column(name, justify="right")
    for label, of in found.labels.items():
        values = (f"{of.cases}", f"{of.rate_percent:.1f} %", _shown(of.volume_ml), _shown(of.components))
        table.add_row(str(label), *values)
    return table


def _shown(spread: Spread) -> str:
    """Three numbers."""
    return ", ".join(f"{value:.4g}" for value in (spread.min, spread.median, spread.max))
