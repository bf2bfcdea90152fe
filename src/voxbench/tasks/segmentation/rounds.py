"""Self-training (torch): what a network is sure of becomes a label, and it learns on from there.

H. J. Scudder, IEEE Transactions on Information Theory 11:363-371, 1965, doi:10.1109/TIT.1965.1053799.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field
from torch import nn

from voxbench.config import Config
from voxbench.errors import UsageError
from voxbench.io import atomic, sha256
from voxbench.tasks.segmentation.cases import Sample
from voxbench.tasks.segmentation.fingerprint import IGNORED
from voxbench.tasks.segmentation.learning import Course, segmentation_lesson
from voxbench.tasks.segmentation.mapped import Mapped
from voxbench.tasks.segmentation.predict import Segmenter, load_segmenter
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson
from voxbench.training.weights import FILE, load_weights
from voxbench.types import AnyArray

OVERLAP = 0.25
"""Share of a window that the next one covers again, where all cases are predicted in every round."""


class Confidence(Config):
    """From when on a voxel of which nobody said what it is takes the network's word."""

    foreground: float = Field(default=0.9, gt=0.5, le=1, description="Least probability of a class to become it.")
    background: float = Field(default=0.05, ge=0, lt=0.5, description="Largest probability of all classes together.")
    minimum_mm3: float = Field(default=100.0, ge=0, description="Least volume of a part that becomes a class.")


def parts(training: TrainingConfig, rounds: int) -> tuple[TrainingConfig, ...]:
    """How the first network and those of every round are trained: the updates are shared out among them.

    Args:
        training: Of all together.
        rounds: Rounds of self-training after the first network.

    Raises:
        UsageError: There are fewer than 2 updates for each.
    """
    share = training.steps // (rounds + 1)
    if rounds < 0 or share < 2:
        raise UsageError(f"--rounds {rounds}: at least 0, and 2 updates for each; there are {training.steps}")
    counts = [share] * rounds + [training.steps - rounds * share]
    return tuple(
        training.model_copy(update={"steps": count, "warm_up": min(training.warm_up, count // 5)}) for count in counts
    )


def confident(labels: AnyArray, probabilities: AnyArray, confidence: Confidence, voxel_mm3: float) -> AnyArray:
    """Labels in which voxels nobody told of became what the network is sure of; all others stay.

    Args:
        labels: (i, j, k) uint8.
        probabilities: (classes, i, j, k).
        confidence: When it is sure.
        voxel_mm3: Volume of a voxel.
    """
    import cc3d

    unknown = labels == IGNORED
    best = probabilities[1:].argmax(axis=0) + 1
    sure = unknown & (probabilities[1:].max(axis=0) >= confidence.foreground)
    numbered = np.asarray(cc3d.connected_components(np.ascontiguousarray(sure), connectivity=26))
    large = np.bincount(numbered.ravel()) * voxel_mm3 >= confidence.minimum_mm3
    large[0] = False
    none = unknown & (1 - probabilities[0] <= confidence.background)
    return np.where(large[numbered], best, np.where(none, 0, labels)).astype(np.uint8)


def next_round(
    course: Course,
    run: Path,
    confidence: Confidence,
    tell: Callable[[str], None] = lambda _: None,
) -> Lesson:
    """A course with the labels that the network of a run is sure of; it goes on from the weights.

    Those labels are kept in the run's folder and used again when the round is begun again.

    Args:
        course: With the labels that people gave: what an earlier round was sure of may be taken back.
        run: Folder of the run before.
        confidence: When the network is sure.
        tell: Told how many voxels changed.

    Raises:
        FileReadError: The run has no weights.
        FileWriteError: Labels cannot be written.
    """
    segmenter = replace(load_segmenter([run]), overlap=OVERLAP)
    content = sha256(run / FILE)
    folder = run / "labels"
    folder.mkdir(exist_ok=True)
    samples = tuple(
        _retold(sample, segmenter, confidence, folder / f"{sample.name}_{content[:16]}.npy")
        for sample in course.samples
    )
    counts = [_counts(before, after) for before, after in zip(course.samples, samples, strict=True)]
    unknown, found, none = (sum(numbers) for numbers in zip(*counts, strict=True))
    tell(
        f"of {unknown} voxels that nobody told of {found} became foreground and {none} background; "
        f"{unknown - found - none} stay open"
    )
    about = {**course.about, "begun_from": content, "confidence": confidence.model_dump(mode="json")}
    lesson = segmentation_lesson(replace(course, samples=samples, about=about))
    return replace(lesson, build=partial(_started, lesson.build, run))


def _started(build: Callable[[], nn.Module], run: Path) -> nn.Module:
    model = build()
    load_weights(run, model)
    return model


def _retold(sample: Sample, segmenter: Segmenter, confidence: Confidence, path: Path) -> Sample:
    labels = np.asarray(sample.labels)
    if sample.image is None or not (labels == IGNORED).any():
        return sample
    if not path.is_file():
        probabilities, _ = segmenter.whole(np.asarray(sample.image))
        voxel = float(np.prod(sample.spacing))
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.save(file, confident(labels, probabilities, confidence, voxel))
    return replace(sample, labels=Mapped(path))


def _counts(before: Sample, after: Sample) -> Sequence[int]:
    """Voxels nobody told of before; of those now foreground, and background."""
    unknown = np.asarray(before.labels) == IGNORED
    now = np.asarray(after.labels)[unknown]
    return int(unknown.sum()), int(((now > 0) & (now != IGNORED)).sum()), int((now == 0).sum())
