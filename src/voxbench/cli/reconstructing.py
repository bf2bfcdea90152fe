"""What ``voxbench reconstruct`` does: radiographs and views read and checked against each other, results written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.geometry import read_config, warning_of
from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, shape_model
from voxbench.cli.projecting import PRESETS, Request
from voxbench.errors import InputError, UsageError
from voxbench.geometry import Mesh
from voxbench.geometry.projection import View, c_arm, gantry
from voxbench.io import atomic, read_radiograph, read_views, sha256, write_json, write_mesh
from voxbench.tasks.reconstruction import Radiograph, Reconstruction, ReconstructionConfig, reconstruct

SAME_PIXEL = 0.02
"""Pixel sizes of file and geometry may differ by this share."""
NAMES = {"bones": (*BONES, "knee"), "ssrkd": ("sub_0", "sub_1", "sub_2", "sub_3", "mesh")}
"""Of the four bones and of all together."""
FORMATS = ("obj", "stl", "ply")
PICTURE, RESULT, UNCERTAINTY = "contours.png", "reconstruction.json", "uncertainty.npz"
TITLES = ("frontal", "lateral")


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        files: Frontal and lateral.
        geometry: A file, or a preset's name.
        views: Degrees as text, or None.
        indices: Which views of archives and lists are meant.
        inverted: Whether bone is dark.
    """

    files: tuple[Path, Path]
    geometry: str
    views: str | None
    indices: tuple[int, int]
    inverted: bool


def read_asked(asked: Asked) -> tuple[Radiograph, ...]:
    """The two radiographs with their views.

    Raises:
        UsageError: The views are not two, or options contradict each other.
        InputError: A file cannot be read, or does not fit its view.
    """
    if min(asked.indices) < 0 or asked.indices[0] == asked.indices[1]:
        raise UsageError(f"--indices: two different numbers from 0 up; got {asked.indices[0]} {asked.indices[1]}")
    one, other = asked.files
    if one == other and one.suffix.lower() != ".npz":
        raise UsageError(f"{one}: given as frontal and as lateral radiograph; two different ones are needed")
    views = _views(asked)
    return tuple(
        _radiograph(path, index, view, asked)
        for path, index, view in zip(asked.files, asked.indices, views, strict=True)
    )


def _views(asked: Asked) -> tuple[View, ...]:
    request = Request(asked.geometry, asked.views, None, None)
    request.check(None, 0)
    if request.is_list:
        listed = read_views(Path(asked.geometry))
        if max(asked.indices) >= len(listed):
            raise InputError(
                f"{asked.geometry}: holds {len(listed)} view{'s' * (len(listed) != 1)}; --indices asks for "
                f"{asked.indices[0]} and {asked.indices[1]} (counted from 0)"
            )
        return tuple(listed[index] for index in asked.indices)
    angles = request.angles()
    if len(angles) != 2:
        raise UsageError(f"--views {asked.views}: two views are needed, frontal and lateral; got {len(angles)}")
    if asked.geometry == "c-arm":
        return tuple(c_arm(*pair) for pair in angles)
    device = PRESETS.get(asked.geometry) or read_config(Path(asked.geometry)).device
    return tuple(gantry(first, device) for first, _ in angles)


def _radiograph(path: Path, index: int, view: View, asked: Asked) -> Radiograph:
    """An image that fits its view."""
    held = read_radiograph(path, index)
    if held.image.shape != view.shape:
        raise InputError(
            f"{path}: its pixels are not those of the geometry\n"
            f"  radiograph  {' x '.join(map(str, held.image.shape))}\n  {asked.geometry}  "
            f"{view.shape[0]} x {view.shape[1]}"
        )
    if held.pixel_mm is not None:
        ratio = np.array(held.pixel_mm) / view.pixel_mm
        if np.abs(np.log(ratio)).max() > SAME_PIXEL:
            raise InputError(
                f"{path}: its pixels are not as large as those of the geometry; magnification would be wrong\n"
                f"  radiograph  {held.pixel_mm[0]:.4g} x {held.pixel_mm[1]:.4g} mm\n"
                f"  {asked.geometry}  {view.pixel_mm[0]:.4g} x {view.pixel_mm[1]:.4g} mm"
            )
    return Radiograph(-held.image if asked.inverted else held.image, view)


