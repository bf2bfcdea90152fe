"""One pair of masks, many average surface distances: what the challenges and common libraries make of the same voxels.

python definitions.py [--out results]

Libraries that are not installed are left out (medpy, MONAI, panoptica, seg-metrics and surface-distance have each a
definition of their own); none of them is needed by voxbench.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from voxbench.metrics.borders import border_distances
from voxbench.metrics.surface import surface_distances

Masks = tuple[np.ndarray, np.ndarray]
Spacing = tuple[float, float, float]
Average = Callable[[Masks, Spacing], float]


def pairs() -> dict[str, tuple[Masks, Spacing]]:
    """Analytic shapes, the second a little smaller and moved; arrays are [x, y, z], spacing likewise."""
    thick, even = (0.6, 0.6, 4.0), (1.0, 1.0, 1.0)
    few, cube = (96, 96, 24), (48, 48, 48)
    ball = ellipsoid(cube, even, (24, 24, 24), (12, 12, 12))
    return {
        "ellipsoid, 0.6 x 0.6 x 4 mm": (
            (
                ellipsoid(few, thick, (28, 28, 48), (18, 14, 30)),
                ellipsoid(few, thick, (29, 28, 48), (16.5, 13, 28)),
            ),
            thick,
        ),
        "ball, 1 mm": ((ball, ellipsoid(cube, even, (25, 24, 24), (11, 11, 11))), even),
        "the same, cut by the image's edge": (
            (
                ellipsoid(cube, even, (24, 24, 4), (12, 12, 12)),
                ellipsoid(cube, even, (25, 24, 4), (11, 11, 11)),
            ),
            even,
        ),
        "ball, nothing predicted": ((ball, np.zeros(cube, bool)), even),
    }


def ellipsoid(shape: tuple[int, int, int], spacing: Spacing, centre: Spacing, radii: Spacing) -> np.ndarray:
    """True inside; centre and radii in mm from voxel 0."""
    axes = [(np.arange(n) * s - c) / r for n, s, c, r in zip(shape, spacing, centre, radii, strict=True)]
    return sum(np.meshgrid(*(a**2 for a in axes), indexing="ij")) <= 1.0


def lnq(masks: Masks, spacing: Spacing) -> float:
    return border_distances(*masks, spacing, edge=False).masd


def spider(masks: Masks, spacing: Spacing) -> float:
    """The script hands (x, y, z) to an array that is (z, y, x)."""
    return border_distances(*masks, spacing[::-1], neighbours="full").assd


def spider_right(masks: Masks, spacing: Spacing) -> float:
    return border_distances(*masks, spacing, neighbours="full").assd


def pooled(masks: Masks, spacing: Spacing) -> float:
    return border_distances(*masks, spacing).assd


def surface(masks: Masks, spacing: Spacing) -> float:
    return surface_distances(*masks, spacing).assd


def medpy(masks: Masks, spacing: Spacing) -> float:
    from medpy.metric.binary import assd

    return float(assd(masks[1], masks[0], voxelspacing=spacing))


def medpy_26(masks: Masks, spacing: Spacing) -> float:
    from medpy.metric.binary import assd

    return float(assd(masks[1], masks[0], voxelspacing=spacing, connectivity=3))


def monai(masks: Masks, spacing: Spacing) -> float:
    import torch
    from monai.metrics import compute_average_surface_distance

    one_hot = [torch.from_numpy(np.stack([~m, m])[None].astype(np.uint8)) for m in masks]
    found = compute_average_surface_distance(one_hot[1], one_hot[0], symmetric=True, spacing=spacing)
    return float(found[0, 0])


def panoptica(masks: Masks, spacing: Spacing) -> float:
    from panoptica.metrics.assd import _average_symmetric_surface_distance

    return float(_average_symmetric_surface_distance(masks[0], masks[1], voxelspacing=spacing))


def seg_metrics(masks: Masks, spacing: Spacing) -> float:
    import seg_metrics.seg_metrics as library
    import SimpleITK

    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{name}.mha") for name in ("reference", "prediction")]
        for path, mask in zip(paths, masks, strict=True):
            image = SimpleITK.GetImageFromArray(mask.astype(np.uint8).T)
            image.SetSpacing(spacing)
            SimpleITK.WriteImage(image, path)
        return float(
            library.write_metrics(labels=[1], gdth_path=paths[0], pred_path=paths[1], metrics=["msd"])[0]["msd"][0]
        )


def surface_distance(masks: Masks, spacing: Spacing) -> float:
    import surface_distance.metrics as library

    found = library.compute_surface_distances(masks[0], masks[1], spacing)
    return float(np.mean(library.compute_average_surface_distance(found)))


ROWS: dict[str, tuple[Average, str, str]] = {
    "LNQ 2023, official": (lnq, "", "6 neighbours; image edge is no border; mean of the two means"),
    "SPIDER, official": (spider, "", "26 neighbours; pooled; spacing in the wrong order"),
    "SPIDER, right order": (spider_right, "", "26 neighbours; pooled (`asd` in scores.json)"),
    "border voxels, pooled": (pooled, "", "6 neighbours; pooled (`assd_pooled` of LNQ 2023)"),
    "surface elements": (surface, "", "areas of the surface between voxels; mean of the two means"),
    "medpy assd": (medpy, "medpy", "6 neighbours; pooled"),
    "medpy assd, connectivity=3": (medpy_26, "medpy", "26 neighbours; pooled"),
    "MONAI, symmetric": (monai, "monai", "6 neighbours; pooled"),
    "panoptica ASSD": (panoptica, "panoptica", "6 neighbours; mean of the two means"),
    "seg-metrics msd": (seg_metrics, "seg-metrics", "contour of ITK; pooled"),
    "surface-distance": (surface_distance, "surface-distance", "surface elements; mean of the two means"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    shapes = pairs()
    lines = [
        "# One pair of masks, many average distances",
        "",
        f"{datetime.now(UTC).date().isoformat()}, {platform.machine()}, voxbench {version('voxbench')}, numpy "
        f"{np.__version__}; mm. `python benchmarks/definitions.py`. Of libraries the version is named; the first rows "
        "are voxbench's.",
        "",
        "| | what it is | " + " | ".join(shapes) + " |",
        "|---|---|" + "---|" * len(shapes),
    ]
    for name, (average, package, note) in ROWS.items():
        try:
            release = f" {version(package)}" if package else ""
            values = [told(average, masks, spacing) for masks, spacing in shapes.values()]
        except (PackageNotFoundError, ModuleNotFoundError):
            continue
        lines.append(f"| {name}{release} | {note} | " + " | ".join(values) + " |")
    (options.out / "definitions.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def told(average: Average, masks: Masks, spacing: Spacing) -> str:
    """A number, or what the library raised."""
    try:
        return f"{average(masks, spacing):.3f}"
    except ModuleNotFoundError:
        raise
    except Exception as error:  # what a peer raises is a result here
        return f"*{type(error).__name__}*"


if __name__ == "__main__":
    main()
