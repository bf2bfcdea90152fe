"""SPIDER for nnU-Net: vertebra, disc and canal as classes, and predicted classes as numbered structures again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from voxbench.challenges.spider.dataset import Series, read_dataset
from voxbench.challenges.spider.splits import official_split
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.geometry.spine_labels import CANAL_CLASS, classes_of
from voxbench.io import read_volume
from voxbench.tasks.instances.components import instances_of_classes
from voxbench.tasks.segmentation.nnunet_dataset import RawCase, RawSource
from voxbench.types import AnyArray

CLASSES = ("vertebra", "disc", "canal")
Subset = Literal["official", "all"]


def raw_source(data: Path, subset: Subset = "official") -> RawSource:
    """Its series. Numbers of vertebrae and discs are given up: nnU-Net learns the three classes.

    Args:
        data: Folder holding images/, masks/ and overview.csv.
        subset: ``official`` learns from the series that overview.csv calls training, and predicts the others;
            ``all`` learns from every series with a mask.

    Raises:
        FileReadError: There are no series, or one to be learned from has no mask.
        InputError: The subsets are not told.
    """
    dataset = read_dataset(data)
    if subset == "official":
        train = set(official_split(dataset).train)
    else:
        train = {series.name for series in dataset.series if series.mask is not None}
    bare = [series.name for series in dataset.series if series.name in train and series.mask is None]
    if bare:
        raise FileReadError(f"{data}: no label map in masks/ for {', '.join(bare[:10])}")
    cases = tuple(RawCase(one.name, str(one.patient), one.image, one.mask, one.name in train) for one in dataset.series)
    return RawSource("spider", data, "MR", CLASSES, cases, _read)


def _read(case: RawCase) -> tuple[Volume, AnyArray | None]:
    image = read_volume(case.image)
    if not case.training:
        return image, None
    return image, classes_of(Series(case.name, case.image, case.labels).read_mask(image).array)


def numbered_prediction(classes: LabelMap) -> LabelMap:
    """Classes as SPIDER's numbers; see `instances_of_classes` for what is done, and what is not.

    Raises:
        InputError: There are other values than the four classes.
    """
    wrong = [number for number in classes.ids if not 0 < number <= CANAL_CLASS]
    if wrong:
        raise InputError(f"class {wrong[0]}; expected are 0 to {CANAL_CLASS} (background, {', '.join(CLASSES)})")
    return instances_of_classes(classes)
