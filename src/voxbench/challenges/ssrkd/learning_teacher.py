"""The second stage (torch): which bone a point of a CT lies in, by two networks that check each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.learning_data import Knee, Knees
from voxbench.challenges.ssrkd.learning_points import Box, draw_points
from voxbench.challenges.ssrkd.stages import CT_SCALE, StageConfig
from voxbench.models.agreement import class_weights, cross_entropy, cross_pseudo_supervision, over_stacks, ramp
from voxbench.models.ct_teacher import build_teacher_pair
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson

SCORE = "Dice at points"
_STAGE = 2
_AT_ONCE = 50_000
"""Points looked up together."""


@dataclass(frozen=True, eq=False)
class CtBoxes:
    """Boxes of CTs with labelled points, and others without labels.

    Attributes:
        knees: Where from.
        edge: Of a box, voxels; as large as fits.
        points: How many in a box.
        augment: Mirror them, front to back and left to right.
        seed: Decides all draws.
    """

    knees: Knees
    edge: int
    points: int
    augment: bool
    seed: int

    def batch(self, step: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Boxes (n, 1, z, y, x), points (n, p, 3), labels int64 (n, p); boxes and points of unlabelled knees."""
        drawn = [self._row(np.random.default_rng([self.seed, _STAGE, step, row])) for row in rows]
        return tuple(np.stack(arrays) for arrays in zip(*drawn, strict=True))

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        knee, other = (group[rng.integers(len(group))] for group in (self.knees.train, self.knees.unlabelled))
        box = Box.drawn(knee.ct.shape, self.edge, rng)
        places, labels = draw_points(knee, self.points, rng, box.local)
        volume, places = self._turned(box.cut(knee.ct), places, rng)
        box = Box.drawn(other.ct.shape, self.edge, rng)
        anywhere = rng.uniform(-1, 1, (self.points, 3)).astype(np.float32)
        unknown, anywhere = self._turned(box.cut(other.ct), anywhere, rng)
        return volume, places, labels, unknown, anywhere

    def _turned(self, volume: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Mirrored along some of y and x, as it goes into the network."""
        flips = rng.random(2) < (0.5 if self.augment else 0)
        signs = np.where([False, *flips], -1, 1).astype(np.float32)
        axes = tuple(1 + int(axis) for axis in np.flatnonzero(flips))
        return enter_ct(np.flip(volume, axes)), places * signs


def teacher_lesson(knees: Knees, config: StageConfig, training: TrainingConfig) -> Lesson:
    """What is learned in the second stage."""
    source = CtBoxes(knees, training.patch, config.points, training.augment, training.seed)
    check = partial(_validated, knees.validation) if knees.validation else None
    objective = partial(_objective, weights_of(knees))
    return Lesson(partial(build_teacher_pair, config.size), source, check, SCORE, objective=objective)


def weights_of(knees: Knees) -> Tensor:
    """Of background and bones in the loss, from how many points of each there are."""
    return class_weights(np.sum([np.bincount(knee.bones, minlength=5)[1:5] for knee in knees.train], axis=0).tolist())


def enter_ct(volume: np.ndarray) -> np.ndarray:
    """A CT of 0 to 255 as it goes into the network, (1, z, y, x)."""
    return np.asarray(volume, np.float32)[None] * np.float32(CT_SCALE)


def logits_in_ct(network: Any, maps: Any, places: np.ndarray) -> np.ndarray:
    """What a network says of places in a CT it has looked at, float32 (n, 5).

    Args:
        network: Of the pair, one.
        maps: What it made of the CT.
        places: (z, y, x) in -1 to 1, (n, 3).
    """
    device = next(network.parameters()).device
    found = []
    with torch.no_grad():
        for first in range(0, len(places), _AT_ONCE):
            some = torch.from_numpy(np.asarray(places[first : first + _AT_ONCE], np.float32))[None].to(device)
            found.append(network.query(maps[-1:], some)[0][-1][0].float().cpu().numpy())
    return np.concatenate(found) if found else np.empty((0, len(BONES) + 1), np.float32)


def dice_of_bones(labels: np.ndarray, found: np.ndarray) -> list[float]:
    """Of each bone, over points."""
    bones = range(1, len(BONES) + 1)
    shared = [np.count_nonzero((labels == bone) & (found == bone)) for bone in bones]
    total = [np.count_nonzero(labels == bone) + np.count_nonzero(found == bone) for bone in bones]
    return [2 * both / max(1, all_) for both, all_ in zip(shared, total, strict=True)]


def labelled_points(knee: Knee, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Always the same stored points of a knee, half of them within bones, and their labels."""
    return draw_points(knee, count, np.random.default_rng(0), lambda points: points)


def _objective(weights: Tensor, model: nn.Module, batch: tuple[Tensor, ...], done: float) -> dict[str, Tensor]:
    """Cross entropy at labelled points, mean of the heads; at all points each network learns what the other thinks."""
    volumes, places, labels, unknown, anywhere = batch
    count, scale = len(volumes), weights.to(volumes.device)
    seen = model(torch.cat([volumes, unknown]), torch.cat([places, anywhere]))
    one, other = ([head.float() for head in heads] for heads, _ in seen)
    known = sum(
        (over_stacks([cross_entropy(head[:count], labels, scale) for head in heads], 1.0) for heads in (one, other)),
        torch.zeros((), device=volumes.device),
    )
    agreement = over_stacks([cross_pseudo_supervision(*heads) for heads in zip(one, other, strict=True)], 1.0)
    return {"loss": known + ramp(done) * agreement, "labelled": known, "agreement": agreement}


def _validated(knees: Sequence[Knee], model: nn.Module) -> dict[str, float]:
    """Mean over knees and bones, each CT looked at whole."""
    network: Any = model.a
    dices = []
    for knee in knees:
        places, labels = labelled_points(knee)
        volume = torch.from_numpy(enter_ct(knee.ct)[None]).to(next(network.parameters()).device)
        found = logits_in_ct(network, network.encode(volume), places).argmax(axis=1)
        dices.append(dice_of_bones(labels, found))
    return {SCORE: float(np.mean(dices))}
