"""Results under the names of BIDS derivatives: label maps, warped images, displacements.

Label maps become ``sub-X/anat/sub-X_..._seg-NAME_dseg.nii.gz`` with a table of their labels, warped images
``..._space-fixed_desc-warped_SUFFIX.nii.gz``, displacements ``..._from-moving_to-fixed_mode-image_xfm.nii.gz`` in ITK's
form. The names of transforms are those of a proposal (BEP 014) that programs follow but the standard does not hold yet.

References:
    K. J. Gorgolewski et al., The brain imaging data structure, a format for organizing and describing outputs of
    neuroimaging experiments, Scientific Data 3:160044, 2016, doi:10.1038/sdata.2016.44; version 1.10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError, UsageError
from voxbench.geometry import Grid, LabelMap
from voxbench.io.displacements import read_displacement, write_displacement
from voxbench.io.folders import files_by_case, new_data_set
from voxbench.io.label_names import LabelNames, hex_colour
from voxbench.io.read import read_labels, read_volume, write_labels, write_volume
from voxbench.io.segments import segment_colour
from voxbench.io.tables import write_json, write_table

Kind = Literal["labels", "image", "displacement"]
BIDS_VERSION = "1.10.0"
DESCRIPTION, MAPPING = "dataset_description.json", "code/voxbench.tsv"
MARKS = (DESCRIPTION, MAPPING)
WHAT = "BIDS derivatives that voxbench exported"
REGISTERED: dict[str, tuple[Kind, str]] = {
    "displacement.nii.gz": ("displacement", "from-moving_to-fixed_mode-image"),
    "inverse_displacement.nii.gz": ("displacement", "from-fixed_to-moving_mode-image"),
    "warped.nii.gz": ("image", "space-fixed_desc-warped"),
    "warped_labels.nii.gz": ("labels", "space-fixed"),
}
"""What ``voxbench register`` leaves, and which entities it gets."""
PAIR = re.compile(r"disp_(\w+?)_(\w+?)\.nii\.gz")
SPIDER = re.compile(r"(\d+)_(t1|t2|t2_SPACE)")
LNQ = re.compile(r"lnq2023-(?:train|val|test)-(\d{4})")
ENTITIES = re.compile(r"sub-[A-Za-z0-9]+(_[a-z]+-[A-Za-z0-9]+)*")


class BidsExport(Config):
    """What the data set says of itself, and what names cannot tell."""

    name: str = Field(default="voxbench results", min_length=1, description="Of the data set.")
    segmentation: str = Field(default="voxbench", pattern=r"^[A-Za-z0-9]+$", description="seg- of label maps.")
    suffix: str = Field(default="T1w", pattern=r"^[A-Za-z0-9]+$", description="Of warped images: T1w, T2w, ...")
    subject: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9]+$", description="sub- of a registration; None: the folder's name."
    )
    source: str | None = Field(default=None, description="URL of the data set that the results were made from.")


@dataclass(frozen=True)
class Result:
    """One file.

    Attributes:
        path: Where it is.
        kind: What it is.
        name: ``sub-X`` and the entities that follow.
        about: More for its JSON.
    """

    path: Path
    kind: Kind
    name: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def target(self, settings: BidsExport) -> str:
        """Where it goes, below the data set."""
        end = {
            "labels": f"seg-{settings.segmentation}_dseg",
            "image": settings.suffix,
            "displacement": "xfm",
        }[self.kind]
        return f"{self.name.split('_')[0]}/anat/{self.name}_{end}.nii.gz"


def results_in(folder: Path, settings: BidsExport) -> tuple[Result, ...]:
    """The results of a folder: of a registration, fields named disp_FIXED_MOVING, or label maps.

    Raises:
        FileReadError: There are none.
        UsageError: The folder's name makes no subject, and none was given.
        InputError: Two files would get one name.
    """
    if (folder / "displacement.nii.gz").is_file():
        found = _registration(folder, settings)
    else:
        found = [_one(path, case) for case, path in files_by_case(folder).items()]
    targets: dict[str, Path] = {}
    for result in found:
        target = result.target(settings)
        if target in targets:
            raise InputError(f"{target}: two results would be called so\n  {targets[target]}\n  {result.path}")
        targets[target] = result.path
    return tuple(found)


def _registration(folder: Path, settings: BidsExport) -> list[Result]:
    subject = settings.subject or _plain(folder.resolve().name)
    if not subject:
        raise UsageError(f"--subject: {folder} has no letter or digit in its name; say which subject it is")
    return [
        Result(folder / file, kind, f"sub-{subject}_{entities}", _place(entities))
        for file, (kind, entities) in REGISTERED.items()
        if (folder / file).is_file()
    ]


def _place(entities: str) -> dict[str, Any]:
    return {"SpatialReference": "the fixed image of the registration"} if entities.startswith("space-fixed") else {}


def _one(path: Path, case: str) -> Result:
    """By its name."""
    pair = PAIR.fullmatch(path.name)
    if pair is not None:
        fixed, moving = (_plain(part) for part in pair.groups())
        name = f"sub-{fixed}_from-{moving}_to-{fixed}_mode-image"
        return Result(path, "displacement", name)
    return Result(path, "labels", _subject(path, case))


def _subject(path: Path, case: str) -> str:
    """``sub-X`` and, for SPIDER's series, which one; names that are BIDS already keep their entities."""
    stem = re.sub(r"[-_](d?seg|labels?|pred)$", "", case)
    if (series := SPIDER.fullmatch(stem)) is not None:
        return f"sub-{series[1]}_acq-{_plain(series[2])}"
    if (number := LNQ.fullmatch(stem)) is not None:
        return f"sub-{number[1]}"
    if ENTITIES.fullmatch(stem):
        return stem
    if not _plain(stem):
        raise InputError(f"{path}: no letter or digit in its name to make a subject of")
    return f"sub-{_plain(stem)}"


