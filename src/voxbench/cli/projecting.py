"""What ``voxbench project`` does: where the views stand, whether they see anything, and the files of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from voxbench.challenges.ssrkd.geometry import (
    CONSISTENT,
    RELEASED,
    read_config,
    scaled,
    seed_scale,
    warning_of,
)
from voxbench.errors import InputError, UsageError
from voxbench.geometry import Affine, Mesh, Volume
from voxbench.geometry.line_integrals import Method, line_integrals
from voxbench.geometry.projection import C_ARM, Device, View, anatomical_frame, c_arm, gantry, voxel_frame
from voxbench.io import read_views, write_json, write_radiograph_dicom, write_radiograph_png, write_views
from voxbench.simulate.radiograph import (
    PhotonNoise,
    RelativeNoise,
    measured,
    measured_relative,
    radiographs,
    shadows,
)

PRESETS = {"ssrkd-consistent": CONSISTENT, "ssrkd": RELEASED, "c-arm": C_ARM}
EXTENT_MM = (5.0, 3000.0)
"""Longest side of a CT that can be meant in mm."""
SAME_DEGREES = 0.01


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        geometry: A preset's name, or a file.
        views: Angles as text, or None.
        frame: What the axes of the gantry follow.
        isocentre: World point, or None for the middle of the CT.
    """

    geometry: str
    views: str | None
    frame: Literal["anatomy", "voxels"] | None
    isocentre: tuple[float, float, float] | None

    def check(self, photons: float | None, seed: int) -> None:
        """Refuse what contradicts itself before anything is read.

        Raises:
            UsageError: Some option has no meaning.
        """
        if photons is not None and not (np.isfinite(photons) and photons >= 1):
            raise UsageError(f"--photons: at least 1 per pixel; got {photons:g}")
        if seed < 0:
            raise UsageError(f"--seed: 0 or above; got {seed}")
        if self.is_list and (self.views or self.frame or self.isocentre):
            raise UsageError("--views, --frame, --isocentre: a JSON of views says where they stand; leave these out")
        if self.geometry == "c-arm" and self.frame == "voxels":
            raise UsageError("--frame voxels: a C-arm's angles are those of the patient")
        if not self.is_list:
            self.angles()
        if self.geometry not in PRESETS and not Path(self.geometry).suffix:
            raise UsageError(f"--geometry {self.geometry}: not one of {', '.join(PRESETS)}, and no file")

    @property
    def is_list(self) -> bool:
        """Whether the geometry is a file of views."""
        return self.geometry not in PRESETS and Path(self.geometry).suffix.lower() == ".json"

    def angles(self) -> tuple[tuple[float, float], ...]:
        """Primary and secondary angle of every view, degrees.

        Raises:
            UsageError: No numbers, or two views of one angle.
        """
        pairs = [_pair(part, self.geometry == "c-arm") for part in (self.views or "0,90").split(",")]
        for n, one in enumerate(pairs):
            for other in pairs[:n]:
                if all(abs((a - b + 180) % 360 - 180) < SAME_DEGREES for a, b in zip(one, other, strict=True)):
                    raise UsageError(
                        f"--views {self.views}: {one[0]:g} and {other[0]:g} degrees are one and the same view"
                    )
        return tuple(pairs)


def _pair(part: str, tilts: bool) -> tuple[float, float]:
    """One angle, or two joined by a slash."""
    words = part.split("/")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= (2 if tilts else 1) or not np.isfinite(numbers).all():
        form = "0,90, or primary/secondary as in 0/0,30/-15" if tilts else "0,90"
        raise UsageError(f"--views: degrees joined by commas, e.g. {form}; got {part!r}")
    return numbers[0], numbers[1] if len(numbers) == 2 else 0.0


@dataclass(frozen=True)
class Placed:
    """The views, and what a user should know of them.

    Attributes:
        views: Where from.
        angles: Primary and secondary, degrees; None where a file of views gave none.
        is_c_arm: Whether the angles are a positioner's.
        warnings: For eyes.
    """

    views: tuple[View, ...]
    angles: tuple[tuple[float, float], ...] | None
    is_c_arm: bool
    warnings: tuple[str, ...]


def request_views(request: Request, ct: Volume, path: Path, bone_hu: float) -> Placed:
    """The views of a CT, after a look at whether they make sense.

    Raises:
        InputError: The CT or the geometry is not in mm, or no bone falls on a detector.
    """
    _require_mm(ct, path)
    listed = request.is_list
    placed = Placed(read_views(request.geometry), None, False, ()) if listed else _turning(request, ct)
    _require_bone(placed.views, ct, path, bone_hu)
    return placed


def _turning(request: Request, ct: Volume) -> Placed:
    """Views about an isocentre."""
    angles = request.angles()
    centre = np.array(ct.grid.centre if request.isocentre is None else request.isocentre, np.float64)
    if request.geometry == "c-arm":
        views = tuple(c_arm(one, other, C_ARM, centre) for one, other in angles)
        return Placed(views, angles, True, ())
    warnings, device, frame = [], PRESETS.get(request.geometry), request.frame
    if device is None:
        config = read_config(Path(request.geometry))
        device, frame = config.device, frame or "voxels"
        centre = centre - ct.grid.direction @ np.array(config.origin_mm)
        side = np.array(config.voxels) * config.voxel_mm
        if np.abs(side - np.array(ct.grid.shape) * ct.grid.spacing).max() > 0.5:
            warnings.append(
                f"{request.geometry}: takes the volume as {_size(side)} mm; this CT is "
                f"{_size(np.array(ct.grid.shape) * ct.grid.spacing)} mm, and that is used"
            )
    warning = warning_of(device)
    axes = voxel_frame(ct.grid) if frame == "voxels" else anatomical_frame()
    world_from_gantry = Affine.from_parts(axes.linear, centre, "world", "gantry")
    views = tuple(gantry(angle, cast("Device", device), world_from_gantry) for angle, _ in angles)
    return Placed(views, angles, False, tuple(warnings + ([warning] if warning else [])))


