"""The third stage (torch): which bone a point lies in, from two radiographs; a teacher that saw the CT helps.

The teacher's opinion stands in for labels where there are none, and features at points shall resemble its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.learning_data import Knee, Knees
from voxbench.challenges.ssrkd.learning_points import Box, Look, draw_points, within
from voxbench.challenges.ssrkd.learning_segment import find_shadows
from voxbench.challenges.ssrkd.learning_teacher import dice_of_bones, enter_ct, labelled_points, weights_of
from voxbench.challenges.ssrkd.stages import XRAY_SCALE, StageConfig
from voxbench.errors import EmptyShapeError
from voxbench.io import atomic
from voxbench.io.arrays import map_array
from voxbench.models.agreement import cross_entropy, distillation, over_stacks
from voxbench.models.two_view import build_two_view_student
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson

SCORE = "Dice at points"
LABELLED, PSEUDO, DISTILLED = 0.5, 0.5, 0.1
"""Published weights of the three losses."""
_STAGE = 3
_AT_ONCE = 50_000
_MORE = 4
Shadows = Callable[[Knee], np.ndarray]
"""0 or 1 for every pixel of every view of a knee."""


@dataclass(frozen=True, eq=False)
class Guides:
    """What the first two stages learned.

    Attributes:
        teacher: The pair that looks at CTs.
        segmenter: The pair that finds shadows; None before it was trained, then there are none.
        hashes: Of their weights.
    """

    teacher: nn.Module
    segmenter: nn.Module | None
    hashes: dict[str, str]

    def shadows(self, cache: Path) -> Shadows:
        """Of any knee; found once and kept in a folder."""
        return partial(_kept_shadows, self, cache)


@dataclass(frozen=True, eq=False)
class TwoViews:
    """Pairs of radiographs with labelled points, and others with the CT in which a teacher labels them.

    Attributes:
        knees: Where from.
        config: How many points, which augmentation.
        edge: Of a box of the CT, voxels.
        seed: Decides all draws.
        shadows: Of every knee.
    """

    knees: Knees
    config: StageConfig
    edge: int
    seed: int
    shadows: Shadows

    def batch(self, step: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Of labelled knees images (n, 2, 2, h, w), pixels (n, 2, p, 2), labels int64 (n, p).

        Then of unlabelled ones images, pixels, boxes of the CT (n, 1, z, y, x) and points in them (n, p, 3).
        """
        drawn = [self._row(np.random.default_rng([self.seed, _STAGE, step, row])) for row in rows]
        return tuple(np.stack(arrays) for arrays in zip(*drawn, strict=True))

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        knee, other = (group[rng.integers(len(group))] for group in (self.knees.train, self.knees.unlabelled))
        look = self._look(knee, rng)
        places, labels = draw_points(knee, self.config.points, rng, partial(_fallen, knee, look))
        image = enter_radiographs(look, knee.radiographs, self.shadows(knee))
        look = self._look(other, rng)
        box = Box.drawn(other.ct.shape, self.edge, rng)
        local = rng.uniform(-1, 1, (_MORE * self.config.points, 3)).astype(np.float32)
        fallen = _fallen(other, look, box.stored(local))
        kept = np.flatnonzero(within(fallen))[: self.config.points]
        if not len(kept):
            raise EmptyShapeError(
                f"{other.case}: its CT lies beside both detectors; do views and volume belong together?"
            )
        kept = np.resize(kept, self.config.points)
        unknown = enter_radiographs(look, other.radiographs, self.shadows(other))
        return image, places, labels, unknown, fallen[:, kept], enter_ct(box.cut(other.ct)), local[kept]

    def _look(self, knee: Knee, rng: np.random.Generator) -> Look:
        """Which views, which rows, and whether mirrored."""
        pair = self.knees.pairs[rng.integers(len(self.knees.pairs))]
        height = knee.views[0].shape[0]
        seen = int(np.ceil(height * rng.uniform(self.config.shortest, 1)))
        first = int(rng.integers(height - seen + 1))
        return Look(pair, (first, first + seen), self.config.mirrored and bool(rng.random() < 0.5))


def student_lesson(knees: Knees, config: StageConfig, training: TrainingConfig, guides: Guides, cache: Path) -> Lesson:
    """What is learned in the third stage."""
    shadows = guides.shadows(cache)
    source = TwoViews(knees, config, training.patch, training.seed, shadows)
    check = partial(_validated, knees, shadows) if knees.validation else None
    objective = partial(_objective, guides.teacher.eval().requires_grad_(False), weights_of(knees))
    return Lesson(partial(build_two_view_student, config.size), source, check, SCORE, objective=objective)


