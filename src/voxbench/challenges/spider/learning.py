"""SPIDER's series as something to learn from (torch): classes, and the way to the centre of each vertebra and disc."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar

import numpy as np
from pydantic import Field

from voxbench.challenges.spider.dataset import Dataset, Series, read_dataset
from voxbench.challenges.spider.splits import Split, official_split, patient_folds
from voxbench.config import Config
from voxbench.errors import EmptyShapeError, FileReadError, UsageError
from voxbench.geometry import LabelMap, Volume
from voxbench.geometry.spine_labels import DISC_CLASS, VERTEBRA_CLASS, classes_of
from voxbench.io import read_grid, sha256
from voxbench.simulate.contrasts import random_contrast
from voxbench.tasks.instances import centres_of, offsets_to
from voxbench.tasks.segmentation import Augmentation, Drawing, Normalisation, Plan, Reading, Sample, make_plan, prepared
from voxbench.tasks.segmentation.fingerprint import of_grids
from voxbench.tasks.segmentation.learning import Course, Learning, segmentation_lesson
from voxbench.tasks.segmentation.plan import Preset
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson
from voxbench.types import AnyArray

CLASSES = 4
P = TypeVar("P")
UNIT_MM = 10.0
"""Offsets are learned in units of this, so that they are of the size of what else is learned."""


class AnyLearning(Config):
    """From which series is learned, whatever the method."""

    fold: int | None = Field(default=None, ge=0, le=4, description="Of five by patient; None: the official subsets.")
    made: float = Field(default=0.0, ge=0, le=1, description="Share of patches whose image is made from labels.")


class SpiderLearning(AnyLearning):
    """What is learned from which series."""

    method: Literal["centres"] = Field(default="centres", description="centres: one pass, classes and offsets.")
    preset: Preset = Field(default="laptop", description="laptop: two processor cores; standard: a GPU.")


@dataclass(frozen=True)
class Prepared(Generic[P]):
    """What is settled before anything is learned.

    Attributes:
        dataset: All series.
        split: Which are learned from, which validated on.
        plan: What is trained.
    """

    dataset: Dataset
    split: Split
    plan: P


def settle(data: Path, config: SpiderLearning, plan: Plan | None = None) -> Prepared[Plan]:
    """Find the series, part them by patient and plan.

    Args:
        data: Folder holding images/, masks/ and overview.csv (which is needed for the official subsets).
        config: What is learned.
        plan: To use instead of one made from the data.

    Raises:
        FileReadError: There are no series, or one has no label map.
        InputError: The subsets are not told, or there are fewer than five patients for folds.
        UsageError: The plan is not one for classes and offsets of a spine.
    """
    dataset, split = find(data, config.fold)
    if plan is None:
        grids = [read_grid(series.image) for series in dataset.named(split.train)]
        made = make_plan(of_grids(grids, Normalisation(modality="mr"), CLASSES), preset=config.preset)
        plan = made.model_copy(update={"maps": 3, "mirror": (0,)})  # a spine upside down has no lowest vertebra
    if (plan.classes, plan.maps) != (CLASSES, 3):
        raise UsageError(
            f"the plan has {plan.classes} classes and {plan.maps} maps\n  needed are {CLASSES} (background, vertebra, "
            "disc, canal) and 3 (offsets)"
        )
    return Prepared(dataset, split, plan)


def find(data: Path, fold: int | None) -> tuple[Dataset, Split]:
    """The series, all with label maps, parted by patient.

    Args:
        data: See `settle`.
        fold: Of five by patient; None: the official subsets.

    Raises:
        FileReadError: There are no series, or one has no label map.
        InputError: The subsets are not told, or there are fewer than five patients for folds.
    """
    dataset = read_dataset(data)
    bare = [series.name for series in dataset.series if series.mask is None]
    if bare:
        more = f" and {len(bare) - 10} more" if len(bare) > 10 else ""
        raise FileReadError(f"{data}: no label map in masks/ for {', '.join(bare[:10])}{more}")
    split = official_split(dataset) if fold is None else patient_folds(dataset.series)[fold]
    if not split.train:
        raise FileReadError(f"{data}: no series to learn from")
    return dataset, split


def lesson(
    given: Prepared[Plan],
    config: SpiderLearning,
    training: TrainingConfig,
    cache: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Lesson:
    """What is learned; series are brought to the working grid and kept in the cache, where they are not yet there.

    Raises:
        InputError: A series cannot be used (named).
        EmptyShapeError: No label map holds a structure.
    """
    samples = samples_of((given.dataset, given.split.train, given.plan), cache, tell)
    held_out = samples_of((given.dataset, given.split.validation, given.plan), cache, tell)
    if not any(np.any(sample.labels) for sample in samples):
        raise EmptyShapeError(f"{given.dataset.root}: the label maps of all {len(samples)} training series are empty")
    drawing = Drawing(
        training.foreground,
        Augmentation() if training.augment else Augmentation(turn=0, mirror=0, noise=0, blur=0, gamma=0, contrast=0),
        training.seed,
        rendered_patch if config.made > 0 else None,
        config.made,
        offset_maps,
    )
    files = [path for one in given.dataset.named(given.split.train) for path in (one.image, one.mask) if path]
    about = {
        "challenge": "spider",
        "offsets_unit_mm": UNIT_MM,
        **config.model_dump(mode="json"),
        "data": {str(path.relative_to(given.dataset.root)): sha256(path) for path in files},
    }
    return segmentation_lesson(Course(samples, held_out, given.plan, Learning(), drawing, about))


def offset_maps(ids: AnyArray, points: dict[int, AnyArray], spacing: tuple[float, float, float]) -> AnyArray:
    """Offsets to the centres in units of `UNIT_MM`, (3, i, j, k); NaN where there is no vertebra or disc."""
    offsets = offsets_to(ids, points, spacing) / np.float32(UNIT_MM)
    there = np.isin(classes_of(ids), (VERTEBRA_CLASS, DISC_CLASS)) & np.isin(ids, list(points))
    return np.where(there, offsets, np.float32(np.nan))


def rendered_patch(ids: AnyArray, spacing: tuple[float, float, float], rng: np.random.Generator) -> AnyArray:
    """An image of a contrast drawn at random, normalised as real ones are; slices lie across left and right."""
    return Normalisation(modality="mr")(random_contrast(ids, spacing, rng, slice_axis=0))


def reading() -> Reading:
    """How SPIDER's label maps are understood."""
    return Reading("spider 1", classes_of, points=lambda ids, spacing: centres_of(ids, spacing))