def _plain(name: str) -> str:
    """BIDS takes letters and digits only."""
    return re.sub(r"[^A-Za-z0-9]", "", name)


@dataclass(frozen=True)
class Meaning:
    """What files do not say themselves.

    Attributes:
        names: Of labels; None: those the files have.
        moving: Grid of the moving image, for displacements in voxels of another grid.
    """

    names: LabelNames | None = None
    moving: Grid | None = None


def write_bids(
    out: Path,
    results: Sequence[Result],
    settings: BidsExport,
    meaning: Meaning | None = None,
    *,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a data set of derivatives; its folder appears when it is complete, or not at all.

    Args:
        out: The folder.
        results: What goes in.
        settings: What it says of itself.
        meaning: What files do not say themselves.
        force: Replace such a data set that is there.
        tell: Told of each file.

    Raises:
        InputError: A file cannot be read as what it should be.
        FileWriteError: Something else is there, or the folder cannot be written.
    """
    meaning = meaning or Meaning()
    with new_data_set(out, MARKS, force, WHAT) as place:
        (place / "code").mkdir()
        for result in results:
            target = place / result.target(settings)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_json(target.with_name(target.name.replace(".nii.gz", ".json")), _write(target, result, meaning))
            tell(f"{result.path.name}  ->  {result.target(settings)}")
        write_table(place / MAPPING, [{"file": r.target(settings), "from": r.path.name} for r in results])
        write_json(place / DESCRIPTION, _description(settings))
        (place / "README").write_text(f"{settings.name}\n\nBIDS derivatives, exported by voxbench.\n", encoding="utf-8")


def _write(target: Path, result: Result, meaning: Meaning) -> dict[str, Any]:
    """One image; the content of its JSON."""
    if result.kind == "displacement":
        write_displacement(target, read_displacement(result.path, moving=meaning.moving), convention="itk")
        return {"Description": "Displacements in mm, LPS, on the grid of the fixed image, pulling back", **result.about}
    if result.kind == "image":
        write_volume(target, read_volume(result.path))
        return {"SkullStripped": False, **result.about}
    labels = read_labels(result.path)
    write_labels(target, labels)
    write_table(target.with_name(target.name.replace(".nii.gz", ".tsv")), _rows(labels, meaning.names))
    return {"Manual": False, **result.about}


def _rows(labels: LabelMap, known: LabelNames | None) -> list[dict[str, object]]:
    """The table beside a label map: what is there, and what is named."""
    names = dict(labels.names) if known is None else dict(known.names)
    colours = {} if known is None else known.colours
    ids = sorted({*labels.ids, *(label for label in names if known is None)} - {0})
    return [
        {
            "index": label,
            "name": names.get(label, f"label {label}"),
            "color": hex_colour(colours.get(label, segment_colour(number))),
        }
        for number, label in enumerate(ids)
    ]


def _description(settings: BidsExport) -> dict[str, Any]:
    """Content of dataset_description.json."""
    sources = [] if settings.source is None else [{"URL": settings.source}]
    return {
        "Name": settings.name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "voxbench", "Version": version("voxbench")}],
        "SourceDatasets": sources,
    }
