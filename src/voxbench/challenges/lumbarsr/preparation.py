"""From the scanners' series to LumbarSR's registered data, bone masks, and the scanner's own voxels in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from voxbench.challenges.lumbarsr.alignment import Alignment, Flip, align, moved_grid
from voxbench.challenges.lumbarsr.bone_masks import bone_agreement, filled_bone
from voxbench.challenges.lumbarsr.cases import FIELDS_OF_VIEW, SEQUENCES, Case, cases_of
from voxbench.challenges.lumbarsr.prepared import FOLDER, written_together
from voxbench.challenges.lumbarsr.sources import (
    Sources,
    read_clinical,
    read_micro_ct,
    require_samples,
    sources_of,
)
from voxbench.config import Config
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import sha256, write_json, write_labels, write_volume
from voxbench.io.atomic import sha256_of_folder
from voxbench.jobs import Job, Record
from voxbench.simulate.ct import registered
from voxbench.types import Mask

REFERENCES = ("500Z_B", "500Z_S", "1000Z_B", "1000Z_S")
"""The sequence that a field of view is registered on is the first of these that is there. The first two are the
organisers'; the others serve a field of view that has neither."""
FAR_MM = 1.0
"""HD95 of bone masks beyond which the picture ought to be looked at; the published ones are 0.23 and 0.29 mm."""
APART_MM = 2.0
"""How far the middles of two sequences of one scan may lie apart."""

Draw = Callable[[Path, Volume, Mapping[str, Volume]], None]
"""Writes the picture of a sample: where, the micro-CT, and by title the registered sequences whose bone is outlined."""


class LumbarsrPreparation(Config):
    """What is prepared, and how."""

    samples: tuple[str, ...] = Field(default=..., min_length=1, description="Samples, e.g. Lumbar_01.")
    sequences: tuple[str, ...] = Field(default=SEQUENCES, min_length=1, description="Sequences, as far as there.")
    flips: tuple[Flip, ...] = Field(
        default=("as-is", "turned", "mirrored", "headers"), min_length=1, description="How a clinical scan may lie."
    )

    @field_validator("samples", "sequences", "flips")
    @classmethod
    def _once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given))


def jobs(data: Path, out: Path, settings: LumbarsrPreparation, draw: Draw | None = None) -> tuple[Job, ...]:
    """One job per sample.

    Args:
        data: Folder holding original_dicom/.
        out: Folder for RegisteredData/, BoneMask/, native/ and preparation/.
        settings: What is prepared, and how.
        draw: Draws the picture of a sample; none without it.

    Raises:
        InputError: A sample or sequence has a name that there is not.
        FileReadError: Samples have no folder; all of them are named.
    """
    cases_of(settings.samples, settings.sequences)
    require_samples(data, settings.samples)
    made = []
    decides = {"sequences": list(settings.sequences), "flips": list(settings.flips), "picture": draw is not None}
    for sample in settings.samples:
        try:
            sources = sources_of(data, sample, settings.sequences)
            inputs = {"micro_ct": sources.micro_ct, **sources.clinical}
        except FileReadError:
            inputs = {}  # the job will say so, beside the others
        work = partial(prepare_sample, sample, (data, out), settings, draw)
        made.append(Job(sample, work, inputs, decides))
    return tuple(made)


def prepare_sample(
    sample: str, folders: tuple[Path, Path], settings: LumbarsrPreparation, draw: Draw | None = None
) -> Record:
    """Register a sample's sequences to its micro-CT and write everything; all of its files, or none.

    Args:
        sample: Its name.
        folders: Where original_dicom/ lies, and where the results go.
        settings: What is prepared, and how.
        draw: Draws the picture.

    Returns:
        ``missing`` sequences, ``fields_of_view`` (what each was registered on, how it lay, the motion, all candidates),
        ``sequences`` (source, Dice, HD95, HD of bone masks), ``warnings``, hashes of what was read and written.

    Raises:
        InputError: A scan is missing, damaged, or shows no bone.
        FileWriteError: The results cannot be written.
    """
    data, out = folders
    sources = sources_of(data, sample, settings.sequences)
    micro = read_micro_ct(sources.micro_ct)
    bone = filled_bone(micro)
    case = Case(sample, next(iter(sources.clinical)))
    with written_together(out, sample) as folder:
        write_volume(case.reference(folder), micro)
        write_labels(case.bone_masks(folder)[1], LabelMap(bone.astype(np.uint8), micro.grid))
        target = Target(micro, bone, folder)
        views, shown = {}, {}
        for view in FIELDS_OF_VIEW:
            found = _prepare_view(target, sources, view, settings.flips)
            if found is not None:
                views[view], shown[found.title] = found.record, found.shown
        if draw is not None:
            draw(folder / FOLDER / f"{sample}.png", micro, shown)
        record = _record(sources, micro.grid, views) | {"settings": settings.model_dump(mode="json")}
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        record["files"] = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
        write_json(folder / FOLDER / f"{sample}.json", record)
    return record


@dataclass(frozen=True, eq=False)
class Target:
    """What clinical scans are brought to.

    Attributes:
        micro: The micro-CT.
        bone: Its bone mask.
        folder: Where files are written.
    """

    micro: Volume
    bone: Mask
    folder: Path