def fit(
    radiographs: Sequence[Radiograph], shapes: Literal["people", "formulas"], side: Literal["auto", "left", "right"]
) -> tuple[Reconstruction, float]:
    """The bones, and how long they took without fetching or building the shape model, seconds."""
    model = shape_model(SsrkdSimulation(shapes=shapes))
    start = time.perf_counter()
    return reconstruct(radiographs, model, ReconstructionConfig(side=side)), time.perf_counter() - start


def names_of() -> list[str]:
    """What an earlier run may have left."""
    meshes = [f"{name}.{suffix}" for naming in NAMES.values() for name in naming for suffix in FORMATS]
    return [*meshes, PICTURE, RESULT, UNCERTAINTY]


def merged(bones: Sequence[Mesh]) -> Mesh:
    """Meshes side by side as one."""
    starts = np.cumsum([0, *(len(bone.vertices) for bone in bones)])
    faces = [bone.faces + start for bone, start in zip(bones, starts[:-1], strict=True)]
    return Mesh(np.concatenate([bone.vertices for bone in bones]), np.concatenate(faces))


def save(
    folder: Path,
    found: Reconstruction,
    radiographs: Sequence[Radiograph],
    how: tuple[Asked, str, tuple[str, str], float],
) -> list[str]:
    """Write everything.

    Returns:
        Lines for eyes.
    """
    from voxbench.report.reconstruction import contour_picture

    asked, shapes, (suffix, naming), seconds = how
    names = NAMES[naming]
    for bone, name in zip(BONES, names, strict=False):
        write_mesh(folder / f"{name}.{suffix}", found.bones[bone])
    write_mesh(folder / f"{names[-1]}.{suffix}", merged([found.bones[bone] for bone in BONES]))
    contour_picture(
        folder / PICTURE, found, radiographs, [f"{t}: {p.name}" for t, p in zip(TITLES, asked.files, strict=True)]
    )
    with atomic(folder / UNCERTAINTY) as temporary:
        arrays = {f"{bone}_vertices": found.whole[bone].vertices for bone in BONES}
        arrays |= {f"{bone}_mm": found.uncertainty[bone] for bone in BONES}
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    bones = {bone: _measured(found, bone) for bone in BONES}
    warnings = list(found.warnings)
    if asked.geometry in PRESETS and (warning := warning_of(PRESETS[asked.geometry])):
        warnings.append(warning)
    record = {
        "voxbench": version("voxbench"),
        "method": "shape model",
        "shapes": shapes,
        "inputs": {str(path): sha256(path) for path in asked.files},
        "geometry": asked.geometry,
        "side": found.side,
        "seconds": seconds,
        "strength": found.score,
        "residual_mm": found.residual_mm,
        "pose": asdict(found.pose),
        "coefficients": found.coefficients.tolist(),
        "bones": bones,
        "warnings": warnings,
    }
    write_json(folder / RESULT, record)
    told = [f"warning: {warning}" for warning in warnings]
    told.append(
        f"{found.side} knee, {found.pose.flexion:.0f} degrees bent; "
        f"strength of the edges {found.score:.2f} of 1; {seconds:.1f} s"
    )
    return told + [
        f"{bone}: {numbers['volume_ml']:.1f} ml, {' x '.join(f'{s:.0f}' for s in numbers['size_mm'])} mm, "
        f"uncertainty {numbers['uncertainty_mm']['median']:.2f} mm"
        for bone, numbers in bones.items()
    ]


def _measured(found: Reconstruction, bone: str) -> dict[str, Any]:
    """Sizes of a bone as it was written, and how sure its surface is."""
    mesh = found.bones[bone]
    low, high = mesh.bounds
    spread = found.uncertainty[bone]
    inside = ((found.whole[bone].vertices >= low - 1e-6) & (found.whole[bone].vertices <= high + 1e-6)).all(axis=1)
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": mesh.is_watertight,
        "volume_ml": mesh.volume / 1000,
        "area_mm2": mesh.area,
        "size_mm": (high - low).tolist(),
        "uncertainty_mm": {
            "median": float(np.median(spread[inside])),
            "p95": float(np.percentile(spread[inside], 95)),
            "most": float(spread[inside].max()),
        },
    }
