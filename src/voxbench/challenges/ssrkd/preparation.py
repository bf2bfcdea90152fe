"""From CTs with meshes or label maps (or alone) to SSR-KD's layout."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from voxbench.challenges.ssrkd.bones import Bones, MeshSpace, fitted, read_bones, side_of
from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.frames import require_ct
from voxbench.challenges.ssrkd.geometry import CONSISTENT, WINDOW_HU, scaled
from voxbench.challenges.ssrkd.kept import NOTES, note_of, written_together
from voxbench.challenges.ssrkd.placement import Placement, in_cube, place
from voxbench.challenges.ssrkd.processed import AXES, Processed
from voxbench.challenges.ssrkd.radiographs import ANGLES, views_of
from voxbench.challenges.ssrkd.reading import read_radiographs
from voxbench.challenges.ssrkd.sources import Source
from voxbench.challenges.ssrkd.splits import SPLITS, split_patients
from voxbench.challenges.ssrkd.writing import INFO, VIEWS, Recipe, Truth, write_case
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Volume, silhouette
from voxbench.geometry.projection import Device, View
from voxbench.io import read_volume, sha256, write_json, write_views
from voxbench.jobs import Job, Record
from voxbench.simulate.radiograph import RelativeNoise
from voxbench.types import AnyArray

FRONTAL, LATERAL = 0.0, 90.0
NOTABLE_MM = 1.0
"""What of a CT lies outside the cube beyond this is told of."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A radiograph and whose shadows lie where in it.

    Attributes:
        title: What to write above it.
        image: (rows, columns).
        shadows: By bone; empty where the bones are not known.
    """

    title: str
    image: AnyArray
    shadows: Mapping[str, AnyArray]


Draw = Callable[[Path, Sequence[Shown]], None]
"""Writes the picture of a case: where, and what."""


class SsrkdPreparation(Config):
    """How cases are prepared."""

    size: int = Field(default=512, ge=32, le=1024, description="Voxels along each side of the large volume; even.")
    field_mm: float = Field(default=256.0, ge=50, le=1000, description="Side of the volume, mm.")
    window: Literal["fixed", "per-image"] = Field(
        default="fixed", description="-400 to 500 HU as 0 to 255, or as the released code stretches each image."
    )
    labels: tuple[int, int, int, int] = Field(
        default=(1, 2, 3, 4), description="Values of patella, femur, fibula and tibia in label maps."
    )
    mesh_space: MeshSpace = Field(default="auto", description="Which way the axes of meshes point.")
    angles: tuple[float, ...] = Field(default=ANGLES, min_length=1, description="Views, degrees: 0 front, 90 left.")
    device: Device = Field(default=CONSISTENT, description="Source, axis and detector.")
    origin_mm: tuple[float, float, float] = Field(
        default=(0.0, 0.0, 0.0), description="Shift of the volume from the axis, to the front, left and up, mm."
    )
    radiograph_noise: RelativeNoise | None = Field(default=RelativeNoise(), description="Of the radiographs.")
    points: int = Field(default=20000, ge=10, le=1000000, description="Labelled points near each bone.")
    jitter_mm: float = Field(default=4.0, ge=0, le=50, description="How far these lie from the surface, mm.")
    seed: int = Field(default=0, ge=0, description="Of noise, points and splits.")

    @field_validator("size")
    @classmethod
    def _even(cls, size: int) -> int:
        if size % 2:
            raise ValueError("Input should be even, for the small volume has half as many")
        return size

    @field_validator("labels")
    @classmethod
    def _different(cls, labels: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(labels)) < len(labels) or min(labels) < 1:
            raise ValueError("Input should be four different values above 0")
        return labels

    @property
    def views(self) -> tuple[View, ...]:
        """The views of every case; the middle of its volume is the world's origin."""
        return views_of(self.angles, self.device, 0.0 - AXES @ np.array(self.origin_mm))

    @property
    def ids(self) -> dict[str, int]:
        """Label values by bone."""
        return dict(zip(BONES, self.labels, strict=True))


def jobs(sources: Sequence[Source], out: Path, settings: SsrkdPreparation, draw: Draw | None = None) -> tuple[Job, ...]:
    """One job per case.

    Args:
        sources: The cases' files.
        out: Folder of the data set.
        settings: How.
        draw: Draws the picture of a case; none without it.
    """
    decides = settings.model_dump(mode="json") | {"picture": draw is not None}
    return tuple(
        Job(
            source.case,
            partial(prepare_case, source, out, settings, draw),
            source.inputs(),
            decides | {"patient": source.patient, "side": source.side},
        )
        for source in sources
    )


