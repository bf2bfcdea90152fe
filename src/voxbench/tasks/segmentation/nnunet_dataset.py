"""Data in the raw layout of nnU-Net v2, and the file that leads back from it to the data they were made from.

``DatasetXXX_NAME/`` holds ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, ``imagesTs/CASE_0000.nii.gz``,
``dataset.json``, ``splits_final.json`` (folds that keep patients together; nnU-Net looks for it among its preprocessed
files) and ``voxbench.json`` (the mapping back). Classes are 0 background, 1, 2, ... and last, where cases are labelled
in part, ``ignore``. nnU-Net is told to turn every image to RAS and its predictions back.

References:
    F. Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation, Nature
    Methods 18:203-211, 2021, doi:10.1038/s41592-020-01008-z.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.io import read_json, write_json, write_labels, write_volume
from voxbench.io.folders import new_data_set
from voxbench.tasks.segmentation.folds import Fold, make_folds
from voxbench.types import AnyArray

ENDING = ".nii.gz"
MAPPING, DATASET, SPLITS = "voxbench.json", "dataset.json", "splits_final.json"
MARKS = (DATASET, MAPPING)
FOLDER = re.compile(r"Dataset(\d{3})_(.+)")
WHAT = "a data set that voxbench exported for nnU-Net"
Layout = Literal["spider", "lnq2023", "folder"]


@dataclass(frozen=True)
class RawCase:
    """One case.

    Attributes:
        name: Its name, also for nnU-Net.
        patient: Cases of one patient stay together.
        image: Where it is read from.
        labels: Likewise; None if there are none.
        training: Whether it is learned from (``imagesTr``), or only predicted (``imagesTs``).
        partial: Whether only a part of what there is has been labelled.
    """

    name: str
    patient: str
    image: Path
    labels: Path | None
    training: bool
    partial: bool = False


@dataclass(frozen=True)
class RawSource:
    """Cases, and how they are read.

    Attributes:
        layout: What they were laid out as.
        data: The folder they are in.
        channel: nnU-Net's name of the one channel; ``CT`` decides how it normalises.
        classes: Names of the classes from 1.
        cases: All of them.
        read: Image of a case and, on its grid, classes (``len(classes) + 1`` where nobody said), None without labels.
        ids: What the classes were in the data, where they were other numbers.
        ending: What follows a case's name in the file of a prediction.
    """

    layout: Layout
    data: Path
    channel: str
    classes: tuple[str, ...]
    cases: tuple[RawCase, ...]
    read: Callable[[RawCase], tuple[Volume, AnyArray | None]]
    ids: Mapping[int, int] = field(default_factory=dict)
    ending: str = ".mha"


class RawNaming(Config):
    """What the data set is called, and how it is parted."""

    number: int = Field(default=501, ge=1, le=999, description="nnU-Net's number of the data set.")
    name: str = Field(default="voxbench", pattern=r"^[A-Za-z0-9_\-]+$", description="Its name.")
    folds: int = Field(default=5, ge=2, description="How many folds; patients are never split.")
    seed: int = Field(default=0, ge=0, description="Which deal of patients to folds.")

    @property
    def folder(self) -> str:
        """``DatasetXXX_NAME``."""
        return f"Dataset{self.number:03d}_{self.name}"


@dataclass(frozen=True)
class RawDataset:
    """An exported data set, as its mapping tells.

    Attributes:
        folder: ``.../DatasetXXX_NAME``.
        number: XXX.
        layout: What the data were laid out as.
        ending: What follows a case's name in the file of a prediction.
        ids: What the classes were in the data.
        images: Of every case the image it was made from.
        held_out: Names of the cases in ``imagesTs``.
        folds: As in ``splits_final.json``.
    """

    folder: Path
    number: int
    layout: Layout
    ending: str
    ids: Mapping[int, int]
    images: Mapping[str, Path]
    held_out: tuple[str, ...]
    folds: tuple[Fold, ...]


def write_raw(
    out: Path,
    source: RawSource,
    naming: RawNaming,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a data set; its folder appears when it is complete, or not at all.

    Args:
        out: nnU-Net's folder ``nnUNet_raw``; other data sets in it stay.
        source: The cases.
        naming: What it is called.
        force: Replace a data set of this name that was exported before.
        tell: Told of each case.

    Returns:
        The folder, ``out/DatasetXXX_NAME``.

    Raises:
        InputError: There is nothing to learn from, fewer patients than folds, or a case cannot be used.
        FileWriteError: Something else is there or has the number, or the folder cannot be written.
    """
    learned = [case for case in source.cases if case.training]
    if not learned:
        raise InputError(f"{source.data}: no case with labels to learn from")
    folds = make_folds({case.name: case.patient for case in learned}, naming.folds, naming.seed)
    folder = out / naming.folder
    taken = [path for path in out.glob(f"Dataset{naming.number:03d}_*") if path != folder] if out.is_dir() else []
    if taken:
        raise FileWriteError(f"{taken[0]}: has the number {naming.number} already; give another one with --number")
    with new_data_set(folder, MARKS, force, WHAT) as place:
        for name in ("imagesTr", "labelsTr", "imagesTs"):
            (place / name).mkdir()
        for case in source.cases:
            tell(_write_case(place, case, source))
        write_json(place / DATASET, _description(source, naming, len(learned)))
        write_json(place / SPLITS, [{"train": fold.training, "val": fold.validation} for fold in folds])
        write_json(place / MAPPING, _mapping(source, naming))
    return folder


