"""Segmentation as something to learn (torch): what is known is supervised, what is not is up to the strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from voxbench.config import Config
from voxbench.errors import EmptyShapeError, UsageError
from voxbench.models.partial import (
    IGNORED,
    coarser,
    cross_pseudo,
    dice_and_cross_entropy,
    foreground_share,
    head_weights,
    known,
    mixed_pseudo,
    positive_unlabelled,
    ramp,
)
from voxbench.tasks.segmentation.cases import Sample
from voxbench.tasks.segmentation.plan import Plan
from voxbench.tasks.segmentation.predict import Segmenter, network
from voxbench.tasks.segmentation.source import Drawing, SegmentationPatches
from voxbench.training.loop import Lesson
from voxbench.types import AnyArray

Strategy = Literal["ignore", "background", "foreground", "positive-unlabelled", "cross", "decoders"]
BRANCHES: dict[Strategy, str] = {"cross": "networks", "decoders": "decoders"}
SCORE = "Dice"


class Learning(Config):
    """What is done about voxels of which nobody said what they are."""

    strategy: Strategy = Field(
        default="ignore",
        description="ignore: nothing; background: they are taken for it; foreground: their share of foreground is "
        "held at --share; positive-unlabelled: non-negative risk with that share; cross: two networks learn from each "
        "other there; decoders: two decoders learn a mixture of both.",
    )
    share: float = Field(default=0.01, gt=0, lt=1, description="Of such voxels that are foreground, as expected.")
    weight: float = Field(default=0.5, ge=0, description="Of the strategy's own term.")
    ramp: float = Field(default=0.33, gt=0, le=1, description="Share of the updates over which it grows to that.")
    maps: float = Field(default=1.0, ge=0, description="Weight of numbers that are learned beside the classes.")

    @property
    def branches(self) -> str:
        """What `voxbench.models.segmentation.build` takes."""
        return BRANCHES.get(self.strategy, "one")


@dataclass(frozen=True)
class Objective:
    """What is made small.

    Attributes:
        learning: The strategy.
        classes: Classes, the background among them.
        some: Whether there are cases that do not tell of all classes.
    """

    learning: Learning
    classes: int
    some: bool = False

    def __call__(self, model: nn.Module, batch: tuple[Tensor, ...], done: float) -> dict[str, Tensor]:
        """Losses by name; the batch is that of `SegmentationPatches`."""
        images, labels, told, chance, maps = batch
        branches = [[head.float() for head in heads] for heads in model(images)]
        labels = labels.long()
        if self.learning.strategy == "background":
            labels = torch.where(labels == IGNORED, torch.zeros_like(labels), labels)
        annotated = told if self.some else None
        supervised = [self._supervised(heads, labels, annotated) for heads in branches]
        losses = {"supervised": torch.stack(supervised).mean()}
        own = self._own([heads[0][:, : self.classes] for heads in branches], labels, chance)
        if own is not None:
            losses[self.learning.strategy] = own
            losses["loss"] = losses["supervised"] + self.learning.weight * ramp(done, self.learning.ramp) * own
        else:
            losses["loss"] = losses["supervised"]
        if maps.shape[1]:
            found = [self._maps(heads[0][:, self.classes :], maps, labels) for heads in branches]
            losses["maps"] = torch.stack(found).mean()
            losses["loss"] = losses["loss"] + self.learning.maps * losses["maps"]
        return losses

    def _supervised(self, heads: Sequence[Tensor], labels: Tensor, annotated: Tensor | None) -> Tensor:
        total = torch.zeros((), device=labels.device)
        for head, weight in zip(heads, head_weights(len(heads)), strict=True):
            there = coarser(labels, head.shape[2:])
            total = total + weight * dice_and_cross_entropy(head[:, : self.classes], there, annotated=annotated)
        return total

    def _own(self, logits: Sequence[Tensor], labels: Tensor, chance: Tensor) -> Tensor | None:
        """The strategy's own term over what is not known; None for those without."""
        strategy, share = self.learning.strategy, self.learning.share
        unknown = (labels == IGNORED).float()
        if strategy == "foreground":
            return foreground_share(logits[0].softmax(1), labels, share)
        if strategy == "positive-unlabelled":
            return positive_unlabelled(logits[0], labels, share)
        if strategy == "cross":
            return cross_pseudo(logits[0], logits[1], unknown)
        if strategy == "decoders":
            return mixed_pseudo(logits[0], logits[1], unknown, chance)
        return None

    @staticmethod
    def _maps(found: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        counted = known(labels)[:, None] * maps.isfinite()
        difference = smooth_l1_loss(found, maps.nan_to_num(), reduction="none") * counted
        return difference.sum() / counted.sum().clamp(min=1)


@dataclass(frozen=True)
class Course:
    """What is learned from.

    Attributes:
        samples: Cases to learn from.
        held_out: Whole cases to validate on; none leaves validation out.
        plan: What is trained.
        learning: The strategy.
        drawing: How patches are drawn.
        about: Goes into the weights' card: challenge, hashes of the data, licence, real or made images.
    """

    samples: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    plan: Plan
    learning: Learning = field(default_factory=Learning)
    drawing: Drawing = field(default_factory=Drawing)
    about: dict[str, Any] = field(default_factory=dict)


def segmentation_lesson(course: Course) -> Lesson:
    """What `voxbench.training.loop.train` takes.

    Raises:
        UsageError: A case is in both lists.
        EmptyShapeError: There is no case to learn from, or one without an image to validate on.
    """
    both = sorted({s.name for s in course.samples} & {s.name for s in course.held_out})
    if both:
        raise UsageError(f"{', '.join(both)}: to learn from and to validate on; what is learned cannot be validated on")
    bare = [sample.name for sample in course.held_out if sample.image is None]
    if bare:
        raise EmptyShapeError(f"{', '.join(bare)}: no image to validate on")
    some = any(not all(s.annotated) for s in course.samples if s.annotated is not None)
    card = {
        "task": "segmentation",
        "plan": course.plan.model_dump(mode="json"),
        "learning": course.learning.model_dump(mode="json"),
        "augmentation": course.drawing.augmentation.model_dump(mode="json"),
        "made_images": course.drawing.rendered if course.drawing.render is not None else 0.0,
        "branches": course.learning.branches,
        "cases": [sample.name for sample in course.samples],
        "validation_cases": [sample.name for sample in course.held_out],
        **course.about,
    }
    return Lesson(
        partial(network, course.plan, course.learning.branches),
        SegmentationPatches(course.samples, course.plan, course.drawing),
        partial(validated, course.held_out, course.plan) if course.held_out else None,
        SCORE,
        card,
        objective=Objective(course.learning, course.plan.classes, some),
    )


def validated(samples: Sequence[Sample], plan: Plan, model: nn.Module) -> dict[str, float]:
    """Mean Dice of whole cases on the working grid over the voxels that are known; of all classes, and of each.

    A class that is neither in a case nor found there does not count; one that a case does not tell of neither.
    """
    segmenter = Segmenter((model,), plan, overlap=0.25)
    found: dict[int, list[float]] = {}
    for sample in samples:
        assert sample.image is not None
        rows = [slab[: plan.classes].argmax(axis=0) for slab in segmenter.working(np.asarray(sample.image))]
        for label, dice in case_dice(np.asarray(sample.labels), np.concatenate(rows), sample.annotated).items():
            found.setdefault(label, []).append(dice)
    means = {label: float(np.mean(values)) for label, values in sorted(found.items())}
    total = float(np.mean(list(means.values()))) if means else 0.0
    return {SCORE: total} | ({f"Dice of {label}": value for label, value in means.items()} if len(means) > 1 else {})


def case_dice(labels: AnyArray, prediction: AnyArray, annotated: Sequence[bool] | None = None) -> dict[int, float]:
    """Dice of each class over the voxels that are known."""
    inside = labels != IGNORED
    truth, given = labels[inside], prediction[inside]
    there = sorted({*np.unique(truth).tolist(), *np.unique(given).tolist()} - {0})
    told = [label for label in there if annotated is None or annotated[label]]
    sizes = {label: int((truth == label).sum() + (given == label).sum()) for label in told}
    return {label: 2 * int(((truth == label) & (given == label)).sum()) / sizes[label] for label in told}
