"""SPIDER's series as something to learn one vertebra at a time from, and what comes of it (torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from voxbench.challenges.spider.learning import AnyLearning, Prepared, find, rendered_patch, samples_of, told_of
from voxbench.errors import FileReadError
from voxbench.geometry import LabelMap, Volume
from voxbench.geometry.spine_labels import CANAL_CLASS, DISC_CLASS, VERTEBRA_CLASS
from voxbench.io import sha256
from voxbench.tasks.instances import PRESETS, IisConfig, label_map, traverse
from voxbench.tasks.instances.iterative import grey
from voxbench.tasks.instances.iterative_config import IisPreset
from voxbench.tasks.instances.iterative_learning import IisCourse, IisNetworkFile, iis_lesson
from voxbench.tasks.instances.iterative_patches import Making, Spine
from voxbench.tasks.segmentation import Frame, Normalisation, Plan, Sample
from voxbench.tasks.segmentation.frame import along, places
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson
from voxbench.types import AnyArray


class IisLearning(AnyLearning):
    """What is learned from which series."""

    method: Literal["iis"] = Field(default="iis", description="iis: iterative instance segmentation.")
    preset: IisPreset = Field(default="laptop", description="laptop: two processor cores; paper: as published.")


def settle_iis(data: Path, config: IisLearning, plan: IisConfig | None = None) -> Prepared[IisConfig]:
    """Find the series and part them by patient.

    Args:
        data: As for `voxbench.challenges.spider.learning.settle`.
        config: What is learned.
        plan: Settings to use instead of the preset's.

    Raises:
        FileReadError: There are no series, or one has no label map.
        InputError: The subsets are not told, or there are fewer than five patients for folds.
    """
    dataset, split = find(data, config.fold)
    return Prepared(dataset, split, PRESETS[config.preset] if plan is None else plan)


def lesson_of_iis(
    given: Prepared[IisConfig],
    config: IisLearning,
    training: TrainingConfig,
    cache: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Lesson:
    """What is learned; series are brought to the working grid and kept in the cache, where they are not yet there.

    Series without vertebrae cannot be followed and are left out, which is told.

    Raises:
        FileReadError: No series has vertebrae.
        InputError: A series cannot be used (named).
    """
    working = _grid_only(given.plan)
    samples = samples_of((given.dataset, given.split.train, working), cache, tell)
    held_out = samples_of((given.dataset, given.split.validation, working), cache, tell)
    bare = [sample.name for sample in samples if not _has_vertebrae(sample)]
    if bare:
        tell(f"left out, for no vertebrae are drawn: {', '.join(bare)}")
    spines = _spines(samples)
    if not spines:
        raise FileReadError(f"{given.dataset.root}: no series to learn from has vertebrae; iis follows them")
    settings = given.plan
    if not training.augment:
        settings = settings.model_copy(update={"elastic": 0.0, "noise": 0.0, "blur": 0.0, "crop": 0.0, "mirror": 0.0})
    learned = [spine.name for spine in spines]
    files = [path for one in given.dataset.named(learned) for path in (one.image, one.mask) if path]
    about = {
        "challenge": "spider",
        **config.model_dump(mode="json"),
        "drawn": {spine.name: list(spine.told) for spine in spines if not all(spine.told)},
        "data": {str(path.relative_to(given.dataset.root)): sha256(path) for path in files},
    }
    making = Making(rendered_patch if config.made > 0 else None, config.made)
    return iis_lesson(IisCourse(spines, _spines(held_out), settings, making, training.seed, about))


def iis_labels(network: IisNetworkFile, volume: Volume) -> LabelMap:
    """Numbered vertebrae, the discs below them and the canal at the image's own voxels.

    They are found on the working grid; their probabilities are brought to the image's voxels linearly.
    """
    volume.require_usable("the image")
    settings = network.settings
    frame = Frame.of(volume.grid, settings.spacing)
    image = grey(_grid_only(settings).normalisation(frame.bring(volume)))
    way = traverse(image, frame.spacing, network.look, settings)
    out = np.zeros(volume.grid.shape, np.uint8)
    enlarge = _Enlarge(frame.shape, frame.ordered_shape)
    frame.ordered(out)[...] = label_map(way, frame.ordered_shape, mark_partial=settings.mark_partial, enlarge=enlarge)
    return LabelMap(out, volume.grid)


class _Enlarge:
    """From boxes of the working grid to the voxels of the image, linearly."""

    def __init__(self, working: tuple[int, int, int], wanted: tuple[int, int, int]) -> None:
        self.at = [places(n, m) for n, m in zip(working, wanted, strict=True)]

    def __call__(self, values: AnyArray, low: tuple[int, int, int]) -> tuple[AnyArray, tuple[slice, ...]]:
        padded = np.pad(np.asarray(values, np.float32), 1)  # beyond a box there is nothing
        where, at = [], []
        for axis, lines in enumerate(self.at):
            # At the first and last voxels of the image the structure goes on as it is there.
            first, last = np.searchsorted(lines, (low[axis] - 1, low[axis] + values.shape[axis]))
            where.append(slice(int(first), int(last)))
            at.append(np.clip(lines[first:last] - low[axis] + 1, 0, padded.shape[axis] - 1))
        return along(padded, at), tuple(where)


def _grid_only(settings: IisConfig) -> Plan:
    """A plan that says on which grid and with which grey values series are kept; nothing is made of the rest."""
    return Plan(
        spacing=settings.spacing,
        patch=settings.patch,
        features=(settings.width,),
        kernels=((3, 3, 3),),
        strides=((1, 1, 1),),
        blocks=(1,),
        normalisation=Normalisation(modality="mr"),
        classes=4,
    )


def _has_vertebrae(sample: Sample) -> bool:
    return bool((np.asarray(sample.labels) == VERTEBRA_CLASS).any())


def _spines(samples: Sequence[Sample]) -> tuple[Spine, ...]:
    """Series with vertebrae; what only the others draw is nowhere."""
    spines = []
    for sample in told_of([sample for sample in samples if _has_vertebrae(sample)]):
        told = sample.annotated or (True,) * 4
        kinds = (told[VERTEBRA_CLASS], told[DISC_CLASS], told[CANAL_CLASS])
        spines.append(Spine(sample.name, sample.ids, sample.image, sample.spacing, kinds))
    return tuple(spines)
