"""Iterative instance segmentation as something to learn, and trained networks that look at patches (torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss

from voxbench.errors import InputError
from voxbench.metrics.instances import match_instances
from voxbench.models.iis import IisNetwork
from voxbench.tasks.instances.iterative import Seen, grey, traverse
from voxbench.tasks.instances.iterative_config import IisConfig
from voxbench.tasks.instances.iterative_labels import label_map
from voxbench.tasks.instances.iterative_patches import IterativePatches, Making, Spine
from voxbench.training.loop import Lesson
from voxbench.training.weights import load_weights, read_card
from voxbench.types import AnyArray

TASK = "instances one by one"
SCORE = "Dice"


@dataclass(frozen=True)
class IisObjective:
    """What is made small.

    Attributes:
        settings: The weights of its parts.
    """

    settings: IisConfig

    def __call__(self, model: nn.Module, batch: tuple[Tensor, ...], done: float) -> dict[str, Tensor]:
        """Losses by name; the batch is that of `IterativePatches`."""
        inputs, masks, weights, words = batch
        logits, complete, label = (values.float() for values in model(inputs))
        truth = masks.float()
        found = logits.sigmoid()
        share = 0.1 + 0.9 / (1 + np.exp(-(done - 0.5) / 0.1))  # false finds count little until half of the way
        wrong = share * found * (1 - truth) + (1 - found) * truth
        told = (weights > 0).float()
        entropy = binary_cross_entropy_with_logits(logits, truth, reduction="none") * told
        losses = {
            "voxels": (weights * wrong).sum() / len(inputs),
            "entropy": entropy.mean(dim=(0, 2, 3, 4)).sum(),
            "completeness": binary_cross_entropy_with_logits(complete, words[:, 0]),
            "label": l1_loss(label, words[:, 1]),
        }
        ours = self.settings
        total = ours.voxel_weight * losses["voxels"] + losses["entropy"] + losses["completeness"]
        square = mse_loss(label, words[:, 1])
        return {"loss": total + ours.l1_weight * losses["label"] + ours.square_weight * square} | losses


@dataclass(frozen=True)
class IisCourse:
    """What is learned from.

    Attributes:
        spines: Series to learn from.
        held_out: Series to validate on; none leaves validation out.
        settings: Sizes, shares, weights.
        making: Images made from labels.
        seed: Decides all draws.
        about: Goes into the weights' card.
    """

    spines: tuple[Spine, ...]
    held_out: tuple[Spine, ...]
    settings: IisConfig
    making: Making = field(default_factory=Making)
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)


def iis_lesson(course: IisCourse) -> Lesson:
    """What `voxbench.training.loop.train` takes.

    Raises:
        EmptyShapeError: A series has no vertebrae, or no image.
    """
    card = {
        "task": TASK,
        "settings": course.settings.model_dump(mode="json"),
        "made_images": course.making.share if course.making.render is not None else 0.0,
        "cases": [spine.name for spine in course.spines],
        "validation_cases": [spine.name for spine in course.held_out],
        **course.about,
    }
    return Lesson(
        partial(IisNetwork, course.settings.width),
        IterativePatches(course.spines, course.settings, course.making, seed=course.seed),
        partial(iis_validated, course.held_out, course.settings) if course.held_out else None,
        SCORE,
        card,
        objective=IisObjective(course.settings),
    )


def iis_validated(spines: Sequence[Spine], settings: IisConfig, model: nn.Module) -> dict[str, float]:
    """Scores of whole series on the working grid.

    Mean Dice of their structures, each with what covers most of it, the share found (Dice of at least 0.1), and how
    many patches were looked at.
    """
    dices, looks = [], []
    look = NetworkLook(model)
    for spine in spines:
        ids = np.asarray(spine.ids)
        way = traverse(grey(np.asarray(spine.image)), spine.spacing, look, settings)
        found = label_map(way, ids.shape, mark_partial=False)
        looks.append(way.looks)
        matches = match_instances(ids, found, "most-shared").matches
        dices += [match.dice for match in matches]
    found = np.asarray(dices)
    return {SCORE: float(found.mean()), "found": float((found >= 0.1).mean()), "looks": float(np.mean(looks))}


@dataclass(frozen=True)
class NetworkLook:
    """A network that looks at one patch at a time.

    Attributes:
        model: An `IisNetwork`.
    """

    model: nn.Module

    def __call__(self, patch: AnyArray) -> Seen:
        """What it says, see `voxbench.tasks.instances.iterative.Look`."""
        device = next(self.model.parameters()).device
        self.model.eval()
        with torch.inference_mode():
            logits, complete, label = self.model(torch.from_numpy(patch[None]).to(device))
        masks = logits.float().sigmoid()[0].cpu().numpy()
        return Seen(masks, float(complete.float().sigmoid()[0]), float(label[0]))


@dataclass(frozen=True)
class IisNetworkFile:
    """A trained network with what it was trained on.

    Attributes:
        look: It.
        settings: Of its training.
        card: What is known of the training.
    """

    look: NetworkLook
    settings: IisConfig
    card: dict[str, Any]


def load_iis(path: Path) -> IisNetworkFile:
    """The network of a training run.

    Args:
        path: Its folder, or its weights.safetensors.

    Raises:
        FileReadError: There is none, or it is damaged.
        InputError: It is of another task.
    """
    card = read_card(path)
    if card.get("task") != TASK:
        raise InputError(f"{path}: not a network that finds instances one by one\n  its task  {card.get('task')}")
    settings = IisConfig.model_validate(card["settings"])
    model = IisNetwork(settings.width)
    load_weights(path, model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return IisNetworkFile(NetworkLook(model.to(device).eval()), settings, card)