def prepare_case(source: Source, out: Path, settings: SsrkdPreparation, draw: Draw | None = None) -> Record:
    """Read, check, bring into the cube and write one case; all of its files, or none.

    Args:
        source: Its files.
        out: Folder of the data set.
        settings: How.
        draw: Draws the picture.

    Returns:
        Where its files come from, where the cube lies, volumes of the bones, ``warnings``, hashes of what was written.

    Raises:
        InputError: A file cannot be used, or its bones do not lie on those of the CT.
        FileWriteError: The results cannot be written.
    """
    ct = read_volume(source.ct)
    require_ct(ct, source.ct)
    bones = read_bones(source, ct, settings.ids, settings.mesh_space)
    placement = place(ct, settings.field_mm, None if bones is None else bones.meshes)
    truth = None
    if bones is not None:
        truth = fitted(bones.meshes, ct.grid, placement.middle, (settings.size, settings.field_mm))
    about = {"shape": list(ct.grid.shape), "spacing_mm": ct.grid.spacing.tolist(), "axes": ct.grid.orientation}
    cube = in_cube(ct, placement, settings.size, settings.field_mm)
    del ct
    window = window_of(cube, settings.window)
    rng = np.random.default_rng([settings.seed, 0x9E9, zlib.crc32(source.case.encode())])
    x, y, z = placement.middle.tolist()
    recipe = Recipe(
        settings.angles, settings.views, settings.radiograph_noise, settings.points, settings.jitter_mm, (x, y, z)
    )
    with written_together(out, source.case) as folder:
        case = write_case(folder, source.case, (scaled(cube, window), truth), recipe, rng)
        if draw is not None:
            draw(folder / NOTES / f"{source.case}.png", shown(case, settings, truth))
        record = {"case": source.case, "patient": source.patient, "ct": about, "window_hu": list(window)}
        record |= _about_bones(source, bones, truth) | _about_place(placement)
        record["warnings"] = _warnings(source, bones, placement)
        record["source"] = {name: str(path) for name, path in source.inputs().items()}
        record |= {"voxbench": version("voxbench"), "settings": settings.model_dump(mode="json")}
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        record["files"] = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
        write_json(note_of(folder, source.case), record)
    return record


def window_of(ct: Volume, kind: Literal["fixed", "per-image"]) -> tuple[float, float]:
    """The CT numbers that become 0 and 255.

    ``per-image``: least and greatest value after clipping to -400 to 500 HU, as the released code takes them.

    Raises:
        InputError: All voxels are on one side of the window.
    """
    if kind == "fixed":
        return WINDOW_HU
    low, high = (float(np.clip(value, *WINDOW_HU)) for value in (ct.array.min(), ct.array.max()))
    if not high > low:
        raise InputError(f"every voxel of the cube is {low:g} HU after clipping to -400 to 500 HU: nothing to stretch")
    return low, high


def shown(case: Processed, settings: SsrkdPreparation, truth: Truth | None) -> tuple[Shown, ...]:
    """The views nearest to 0 and 90 degrees, as they were written, and the bones' shadows in them."""
    stack, angles = read_radiographs(case).stack, np.array(settings.angles)
    found = []
    for wanted in (FRONTAL, LATERAL):
        at = int(np.abs((angles - wanted + 180) % 360 - 180).argmin())
        shadows = {} if truth is None else {bone: silhouette(truth.bones[bone], settings.views[at]) for bone in BONES}
        found.append(Shown(f"{angles[at]:g} degrees", stack[at], shadows))
    return tuple(found)


def write_info(out: Path, settings: SsrkdPreparation, records: Sequence[Record]) -> dict[str, Any]:
    """``info.json``: train, val and test of the labelled cases, unlabelled, patients; and ``views.json``.

    All knees of a patient are on one side. Unlabelled knees of patients who validate or test are in none of the lists
    that train: they stand under ``held_out``.

    Args:
        out: Folder of the data set.
        settings: Seed and views.
        records: Of all cases.

    Returns:
        What was written to info.json.
    """
    patients = {record["case"]: record["patient"] for record in records}
    labelled = [record["case"] for record in records if record["labelled"]]
    splits = split_patients({case: patients[case] for case in labelled}, settings.seed) if labelled else {}
    splits = {name: splits.get(name, []) for name in SPLITS}
    apart = {patients[case] for name in ("val", "test") for case in splits[name]}
    others = [record["case"] for record in records if not record["labelled"]]
    info = {
        **splits,
        "unlabelled": [case for case in others if patients[case] not in apart],
        "held_out": [case for case in others if patients[case] in apart],
        "patients": patients,
        "sides": {record["case"]: record["side"] for record in records},
    }
    write_views(out / VIEWS, settings.views)
    write_json(out / INFO, info)
    return info


def line(record: Record) -> str:
    """A line per case, and one for each thing to look at."""
    known = f"{record['side']} {record['labelled']}" if record["labelled"] else "unlabelled"
    by = " x ".join(map(str, record["ct"]["shape"]))
    return "\n".join([f"{record['case']}  {known}, CT {by}", *(f"  look: {w}" for w in record["warnings"])])


def _about_bones(source: Source, bones: Bones | None, truth: Truth | None) -> Record:
    if bones is None or truth is None:
        return {"labelled": None, "side": source.side}
    whole = {bone: mesh.volume / 1000 for bone, mesh in bones.meshes.items()}
    return {
        "labelled": f"by {bones.kind}",
        "side": source.side or side_of(bones.meshes),
        "volumes_ml": {bone: mesh.volume / 1000 for bone, mesh in truth.bones.items()},
        "share_in_cube": {bone: mesh.volume / 1000 / whole[bone] for bone, mesh in truth.bones.items()},
        "rise_hu": bones.rise_hu,
    }


def _about_place(placement: Placement) -> Record:
    """Where the cube lies."""
    return {
        "middle_mm": placement.middle.tolist(),
        "cropped_mm": dict(placement.cropped),
        "padded_mm": dict(placement.padded),
    }


def _warnings(source: Source, bones: Bones | None, placement: Placement) -> list[str]:
    said = list(bones.warnings) if bones else []
    about = "the bones" if bones else "the bright voxels"
    for name, by in placement.cropped.items():
        if by > NOTABLE_MM:
            said.append(f"the CT is longer than the cube {name}: cropped about {about}, {by:.0f} mm lie outside")
    if bones and source.side and side_of(bones.meshes) != source.side:
        found = side_of(bones.meshes)
        said.append(f"its folder says {source.side}, but the fibula lies as in a {found} leg: mirrored, or misplaced?")
    return said
