"""``voxbench morphometry``: how much bone there is, how thick, how far apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

if TYPE_CHECKING:
    import numpy as np

    from voxbench.geometry import LabelMap, Volume
    from voxbench.metrics import BoneMorphometry
    from voxbench.metrics.morphometry import Centres

app = cyclopts.App(name="morphometry", help="Measure bone: BV/TV, Tb.Th, Tb.Sp, Tb.N.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]

QUANTITIES = (
    ("bv_tv", "BV/TV, bone volume fraction", ""),
    ("tb_th", "Tb.Th, thickness (sphere fitting)", "mm"),
    ("tb_th_std", "    standard deviation", "mm"),
    ("tb_th_largest", "    largest", "mm"),
    ("tb_sp", "Tb.Sp, separation (sphere fitting)", "mm"),
    ("tb_sp_std", "    standard deviation", "mm"),
    ("tb_sp_largest", "    largest", "mm"),
    ("tb_n_plate", "Tb.N, plate model (BV/TV) / Tb.Th", "1/mm"),
    ("tb_n_spacing", "Tb.N, 1 / (Tb.Th + Tb.Sp)", "1/mm"),
    ("distance_thickness", "2 x mean distance, bone", "mm"),
    ("distance_separation", "2 x mean distance, rest", "mm"),
)
"""Name in files, for eyes, unit."""


@app.default
def morphometry(
    file: Path,
    *,
    mask: Path | None = None,
    threshold: str | None = None,
    centres: Literal["voxels", "half-voxels"] = "voxels",
    out: Path | None = None,
    map: Path | None = None,  # noqa: A002  (the option is --map)
    json: Switch = False,
    force: Switch = False,
) -> None:
    """Measure bone: BV/TV, Tb.Th, Tb.Sp, Tb.N.

    Thickness at a voxel is the diameter of the largest sphere that holds it and fits in the bone (Hildebrand and
    Rueegsegger 1997); Tb.Th is its mean. Voxels must be isotropic.

    Args:
        file: Image in HU, or a segmentation: 0 is background.
        mask: Region of interest, above 0 inside; the whole image if not given.
        threshold: What lies above it is bone: a number, or otsu. Needed unless the file holds two values only.
        centres: Where spheres may lie: around voxel centres (for struts below 4 voxels), or between them, too.
        out: Write the numbers as .csv.
        map: Write the thickness at each voxel of bone, mm, as an image.
        json: Print the numbers on standard output.
        force: Replace files that are there.
    """
    from voxbench.cli.output import require_free_file
    from voxbench.io import read_labels, read_volume, to_json, write_table

    _require_threshold(threshold)
    for path in (out, map):
        if path is not None:
            require_free_file(path, force)
    image = read_volume(file)
    region = None if mask is None else _region(image, read_labels(mask), file, mask)
    level, kind = _level(image.array, region, threshold)
    bone = image.array > level
    found = _measured(bone, image, region, file, centres)
    row: dict[str, object] = {"file": str(file), "mask": "" if mask is None else str(mask)}
    row |= {"threshold": level, "threshold_from": kind, "centres": centres} | _numbers(found)
    if map is not None:
        _write_map(map, bone if region is None else bone & region, image, centres)
    _show(row)
    if out is not None:
        write_table(out, [row])
    if json:
        print(to_json(row))


def _require_threshold(threshold: str | None) -> None:
    """Refuse what is neither a number nor otsu before anything is read."""
    from math import isfinite

    from voxbench.errors import UsageError

    if threshold is None or threshold == "otsu":
        return
    try:
        finite = isfinite(float(threshold))
    except ValueError:
        finite = False
    if not finite:
        raise UsageError(f"--threshold {threshold}: neither a number nor otsu")


def _level(image: np.ndarray, region: np.ndarray | None, threshold: str | None) -> tuple[float, str]:
    """Above what is bone, and where that comes from."""
    import numpy as np

    from voxbench.errors import UsageError
    from voxbench.metrics import otsu_threshold

    if threshold == "otsu":
        return otsu_threshold(image, region), "otsu"
    if threshold is not None:
        return float(threshold), "given"
    low, high = image.min(), image.max()
    if low == 0 and bool(np.all((image == low) | (image == high))):
        return 0.0, "segmentation"
    raise UsageError(
        f"the image holds more than background and bone ({low:g} to {high:g})\n"
        "  give --threshold: a number (HU), or otsu"
    )


def _region(image: Volume, mask: LabelMap, file: Path, path: Path) -> np.ndarray:
    """The region of interest on the image's grid."""
    from voxbench.errors import GridMismatchError
    from voxbench.geometry import require_same_grid

    try:
        require_same_grid(image.grid, mask.grid)
    except GridMismatchError as error:
        raise GridMismatchError(f"{file} and its mask {path}: {error}") from error
    return mask.array > 0


def _measured(
    bone: np.ndarray, image: Volume, region: np.ndarray | None, file: Path, centres: Centres
) -> BoneMorphometry:
    """The numbers; complaints name the file."""
    from voxbench.errors import InputError
    from voxbench.metrics import bone_morphometry

    try:
        return bone_morphometry(bone, image.grid.spacing, region, centres=centres)
    except InputError as error:
        raise type(error)(f"{file}: {error}") from error


def _numbers(found: BoneMorphometry) -> dict[str, float]:
    thick, apart = found.trabecular_thickness, found.trabecular_separation
    values = (
        found.bone_volume_fraction,
        *(thick.mean, thick.std, thick.largest),
        *(apart.mean, apart.std, apart.largest),
        found.trabecular_number_plate,
        found.trabecular_number_spacing,
        found.distance_thickness.mean,
        found.distance_separation.mean,
    )
    return {name: value for (name, _, _), value in zip(QUANTITIES, values, strict=True)}


def _show(row: dict[str, object]) -> None:
    """For eyes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title = f"{row['file']}, above {row['threshold']:g} ({row['threshold_from']})"
    table = Table(title=escape(title))
    table.add_column("quantity", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("unit")
    for name, shown, unit in QUANTITIES:
        table.add_row(shown, f"{row[name]:.4f}", unit)
    Console(stderr=True, highlight=False).print(table)


def _write_map(path: Path, bone: np.ndarray, image: Volume, centres: Centres) -> None:
    """Thickness in mm, float32; 0 where there is no bone."""
    import numpy as np

    from voxbench.geometry import Volume
    from voxbench.io import write_volume
    from voxbench.metrics import local_thickness

    side = np.float32(np.mean(image.grid.spacing))
    write_volume(path, Volume(local_thickness(bone, centres) * side, image.grid))