def samples_of(
    which: tuple[Dataset, Sequence[str], Plan], cache: Path, tell: Callable[[str], None]
) -> tuple[Sample, ...]:
    """Series on the working grid, telling of the kinds that are drawn (`told_of`).

    Args:
        which: The data set, the names of some of its series, and the plan that decides the grid.
        cache: Folder they are kept in.
        tell: Told of every series that was not there yet.

    Raises:
        InputError: A series cannot be used (named).
    """
    dataset, names, plan = which
    made = []
    for number, series in enumerate(dataset.named(names), 1):
        assert series.mask is not None
        content = f"{sha256(series.image)} {sha256(series.mask)}"
        load = _Load(series)
        made.append(prepared(series.name, load, plan, (cache, content), reading()))
        if load.called:
            tell(f"{series.name} on the working grid, {number} of {len(names)}")
    return told_of(made)


def told_of(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples that tell of the kinds of structures their labels hold; if there is no disc, say, none was drawn.

    What a sample does not tell of may be anything where it says background (`voxbench.models.partial`). A kind that no
    sample holds is told of by all: it is nowhere.
    """
    there = [set(np.unique(sample.labels).tolist()) for sample in samples]
    drawn = set().union(*there)
    return tuple(
        replace(sample, annotated=tuple(label == 0 or label in own or label not in drawn for label in range(CLASSES)))
        for sample, own in zip(samples, there, strict=True)
    )


class _Load:
    """Reads a series when it is called for."""

    def __init__(self, series: Series) -> None:
        self.series, self.called = series, False

    def __call__(self) -> tuple[Volume, LabelMap]:
        self.called = True
        image = self.series.read_image()
        return image, self.series.read_mask(image)
