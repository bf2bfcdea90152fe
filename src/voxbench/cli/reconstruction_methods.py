"""The methods of ``voxbench reconstruct``: which goes with what was given, and what each leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.simulation import SsrkdSimulation
from voxbench.cli import reconstructing
from voxbench.cli.reconstructing import NAMES, PICTURE, RESULT, TITLES, Asked, merged
from voxbench.errors import InputError, UsageError
from voxbench.geometry import Mesh, Volume
from voxbench.geometry.shapes import ShapeModel
from voxbench.io import read_volume, sha256, write_json, write_mesh
from voxbench.tasks.reconstruction import (
    CtReconstruction,
    HybridReconstruction,
    NetworkReconstruction,
    Occupancy,
    Radiograph,
    ReconstructionConfig,
    reconstruct_ct,
    reconstruct_hybrid,
    reconstruct_occupancy,
)

OF_CT = ("threshold", "teacher")
OF_RADIOGRAPHS = ("shape-model", "network", "hybrid")
LEARNED = ("teacher", "network", "hybrid")
IMAGES = (".png", ".npz", ".jpg", ".jpeg")
EXTENT_MM = (10.0, 3000.0)
Write = Callable[[Path], list[str]]
Learned = CtReconstruction | HybridReconstruction | NetworkReconstruction


@dataclass(frozen=True)
class How:
    """How bones are made and written.

    Attributes:
        method: One of `OF_CT` or `OF_RADIOGRAPHS`.
        weights: Of a network.
        shapes: Which shape model.
        side: Which leg.
        suffix: Of the meshes.
        naming: A key of `NAMES`.
    """

    method: str
    weights: Path | None
    shapes: Literal["people", "formulas"]
    side: Literal["auto", "left", "right"]
    suffix: str
    naming: str

    @property
    def config(self) -> ReconstructionConfig:
        """Settings of the fit."""
        return ReconstructionConfig(side=self.side)

    def model(self) -> ShapeModel:
        """The shape model."""
        return reconstructing.shape_model(SsrkdSimulation(shapes=self.shapes))


def chosen_method(
    method: str | None,
    files: tuple[Path, Path | None],
    of_radiographs: tuple[str | None, str | None, bool],
    weights: Path | None,
) -> str:
    """The method for one file (a CT) or two (radiographs).

    Args:
        method: As asked for.
        files: One or two.
        of_radiographs: --geometry, --views and --inverted.
        weights: As given.

    Raises:
        UsageError: What was given does not go together.
    """
    one, other = files
    known = OF_CT if other is None else OF_RADIOGRAPHS
    if other is None:
        _require_one_ct(one, of_radiographs)
    elif of_radiographs[0] is None:
        raise UsageError(
            "--geometry is needed with radiographs: where source and detector stood\n"
            "  a views.json of `voxbench project`, a config.yaml of SSR-KD, or the name of a geometry"
        )
    used = method or known[0]
    if used not in known:
        what = "a CT (one file)" if other is None else "two radiographs"
        raise UsageError(f"--method {used}: not one for {what}; there are {' and '.join(known)}")
    if used in LEARNED and weights is None:
        raise UsageError(f"--method {used} needs --weights, the folder that `voxbench train ssrkd` wrote")
    if used not in LEARNED and weights is not None:
        raise UsageError(
            f"--weights: {used} needs none; did you mean --method {' or '.join(set(known) & set(LEARNED))}?"
        )
    return used


def _require_one_ct(path: Path, of_radiographs: tuple[str | None, str | None, bool]) -> None:
    """One file is a CT; a radiograph alone is not enough."""
    if path.suffix.lower() in IMAGES:
        raise UsageError(f"{path}: one radiograph is not enough: give FRONTAL and LATERAL; one file alone is a CT")
    for name, given in zip(("--geometry", "--views", "--inverted"), of_radiographs, strict=True):
        if given:
            raise UsageError(
                f"{name} is for radiographs, and one file alone is a CT\n  {path}: the FRONTAL one? LATERAL is missing"
            )


def from_ct(path: Path, how: How) -> Write:
    """Bones from a CT.

    Returns:
        What writes them into a folder and gives lines for eyes.

    Raises:
        InputError: The CT cannot be read, or shows no knee.
    """
    from voxbench.report.reconstruction import ct_picture

    ct = read_volume(path)
    _require_mm(path, ct)
    model = None if how.method == "teacher" else how.model()
    start = time.perf_counter()
    found: Learned
    try:
        found = reconstruct_ct(ct, model, how.config) if model else reconstruct_occupancy(_from_ct(how, ct))
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    seconds = time.perf_counter() - start

    def write(folder: Path) -> list[str]:
        ct_picture(folder / PICTURE, found.bones, ct, path.name)
        return _save(folder, found, how, {"inputs": _inputs([path]), "seconds": seconds})

    return write


def from_radiographs(radiographs: Sequence[Radiograph], asked: Asked, how: How) -> Write:
    """Bones from radiographs.

    Returns:
        What writes them into a folder and gives lines for eyes.

    Raises:
        InputError: No knee is found in them.
    """
    from voxbench.report.reconstruction import bone_contours_picture

    if how.method == "shape-model":
        fitted, seconds = reconstructing.fit(radiographs, how.shapes, how.side)
        return lambda folder: reconstructing.save(
            folder, fitted, radiographs, (asked, how.shapes, (how.suffix, how.naming), seconds)
        )
    model = how.model() if how.method == "hybrid" else None
    start = time.perf_counter()
    network = _from_radiographs(how, asked, radiographs)
    found: Learned
    if model is None:
        found = reconstruct_occupancy(network)
    else:
        found = reconstruct_hybrid(network, model, radiographs, how.config)
    seconds = time.perf_counter() - start

    def write(folder: Path) -> list[str]:
        titles = [f"{title}: {file.name}" for title, file in zip(TITLES, asked.files, strict=True)]
        bone_contours_picture(folder / PICTURE, found.bones, radiographs, titles)
        about = {"inputs": _inputs(asked.files), "geometry": asked.geometry, "seconds": seconds}
        return _save(folder, found, how, about)

    return write


def _from_ct(how: How, ct: Volume) -> Occupancy:
    from voxbench.challenges.ssrkd.trained import trained_from_ct  # pyright: ignore[reportMissingImports]

    assert how.weights is not None
    return trained_from_ct(how.weights, ct)


def _from_radiographs(how: How, asked: Asked, radiographs: Sequence[Radiograph]) -> Occupancy:
    for path in asked.files:
        if path.suffix.lower() != ".npz":
            raise InputError(
                f"{path}: networks read the values of projs.npz, from which they learned (see `voxbench project`)\n"
                "  the shape model reads other files: --method shape-model"
            )
    from voxbench.challenges.ssrkd.trained import trained_from_radiographs  # pyright: ignore[reportMissingImports]

    assert how.weights is not None
    return trained_from_radiographs(how.weights, [r.image for r in radiographs], [r.view for r in radiographs])


def _require_mm(path: Path, ct: Volume) -> None:
    extent = float((np.asarray(ct.grid.shape) * ct.grid.spacing).max())
    low, high = EXTENT_MM
    if not low <= extent <= high:
        unit = "metres" if extent < low else "micrometres"
        raise InputError(f"{path}: the CT is {extent:.2g} mm long\n  is its spacing in {unit}? it must be in mm")


def _inputs(paths: Sequence[Path]) -> dict[str, str | None]:
    """SHA-256 of files; of a folder its name alone."""
    return {str(path): sha256(path) if path.is_file() else None for path in paths}


def _save(folder: Path, found: Learned, how: How, about: Mapping[str, Any]) -> list[str]:
    """Meshes and record; returns lines for eyes."""
    names = NAMES[how.naming]
    present = [bone for bone in BONES if bone in found.bones]
    for bone, name in zip(BONES, names, strict=False):
        if bone in found.bones:
            write_mesh(folder / f"{name}.{how.suffix}", found.bones[bone])
    write_mesh(folder / f"{names[-1]}.{how.suffix}", merged([found.bones[bone] for bone in present]))
    bones = {bone: _measured(found, bone) for bone in present}
    record = {"voxbench": version("voxbench"), "method": how.method, **about}
    if how.weights is not None:
        record["weights"] = str(how.weights)
    if not isinstance(found, NetworkReconstruction):
        record |= {
            "shapes": how.shapes,
            "side": found.side,
            "score": found.score,
            "pose": asdict(found.pose),
            "coefficients": found.coefficients.tolist(),
        }
    if isinstance(found, CtReconstruction):
        record["threshold_hu"] = found.threshold_hu
    write_json(folder / RESULT, record | {"bones": bones, "warnings": list(found.warnings)})
    return [f"warning: {warning}" for warning in found.warnings] + [
        _summary(found, how, float(about["seconds"])),
        *(
            f"{bone}: {numbers['volume_ml']:.1f} ml, {' x '.join(f'{size:.0f}' for size in numbers['size_mm'])} mm"
            for bone, numbers in bones.items()
        ),
    ]


def _summary(found: Learned, how: How, seconds: float) -> str:
    if isinstance(found, NetworkReconstruction):
        return f"{how.method}: {len(found.bones)} bones; {seconds:.1f} s"
    threshold = f"; bone from {found.threshold_hu:.0f} HU" if isinstance(found, CtReconstruction) else ""
    return (
        f"{found.side} knee, {found.pose.flexion:.0f} degrees bent; agreement with the shape model {found.score:.2f}"
        f"{threshold}; {seconds:.1f} s"
    )


def _measured(found: Learned, bone: str) -> dict[str, Any]:
    """Sizes of a bone, and how sure it is."""
    mesh: Mesh = found.bones[bone]
    low, high = mesh.bounds
    numbers: dict[str, Any] = {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": mesh.is_watertight,
        "volume_ml": mesh.volume / 1000,
        "area_mm2": mesh.area,
        "size_mm": (high - low).tolist(),
    }
    if not isinstance(found, NetworkReconstruction):
        numbers["model_residual_mm"] = found.residual_mm[bone]
    if not isinstance(found, CtReconstruction):
        spread = found.spread[bone]
        numbers["uncertainty_mm"] = {"median": float(np.median(spread)), "p95": float(np.percentile(spread, 95))}
    return numbers
