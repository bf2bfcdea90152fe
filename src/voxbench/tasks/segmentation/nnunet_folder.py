"""Any folder of images with any folder of label maps, for nnU-Net."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, InputError, UsageError
from voxbench.geometry import LabelMap, Volume, require_same_grid
from voxbench.io import read_labels, read_volume
from voxbench.io.folders import files_by_case
from voxbench.tasks.segmentation.nnunet_dataset import RawCase, RawSource
from voxbench.types import AnyArray


@dataclass(frozen=True)
class Pairs:
    """Two folders.

    Attributes:
        images: Holds CASE.nii.gz (or another format).
        labels: Holds label maps of the same names.
        channel: What the images are, e.g. ``CT`` or ``MR``.
        patient: Its first group, found in a case's name, is the patient; None: every case is a patient.
        ignore: The id of voxels of which nobody said anything; None: there is none.
    """

    images: Path
    labels: Path
    channel: str
    patient: re.Pattern[str] | None = None
    ignore: int | None = None


def folder_source(pairs: Pairs) -> RawSource:
    """Cases by file name; images without labels are for prediction. Ids become classes in ascending order.

    Raises:
        FileReadError: A folder is missing or holds no image, a case is there twice, or labels belong to no image.
        InputError: There are no labels at all.
        UsageError: The pattern for patients fits a name not at all.
    """
    images, labels = (files_by_case(folder) for folder in (pairs.images, pairs.labels))
    lost = sorted(set(labels) - set(images))
    if lost:
        raise FileReadError(f"{labels[lost[0]]}: no image of this name in {pairs.images}")
    ids: set[int] = set()
    names: dict[int, str] = {}
    for path in labels.values():
        found = read_labels(path)
        ids |= set(found.ids)
        names |= {label: name for label, name in found.names.items() if label not in names}
    ids.discard(pairs.ignore if pairs.ignore is not None else 0)
    if not ids:
        raise InputError(f"{pairs.labels}: no label but background in {len(labels)} files")
    classes = {label: number for number, label in enumerate(sorted(ids), start=1)}
    cases = tuple(
        RawCase(case, _patient(case, pairs.patient), image, labels.get(case), case in labels, pairs.ignore is not None)
        for case, image in images.items()
    )

    def read(case: RawCase) -> tuple[Volume, AnyArray | None]:
        image = read_volume(case.image)
        return image, None if case.labels is None else _classes(case.labels, image, classes, pairs.ignore)

    known = _unlike(tuple(names.get(label) or f"label_{label}" for label in classes))
    back = {number: label for label, number in classes.items()}
    return RawSource("folder", pairs.images, pairs.channel, known, cases, read, back, ".nii.gz")


def _patient(case: str, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return case
    found = pattern.search(case)
    if found is None or not found.groups() or found[1] is None:
        raise UsageError(f"--patient: {pattern.pattern} finds no patient in {case}; give a pattern with one group")
    return found[1]


def _classes(path: Path, image: Volume, classes: dict[int, int], ignore: int | None) -> AnyArray:
    labels: LabelMap = read_labels(path)
    try:
        require_same_grid(image.grid, labels.grid, ("image", "labels"))
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    table = classes if ignore is None else {**classes, ignore: len(classes) + 1}
    present, index = np.unique(labels.array, return_inverse=True)
    return np.array([table.get(int(label), 0) for label in present], np.uint8)[index].reshape(labels.array.shape)


def _unlike(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names are keys for nnU-Net, and two of them are its own."""
    taken = {"background", "ignore"}
    unlike = []
    for number, name in enumerate(names, start=1):
        unlike.append(name if name not in taken else f"{name}_{number}")
        taken.add(unlike[-1])
    return tuple(unlike)


def original_ids(classes: LabelMap, ids: dict[int, int]) -> LabelMap:
    """A prediction with the ids the data had.

    Raises:
        InputError: It holds a class that was never exported.
    """
    wrong = [number for number in classes.ids if number not in ids]
    if wrong:
        raise InputError(f"class {wrong[0]} was not exported; known are {', '.join(map(str, sorted(ids)))}")
    table = np.zeros(max(ids) + 1, np.int64)
    for number, label in ids.items():
        table[number] = label
    return LabelMap(table[classes.array], classes.grid)