@dataclass(frozen=True, eq=False)
class View:
    """What was made of one field of view.

    Attributes:
        record: In values that JSON holds; ``sequences`` and ``warnings`` among them.
        shown: The sequence it was registered on, on the micro-CT's grid.
        title: What to write above its picture.
    """

    record: Record
    shown: Volume
    title: str


def _prepare_view(target: Target, sources: Sources, view: str, flips: Sequence[str]) -> View | None:
    """Register one field of view and write its sequences; None if it has none."""
    cases = [Case(sources.sample, name) for name in sources.clinical if name.startswith(view)]
    if not cases:
        return None
    lead = next(c for kind in REFERENCES for c in cases if c.sequence.endswith(f"Y_{kind}"))
    volumes, warnings = {}, []
    for case in cases:
        volumes[case], odd = read_clinical(sources.clinical[case.sequence], case)
        warnings += [odd] if odd else []
    try:
        alignment = align(target.micro, volumes[lead], flips)
    except InputError as error:
        raise type(error)(f"{view} ({lead.sequence}): {error}") from error
    warnings += [f"{view}: {doubt}" for doubt in alignment.doubts]
    middle = volumes[lead].grid.centre
    made, shown = {}, target.micro
    for case in cases:
        apart = float(np.linalg.norm(volumes[case].grid.centre - middle))
        if apart > APART_MM:
            warnings.append(f"{case.sequence}: its middle lies {apart:.1f} mm from that of {lead.sequence}")
        on, numbers = _write_sequence(target, case, volumes[case], alignment)
        shown = on if case == lead else shown
        if not numbers["hd95_mm"] <= FAR_MM:
            far = f"HD95 {numbers['hd95_mm']:.2f} mm"
            warnings.append(f"{case.sequence}: its bone lies apart from the micro-CT's, {far}; look at the picture")
        made[case.sequence] = numbers
    best = made[lead.sequence]
    title = f"{lead.sequence}, {alignment.flip}   Dice {best['dice']:.3f}, HD95 {best['hd95_mm']:.2f} mm"
    record = {"registered_on": lead.sequence, **alignment.as_record(), "sequences": made, "warnings": warnings}
    return View(record, shown, title)


def _write_sequence(target: Target, case: Case, volume: Volume, alignment: Alignment) -> tuple[Volume, dict[str, Any]]:
    """The files of one sequence; it on the micro-CT's grid, and how well its bone lies on the micro-CT's."""
    native = Volume(volume.array, moved_grid(volume.grid, alignment.micro_from_clinical))
    on = registered(native, target.micro.grid)
    mask = filled_bone(on)
    write_volume(case.prepared_native(target.folder), native)
    write_volume(case.registered(target.folder), on)
    write_labels(case.bone_masks(target.folder)[0], LabelMap(mask.astype(np.uint8), on.grid))
    i, j, k = (float(s) for s in target.micro.grid.spacing)
    about = {"shape": list(volume.grid.shape), "spacing_mm": [float(s) for s in volume.grid.spacing]}
    return on, bone_agreement(target.bone, mask, (i, j, k)) | about


def _record(sources: Sources, grid: Grid, views: Mapping[str, Record]) -> Record:
    """What is kept of a sample."""
    sequences = {name: found for view in views.values() for name, found in view.pop("sequences").items()}
    for name, path in sources.clinical.items():
        sequences[name] = {"source": str(path), "sha256": _hash(path), **sequences[name]}
    return {
        "sample": sources.sample,
        "voxbench": version("voxbench"),
        "numpy": np.__version__,
        "micro_ct": {
            "source": str(sources.micro_ct),
            "sha256": _hash(sources.micro_ct),
            "shape": list(grid.shape),
            "spacing_mm": [float(s) for s in grid.spacing],
        },
        "missing": list(sources.missing),
        "fields_of_view": dict(views),
        "sequences": {name: sequences[name] for name in sources.clinical},
        "warnings": [warning for view in views.values() for warning in view.pop("warnings")],
        "definitions": {
            "dice, hd95_mm, hd_mm": "bone masks (above 200 HU, closed by 1 mm, filled, no specks) on the micro-CT's "
            "grid; border voxels by faces, the larger of the two directed percentiles",
            "candidates": "Dice of what is above 200 HU, on the micro-CT reduced for registration",
            "micro_from_clinical": "RAS+ mm, world of the source's header to world of the micro-CT",
        },
    }


def line(record: Record) -> str:
    """One line: how many sequences, and how well each field of view fits."""
    views = record["fields_of_view"]
    fits = [
        f"{name} {view['flip']} Dice {record['sequences'][view['registered_on']]['dice']:.3f} "
        f"HD95 {record['sequences'][view['registered_on']]['hd95_mm']:.2f} mm"
        for name, view in views.items()
    ]
    there, missing = len(record["sequences"]), record["missing"]
    said = [f"{record['sample']}  {there} sequences", *fits]
    said += [f"missing: {', '.join(missing)}"] if missing else []
    return "\n".join(["  ".join(said), *(f"  look: {warning}" for warning in record["warnings"])])


def _hash(path: Path) -> str:
    return sha256_of_folder(path) if path.is_dir() else sha256(path)