def enter_radiographs(look: Look, radiographs: np.ndarray, shadows: np.ndarray) -> np.ndarray:
    """What goes into the network, float32 (2 views, 2, rows, columns): darkened beside the shadows, and as it is.

    Args:
        look: Which views, and how.
        radiographs: As stored, (views, rows, columns).
        shadows: 1 where a bone is, of the same shape.
    """
    image = look.images(radiographs).astype(np.float32) * np.float32(XRAY_SCALE)
    mask = look.images(shadows).astype(np.float32)
    stacked = np.stack([image * (0.5 + 0.5 * mask), image], axis=1)
    height, width = radiographs.shape[1:]
    if stacked.shape[2] == height:
        return np.ascontiguousarray(stacked)
    return interpolate(torch.from_numpy(stacked), (height, width), mode="bilinear", align_corners=False).numpy()


def logits_on_radiographs(network: Any, maps: Any, pixels: np.ndarray) -> np.ndarray:
    """What the last stack says of points, float32 (n, 5).

    Args:
        network: The student.
        maps: What it made of two radiographs.
        pixels: Where the points fall, -1 to 1 between the edges, (2, n, 2).
    """
    device = next(network.parameters()).device
    found = []
    with torch.no_grad():
        for first in range(0, pixels.shape[1], _AT_ONCE):
            some = torch.from_numpy(np.asarray(pixels[:, first : first + _AT_ONCE], np.float32))[None].to(device)
            found.append(network.query(maps[-1:], some)[0][-1][0].float().cpu().numpy())
    return np.concatenate(found) if found else np.empty((0, len(BONES) + 1), np.float32)


def _objective(
    teacher: nn.Module,
    weights: Tensor,
    model: nn.Module,
    batch: tuple[Tensor, ...],
    done: float,  # noqa: ARG001  (nothing is ramped)
) -> dict[str, Tensor]:
    """The published sum: labelled points, the teacher's opinion of others, and its features."""
    images, places, labels, unknown, elsewhere, volumes, points = batch
    count, scale = len(images), weights.to(images.device)
    with torch.no_grad():
        guide: Any = teacher.to(images.device).eval().a
        opinions, wanted = guide.query(guide.encode(volumes)[-1:], points)
        pseudo = opinions[-1].argmax(dim=-1)
    stacks, features = model(torch.cat([images, unknown]), torch.cat([places, elsewhere]))
    known = over_stacks([cross_entropy(stack[:count].float(), labels, scale) for stack in stacks])
    guessed = over_stacks([cross_entropy(stack[count:].float(), pseudo, scale) for stack in stacks])
    alike = distillation([feature[count:].float() for feature in features], wanted.float())
    loss = LABELLED * known + PSEUDO * guessed + DISTILLED * alike
    return {"loss": loss, "labelled": known, "pseudo": guessed, "distilled": alike}


def _validated(knees: Knees, shadows: Shadows, model: nn.Module) -> dict[str, float]:
    """Mean over knees and bones, from the first pair of views."""
    network: Any = model
    dices = []
    for knee in knees.validation:
        look = Look(knees.pairs[0], (0, knee.views[0].shape[0]))
        points, labels = labelled_points(knee)
        pixels = _fallen(knee, look, points)
        seen = within(pixels)
        images = torch.from_numpy(enter_radiographs(look, knee.radiographs, shadows(knee)))
        maps = network.encode(images[None].to(next(network.parameters()).device))
        found = logits_on_radiographs(network, maps, pixels[:, seen]).argmax(axis=1)
        dices.append(dice_of_bones(labels[seen], found))
    return {SCORE: float(np.mean(dices))}


def _fallen(knee: Knee, look: Look, stored: np.ndarray) -> np.ndarray:
    """Where stored points fall on what is seen."""
    return look.pixels(knee.world_from_stored(np.asarray(stored, np.float64)), knee.views)


def _kept_shadows(guides: Guides, cache: Path, knee: Knee) -> np.ndarray:
    if guides.segmenter is None:
        return np.zeros(knee.radiographs.shape, np.uint8)
    held_in = cache / f"{knee.case}_found_{guides.hashes['segmenter'][:16]}.npy"
    if not held_in.is_file():
        found = find_shadows(guides.segmenter, knee.radiographs)
        with atomic(held_in) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    return map_array(held_in)
