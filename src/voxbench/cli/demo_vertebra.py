"""The demo's vertebra: thick slices of a real one, fused into thin ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxbench.cli.demo_steps import Say

if TYPE_CHECKING:
    import numpy as np

    from voxbench.geometry import LabelMap, Volume
    from voxbench.report.chapters import Chapter

VERTEBRA = 35
"""T9 in the sample's label map."""
FINE_MM, PIXEL_MM, SLICE_MM, MARGIN_MM = 0.7, 1.2, 4.0, 8.0
NOISE_HU = 15.0
BLURS_MM = {"S": 1.1, "B": 0.5}
"""Widths of the kernels' point spread in plane, as `voxbench upscale --blur` takes them."""
FACES = ("one sequence", "four, fused")
EDGE = 50.0
"""Trust in the data over the prior: `FusionConfig`'s own is for micro-CT's contrast, this for a clinical CT's."""
SEED = 7


def vertebra(out: Path, say: Say, samples: Path | None = None) -> Chapter:
    """Degrade a vertebra of the sample CT as a scanner would, four times, and fuse the four.

    Args:
        out: Folder for the result.
        say: Told what is done.
        samples: Where the sample images are kept.
    """
    from voxbench.cli.output import result_folder
    from voxbench.io import read_labels, read_volume, write_volume
    from voxbench.io.samples import fetch_sample
    from voxbench.report.side_by_side import side_by_side_png
    from voxbench.tasks.superresolution import FusionConfig, fuse, method_named, nominal

    files = fetch_sample("chest-ct", samples)
    say("vertebra T9 of the sample CT, scanned in four sequences of 4 mm slices, fused onto 0.7 mm")
    truth, inside = _object(read_volume(files["ct.nii.gz"]), read_labels(files["labels.nii.gz"]))
    sequences, widths = _scanned(truth)
    single = method_named("lanczos").apply(sequences[:1], truth.grid)
    blurs = [nominal(volume, width) for volume, width in zip(sequences, widths, strict=True)]
    fused = fuse(sequences, truth.grid, blurs, FusionConfig(edge=EDGE, probes=0)).volume
    middle = truth.grid.shape[0] // 2
    faces = {"the object": truth, FACES[0]: single, FACES[1]: fused}
    picture = side_by_side_png(
        {name: volume.array[middle].T[::-1] for name, volume in faces.items()}, (-150.0, 600.0), FINE_MM
    )
    names = ["object.nii.gz", "single.nii.gz", "fused.nii.gz", "vertebra.png"]
    with result_folder(out, [*names, *(f"sequence_{n}.nii.gz" for n in range(4))], force=True) as folder:
        for name, volume in zip(names, (truth, single, fused), strict=False):
            write_volume(folder / name, volume)
        for number, volume in enumerate(sequences):
            write_volume(folder / f"sequence_{number}.nii.gz", volume)
        (folder / "vertebra.png").write_bytes(picture)
    return _chapter(truth, (single, fused), inside, picture)


def _object(ct: Volume, labels: LabelMap) -> tuple[Volume, np.ndarray]:
    """The vertebra and what surrounds it on fine voxels, slices across the body's axis; where the vertebra is."""
    import numpy as np

    from voxbench.geometry import Grid, resample

    corners = ct.grid.world_from_voxel(np.argwhere(labels.array == VERTEBRA).astype(float))
    low, high = corners.min(axis=0) - MARGIN_MM, corners.max(axis=0) + MARGIN_MM
    shape = [int(n) for n in np.ceil((high - low) / FINE_MM)]
    grid = Grid.from_parts((shape[0], shape[1], shape[2]), (FINE_MM, FINE_MM, FINE_MM), tuple(low))
    return resample(ct, grid), resample(labels, grid).array == VERTEBRA


def _scanned(truth: Volume) -> tuple[list[Volume], list[float]]:
    """Four sequences, two kernels, each placed elsewhere; and how their kernels blur."""
    import numpy as np

    from voxbench.simulate.ct import KERNELS, Placement, Protocol, scan

    rng = np.random.default_rng(SEED)
    sequences, widths = [], []
    for number, kernel in enumerate("BSBS"):
        protocol = Protocol(pixel_mm=PIXEL_MM, slice_mm=SLICE_MM, kernel=KERNELS[kernel], noise_hu=NOISE_HU)
        placement = Placement((float(rng.uniform()), float(rng.uniform()), number / 4))
        sequences.append(scan(truth, protocol, rng, placement))
        widths.append(BLURS_MM[kernel])
    return sequences, widths


def _chapter(truth: Volume, made: tuple[Volume, Volume], inside: np.ndarray, png: bytes) -> Chapter:
    import numpy as np

    from voxbench.report import Comparison, Picture
    from voxbench.report.chapters import Chapter

    there = truth.array[inside].astype(np.float64)
    values = [volume.array[inside].astype(np.float64) for volume in made]
    errors = [float(np.sqrt(np.mean((v - there) ** 2))) for v in values]
    likeness = [float(np.corrcoef(v, there)[0, 1]) for v in values]
    return Chapter(
        title="A vertebra from thick slices: super-resolution",
        summary=(
            "T9 of a real chest CT (0.7 x 0.7 x 2.5 mm), taken as the object and scanned by a model of a clinical CT: "
            "1.2 mm pixels, 4 mm slices, two kernels, noise. Four sequences, a quarter of a slice apart, are fused "
            "into one of 0.7 mm; how strong the prior is was chosen on this image. LumbarSR's data go down to 0.105 mm."
        ),
        commands=[f"voxbench.tasks.superresolution.fuse(sequences, grid, blurs, FusionConfig(edge={EDGE:g}))"],
        stages=FACES,
        comparisons=[
            Comparison(
                "RMSE in the vertebra", errors, "HU", better="lower", note="one sequence is interpolated (Lanczos)"
            ),
            Comparison("NCC in the vertebra", likeness, note="1 is the same but for brightness and contrast"),
        ],
        pictures=[
            Picture(
                png,
                "Sagittal plane of the vertebra: the object, one sequence interpolated, four sequences fused",
                "Sagittal planes, -150 to 600 HU.",
            )
        ],
    )
