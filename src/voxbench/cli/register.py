"""``voxbench register``: two images in, a folder with the map between them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import App, Parameter

from voxbench import _core
from voxbench.cli.output import result_folder
from voxbench.cli.progress import lines, table
from voxbench.cli.record import Stopwatch, inputs, peak_memory_gib, programs
from voxbench.cli.settings import toml_settings
from voxbench.errors import EmptyShapeError, UsageError
from voxbench.geometry import Grid, LabelMap, Volume, require_same_grid, resample
from voxbench.geometry.resample import Map
from voxbench.io import Convention, read_labels, read_volume, write_displacement, write_json, write_labels, write_volume
from voxbench.io.affines import write_affine
from voxbench.io.points import read_points
from voxbench.metrics.deformation import diffeomorphism
from voxbench.metrics.image import normalized_cross_correlation
from voxbench.tasks import registration as method
from voxbench.tasks.registration import Extras, Progress, Registration, RegistrationConfig
from voxbench.types import Mask

app = App(
    name="register",
    help="Register a moving image to a fixed one.",
    config=toml_settings(RegistrationConfig),
)

FILES = (
    "displacement.nii.gz",
    "inverse_displacement.nii.gz",
    "warped.nii.gz",
    "warped_labels.nii.gz",
    "affine.json",
    "registration.json",
    "overview.png",
)
"""What the folder may hold afterwards."""

DEFAULTS = RegistrationConfig()


@Parameter(name="*")
@dataclass(frozen=True)
class Guides:
    """Files beside the two images."""

    labels: Annotated[
        Path | None, Parameter(help="Label map of the moving image, to be carried along (warped_labels.nii.gz).")
    ] = None
    fixed_labels: Annotated[
        Path | None, Parameter(help="Label map of the fixed image; with --labels, equal ids pull towards each other.")
    ] = None
    fixed_mask: Annotated[Path | None, Parameter(help="Where the fixed image counts; 0 is outside.")] = None
    moving_mask: Annotated[Path | None, Parameter(help="Where the moving image counts; 0 is outside.")] = None
    landmarks: Annotated[
        tuple[Path, Path] | None,
        Parameter(help="Two files of corresponding points, fixed then moving: x,y,z a line, mm, RAS+."),
    ] = None

    def files(self) -> dict[str, Path | None]:
        """Every file by its role."""
        fixed_points, moving_points = self.landmarks or (None, None)
        return {
            "moving_labels": self.labels,
            "fixed_labels": self.fixed_labels,
            "fixed_mask": self.fixed_mask,
            "moving_mask": self.moving_mask,
            "fixed_landmarks": fixed_points,
            "moving_landmarks": moving_points,
        }


@Parameter(name="*")
@dataclass(frozen=True)
class Run:
    """Where to, and how the run goes."""

    out: Annotated[Path, Parameter(help="Folder for the results.")]
    config: Annotated[Path | None, Parameter(help="Settings as TOML; options on the line come first.")] = None
    convention: Annotated[
        Convention, Parameter(help="How the displacement files hold the field; voxel is LUMIR's.")
    ] = "voxel"
    force: Annotated[bool, Parameter(negative="", help="Replace results that are in the folder already.")] = False
    json: Annotated[bool, Parameter(negative="", help="Print registration.json on stdout.")] = False


@dataclass(frozen=True)
class Case:
    """What was read."""

    fixed: Volume
    moving: Volume
    extras: Extras
    labels: LabelMap | None


@app.default
def run(
    fixed: Annotated[Path, Parameter(help="The image that stays.")],
    moving: Annotated[Path, Parameter(help="The image that is brought to it.")],
    /,
    *,
    run: Run,
    guides: Guides | None = None,
    settings: Annotated[RegistrationConfig, Parameter(name="*")] = DEFAULTS,
) -> None:
    """Register a moving image to a fixed one; --out receives the fields, the warped image, a record and a picture."""
    guides = guides or Guides()
    if guides.fixed_labels is not None and guides.labels is None:
        raise UsageError("--fixed-labels needs --labels: labels guide only in pairs, equal ids of both images")
    watch = Stopwatch()
    threads = _core.threads(settings.threads)
    with result_folder(run.out, FILES, run.force) as folder:
        case = _read(fixed, moving, guides)
        with lines("registering") as tell:
            tell(f"fixed   {fixed}: {case.fixed.grid}")
            tell(f"moving  {moving}: {case.moving.grid}")
            alone = Stopwatch()
            registration = method.register(
                case.fixed, case.moving, settings, case.extras, lambda step: tell(_line(step))
            )
            cost = {**alone.seconds(), "threads": threads}
            tell(f"writing {run.out}")
            record = {
                **programs(),
                "inputs": inputs({"fixed": fixed, "moving": moving, **guides.files()}),
                "settings": settings.model_dump(mode="json"),
                "affine": registration.affine.matrix,
                "levels": registration.levels,
                "displacement": _maps(case, registration, run.convention, folder),
                "global_ncc": _images(case, registration, folder, f"{moving.name} registered to {fixed.name}"),
            }
        record["cost"] = {**cost, "peak_memory_gib": peak_memory_gib(), "with_files": watch.seconds()}
        write_json(folder / "registration.json", record)
    _tell(record, run)


def _read(fixed: Path, moving: Path, guides: Guides) -> Case:
    """Everything the run needs, refused where it cannot be used."""
    images = _usable(fixed), _usable(moving)
    labels = None if guides.labels is None else read_labels(guides.labels)
    return Case(*images, _extras(images[0].grid, images[1].grid, guides, labels), labels)


def _usable(path: Path) -> Volume:
    """An image with something in it."""
    image = read_volume(path)
    image.require_usable(str(path))
    return image


def _extras(fixed: Grid, moving: Grid, guides: Guides, labels: LabelMap | None) -> Extras:
    """What guides the registration beside the images."""
    points = [None, None] if guides.landmarks is None else [read_points(path) for path in guides.landmarks]
    extras = Extras(
        fixed_mask=_mask(guides.fixed_mask, fixed, "fixed image"),
        moving_mask=_mask(guides.moving_mask, moving, "moving image"),
        fixed_labels=read_labels(guides.fixed_labels) if guides.fixed_labels is not None else None,
        moving_labels=labels if guides.fixed_labels is not None else None,
        fixed_landmarks=points[0],
        moving_landmarks=points[1],
    )
    extras.check(fixed, moving)
    return extras


def _mask(path: Path | None, grid: Grid, image: str) -> Mask | None:
    """True where the file is not 0."""
    if path is None:
        return None
    labels = read_labels(path)
    require_same_grid(grid, labels.grid, (image, f"mask {path}"))
    mask = labels.mask()
    if not mask.any():
        raise EmptyShapeError(f"{path}: the mask is empty; no voxel of the {image} would count")
    return mask


def _maps(case: Case, registration: Registration, convention: Convention, folder: Path) -> dict[str, Any]:
    """Write the maps; how large and how regular the displacement is."""
    fixed, moving, field = case.fixed.grid, case.moving.grid, registration.displacement
    write_displacement(folder / "displacement.nii.gz", field, convention=convention, moving=moving)
    write_displacement(
        folder / "inverse_displacement.nii.gz", registration.inverse, convention=convention, moving=fixed
    )
    write_affine(folder / "affine.json", registration.affine)
    regularity, lengths = diffeomorphism(field.in_voxels()), field.magnitude
    return {
        "convention": convention,
        "ndv_percent": regularity.volume_percent,
        "folded_voxels": regularity.folded,
        "mean_mm": float(lengths.mean()),
        "largest_mm": float(lengths.max()),
    }


def _images(case: Case, registration: Registration, folder: Path, title: str) -> dict[str, float]:
    """Write the warped images and the picture; how alike fixed and moving are before and after."""
    from voxbench.report.registration import overview

    fixed, field = case.fixed.grid, registration.displacement
    before, warped = resample(case.moving, fixed), resample(case.moving, fixed, field)
    write_volume(folder / "warped.nii.gz", warped)
    if case.labels is not None:
        write_labels(folder / "warped_labels.nii.gz", resample(case.labels, fixed, field))
    overview(folder / "overview.png", case.fixed, before, warped, field, title)
    return {"before": _ncc(case, before, None), "after": _ncc(case, warped, field)}


def _ncc(case: Case, seen: Volume, through: Map | None) -> float:
    """Global NCC over the voxels of the fixed grid that lie within the moving image."""
    everywhere = LabelMap(np.ones(case.moving.grid.shape, np.uint8), case.moving.grid)
    inside = resample(everywhere, case.fixed.grid, through).mask()
    return normalized_cross_correlation(case.fixed.array, seen.array, inside)


def _line(step: Progress) -> str:
    """One finished stage."""
    return f"{step.stage:<8}  similarity {step.metric:.4f}"


def _tell(record: dict[str, Any], run: Run) -> None:
    """The outcome in a few lines on stderr, or all of it on stdout."""
    if run.json:
        print((run.out / "registration.json").read_text(encoding="utf-8"), end="")
        return
    ncc, field, cost = record["global_ncc"], record["displacement"], record["cost"]
    table(
        {
            "global NCC": f"{ncc['before']:.4f} before, {ncc['after']:.4f} after",
            "displacement": f"mean {field['mean_mm']:.2f} mm, largest {field['largest_mm']:.2f} mm",
            "folding": f"NDV {field['ndv_percent']:.3g} %, {field['folded_voxels']} voxels",
            "time": f"{cost['wall_seconds']:.1f} s, {cost['cpu_seconds']:.1f} CPU-s, {cost['threads']} threads",
            "written to": str(run.out),
        }
    )
