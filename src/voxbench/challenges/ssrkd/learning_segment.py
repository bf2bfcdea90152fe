"""The first stage (torch): which pixels of a radiograph a bone covers, by two networks that check each other.

Cross pseudo supervision: X. Chen et al., CVPR 2021, arXiv:2106.01226.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.challenges.ssrkd.learning_data import MULTIPLE, Knee, Knees
from voxbench.challenges.ssrkd.stages import XRAY_SCALE, StageConfig
from voxbench.models.agreement import cross_entropy, cross_pseudo_supervision, ramp
from voxbench.models.xray_bones import build_segmenter_pair
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson

SCORE = "Dice of shadows"
_STAGE = 1
"""In the seed of a draw, so that no two stages draw alike."""


@dataclass(frozen=True, eq=False)
class RadiographCrops:
    """Squares of radiographs with and without known shadows.

    Attributes:
        knees: Where from.
        edge: Of a square, pixels; as large as fits.
        augment: Mirror them, left to right and top to bottom.
        seed: Decides all draws.
    """

    knees: Knees
    edge: int
    augment: bool
    seed: int

    def batch(self, step: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Radiographs (n, 1, h, w), their shadows int64 (n, h, w), and radiographs without them (n, 1, h, w)."""
        drawn = [self._row(np.random.default_rng([self.seed, _STAGE, step, row])) for row in rows]
        return tuple(np.stack(arrays) for arrays in zip(*drawn, strict=True))

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        knee, other = (group[rng.integers(len(group))] for group in (self.knees.train, self.knees.unlabelled))
        image, shadow = self._square((knee.radiographs, knee.shadows), rng)
        (unknown,) = self._square((other.radiographs,), rng)
        return _entered(image), shadow.astype(np.int64), _entered(unknown)

    def _square(self, stacks: tuple[np.ndarray, ...], rng: np.random.Generator) -> list[np.ndarray]:
        """The same place of a view of each stack."""
        views, *sides = stacks[0].shape
        edge = min(self.edge, *sides) // MULTIPLE * MULTIPLE
        view = rng.integers(views)
        row, col = (rng.integers(side - edge + 1) for side in sides)
        axes = tuple(np.flatnonzero(rng.random(2) < 0.5).tolist()) if self.augment else ()
        return [np.flip(stack[view, row : row + edge, col : col + edge], axes) for stack in stacks]


def segment_lesson(knees: Knees, config: StageConfig, training: TrainingConfig) -> Lesson:
    """What is learned in the first stage."""
    source = RadiographCrops(knees, training.patch, training.augment, training.seed)
    check = partial(_validated, knees.validation) if knees.validation else None
    return Lesson(partial(build_segmenter_pair, config.size), source, check, SCORE, objective=_objective)


def find_shadows(model: nn.Module, radiographs: np.ndarray) -> np.ndarray:
    """Which pixels a bone covers, by the first network of a pair.

    Args:
        model: The pair.
        radiographs: As stored, (views, rows, columns).

    Returns:
        0 or 1, uint8, of the same shape.
    """
    network: Any = model.a
    network.eval()
    device = next(network.parameters()).device
    found = []
    with torch.no_grad():
        for image in radiographs:
            logits = network(torch.from_numpy(_entered(image)[None]).to(device))
            found.append(logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy())
    return np.stack(found)


def _objective(model: nn.Module, batch: tuple[Tensor, ...], done: float) -> dict[str, Tensor]:
    """Cross entropy where shadows are known; everywhere each network learns what the other thinks."""
    images, shadows, unknown = batch
    one, other = model(torch.cat([images, unknown]))
    one, other = one.float(), other.float()
    known = cross_entropy(one[: len(images)], shadows, axis=1) + cross_entropy(other[: len(images)], shadows, axis=1)
    agreement = cross_pseudo_supervision(one, other, axis=1)
    return {"loss": known + ramp(done) * agreement, "labelled": known, "agreement": agreement}


def _validated(knees: Sequence[Knee], model: nn.Module) -> dict[str, float]:
    """Dice of all pixels of all views of a knee, mean over the knees."""
    dices = []
    for knee in knees:
        found, known = find_shadows(model, knee.radiographs) > 0, np.asarray(knee.shadows) > 0
        dices.append(2 * np.count_nonzero(found & known) / max(1, found.sum() + known.sum()))
    return {SCORE: float(np.mean(dices))}


def _entered(image: np.ndarray) -> np.ndarray:
    """As it goes into the network, (1, rows, columns)."""
    return np.asarray(image, np.float32)[None] * np.float32(XRAY_SCALE)