def _require_mm(ct: Volume, path: Path) -> None:
    """A CT is between 5 mm and 3 m long."""
    longest = float((np.array(ct.grid.shape) * ct.grid.spacing).max())
    low, high = EXTENT_MM
    if not low <= longest <= high:
        unit = "metres" if longest < low else "micrometres"
        raise InputError(
            f"{path}: the CT is {longest:.4g} mm long at most; plausible are {low:g} to {high:g}\n"
            f"  is its spacing in {unit}? it must be in mm   {ct.grid}"
        )


def _require_bone(views: Sequence[View], ct: Volume, path: Path, bone_hu: float) -> None:
    """Some bone is there, and falls on every detector."""
    step = [max(1, n // 128) for n in ct.grid.shape]
    dense = np.argwhere(ct.array[:: step[0], :: step[1], :: step[2]] >= bone_hu) * step
    if not len(dense):
        raise InputError(
            f"{path}: no bone: no voxel reaches {bone_hu:g} HU\n"
            f"  values  {ct.array.min():.4g} to {ct.array.max():.4g}\n"
            "  is it a CT in HU? --bone-hu sets another threshold"
        )
    points = ct.grid.world_from_voxel(dense.astype(np.float64))
    for number, view in enumerate(views):
        if not view.sees(points).any():
            raise InputError(
                f"view {number}: no bone in view: nothing of at least {bone_hu:g} HU falls on the detector\n"
                f"  view  {view!r}\n  CT    {ct.grid!r}\n  check the isocentre and that all lengths are in mm"
            )


@dataclass(frozen=True)
class Made:
    """What a run left.

    Attributes:
        files: Names.
        lines: A line per view, for eyes.
        summaries: The same as records.
    """

    files: tuple[str, ...]
    lines: tuple[str, ...]
    summaries: tuple[dict[str, Any], ...]


def names_of(folder: Path) -> list[str]:
    """What an earlier run may have left."""
    patterns = ("view_*.dcm", "view_*.png", "mask_*.png")
    fixed = ["projs.npz", "bone_mask.npz", "views.json", "projection.json"]
    return fixed + [path.name for pattern in patterns for path in folder.glob(pattern)]


def project(
    folder: Path, ct: Volume, placed: Placed, meshes: Sequence[Mesh], how: tuple[Method, float | None, bool, int]
) -> Made:
    """Project and write.

    Args:
        folder: Where to.
        ct: CT numbers.
        placed: The views.
        meshes: Whose shadows are wanted.
        how: Method, photons, whether the published noise, seed.
    """
    method, photons, published, seed = how
    angles = np.radians([first for first, _ in placed.angles or ()])
    extra: dict[str, Any] = {"angles": angles} if placed.angles else {}
    if placed.is_c_arm:
        extra["secondary_angles"] = np.radians([second for _, second in placed.angles or ()])
    stack = np.stack([seed_scale(image) for image in line_integrals(scaled(ct), placed.views, method)])
    if published:
        stack = measured_relative(stack, RelativeNoise(), np.random.default_rng([seed, 0]))
    np.savez(folder / "projs.npz", projs=stack, **extra)
    if meshes:
        masks = shadows(meshes, placed.views)
        np.savez_compressed(folder / "bone_mask.npz", projs=masks.astype(np.uint8), **extra)
        for number, mask in enumerate(masks):
            write_radiograph_png(folder / f"mask_{number:03d}.png", mask, placed.views[number].pixel_mm)
    summaries = []
    for number, image in enumerate(radiographs(ct, placed.views, method)):
        if photons is not None:
            image = measured(image, PhotonNoise(photons=photons), np.random.default_rng([seed, 1, number]))
        view, pair = placed.views[number], placed.angles[number] if placed.angles else None
        write_radiograph_dicom(folder / f"view_{number:03d}.dcm", image, view, pair if placed.is_c_arm else None)
        write_radiograph_png(folder / f"view_{number:03d}.png", image, view.pixel_mm)
        summaries.append(_summary(image, view, pair, photons))
    write_views(folder / "views.json", placed.views)
    settings = {"method": method, "photons": photons, "published_noise": published, "seed": seed}
    write_json(folder / "projection.json", {"settings": settings, "views": summaries, "warnings": placed.warnings})
    lines = [f"view {number}: {summary['text']}" for number, summary in enumerate(summaries)]
    return Made(tuple(sorted(path.name for path in folder.iterdir())), tuple(lines), tuple(summaries))


def _summary(image: np.ndarray, view: View, pair: tuple[float, float] | None, photons: float | None) -> dict[str, Any]:
    """What is worth saying of an image."""
    where = "" if pair is None else f"{pair[0]:g}" + (f"/{pair[1]:g}" if pair[1] else "") + " degrees, "
    text = f"{where}{view}; attenuation {image.min():.3g} to {image.max():.3g}"
    starved = 0.0
    if photons is not None:
        starved = float(np.mean(image >= np.log(photons) - np.log(10)))
        if starved > 0:
            text += f"; {100 * starved:.2g} % of the pixels count fewer than 10 photons"
    return {"text": text, "degrees": pair, "least": image.min(), "most": image.max(), "starved": starved}


def _size(side: np.ndarray) -> str:
    return " x ".join(f"{s:.4g}" for s in side)