def _write_case(place: Path, case: RawCase, source: RawSource) -> str:
    """Its files; a line for eyes."""
    image, classes = source.read(case)
    image.require_usable(str(case.image))
    write_volume(place / ("imagesTr" if case.training else "imagesTs") / f"{case.name}_0000{ENDING}", image)
    if not case.training:
        return f"{case.name}  imagesTs"
    if classes is None:
        raise InputError(f"{case.name}: nothing to learn from: no labels for {case.image}")
    write_labels(place / "labelsTr" / f"{case.name}{ENDING}", LabelMap(classes, image.grid))
    shares = np.bincount(classes.ravel(), minlength=2) / classes.size
    ignored = f", {shares[-1]:.0%} ignored" if case.partial and len(shares) > len(source.classes) + 1 else ""
    return f"{case.name}  imagesTr, {1 - shares[0] - (shares[-1] if ignored else 0):.2%} labelled{ignored}"


def _description(source: RawSource, naming: RawNaming, count: int) -> dict[str, Any]:
    """Content of dataset.json."""
    names = ["background", *source.classes]
    if any(case.partial and case.training for case in source.cases):
        names.append("ignore")
    return {
        "channel_names": {"0": source.channel},
        "labels": {name: number for number, name in enumerate(names)},
        "numTraining": count,
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
        "name": naming.name,
        "description": f"{source.layout}, exported by voxbench; {MAPPING} leads back to the data",
    }


def _mapping(source: RawSource, naming: RawNaming) -> dict[str, Any]:
    root = source.data.resolve()
    cases = {
        case.name: {
            "image": _within(case.image, root),
            "labels": None if case.labels is None else _within(case.labels, root),
            "patient": case.patient,
            "training": case.training,
            "partial": case.partial,
        }
        for case in source.cases
    }
    return {
        "exported": "voxbench export nnunet",
        "layout": source.layout,
        "data": str(root),
        "prediction": "{case}" + source.ending,
        "ids": {str(number): int(label) for number, label in source.ids.items()},
        "settings": naming.model_dump(mode="json"),
        "cases": cases,
    }


def _within(path: Path, root: Path) -> str:
    """Below the data's folder where it is there, so that data may be moved."""
    path = path.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def read_exported(folder: Path, data: Path | None = None) -> RawDataset:
    """What `write_raw` wrote.

    Args:
        folder: ``.../DatasetXXX_NAME``.
        data: Where the data are now; None: where they were.

    Raises:
        FileReadError: It is no such folder, or its files are of another form.
    """
    name = FOLDER.fullmatch(folder.name)
    if name is None or not all((folder / mark).is_file() for mark in MARKS):
        raise FileReadError(
            f"{folder}: not a data set that voxbench exported for nnU-Net\n"
            f"  expected  DatasetXXX_NAME holding {DATASET} and {MAPPING}; make one with voxbench export nnunet"
        )
    content, splits = read_json(folder / MAPPING), read_json(folder / SPLITS)
    try:
        root = Path(content["data"]) if data is None else data
        cases: dict[str, Any] = content["cases"]
        odd = [case for case in cases if case != Path(case).name or case in {"", ".", ".."}]
        if odd:
            raise FileReadError(f"{folder / MAPPING}: not a case's name: {odd[0]!r}")
        return RawDataset(
            folder,
            int(name[1]),
            content["layout"],
            content["prediction"].removeprefix("{case}"),
            {int(number): int(label) for number, label in content["ids"].items()},
            {case: root / about["image"] for case, about in cases.items()},
            tuple(case for case, about in cases.items() if not about["training"]),
            tuple(Fold(tuple(fold["train"]), tuple(fold["val"])) for fold in splits),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileReadError(f"{folder / MAPPING}: not as voxbench wrote it: {error!r}") from error
