"""The three stages in which SSR-KD's networks are trained, and their settings: as published, and ours for a laptop."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from voxbench.config import Config

Stage = Literal["segment", "teacher", "student"]
Size = Literal["laptop", "paper"]
STAGES: tuple[Stage, ...] = ("segment", "teacher", "student")
"""In the order they need each other: the student looks at the shadows of the first and learns from the second."""
EPOCHS = 400
"""Published, of every stage."""
PAIRS = ((0, 90), (0, 270), (180, 90), (180, 270))
"""Degrees of a frontal and a lateral view; the first that there is is validated on."""

XRAY_SCALE = 6.0
"""Radiographs as they are stored (integrals of 0 to 1 over metres) times this go into the networks, as published."""
CT_SCALE = 1 / 255
"""Likewise of the CT."""


class StageConfig(Config):
    """What a stage learns from; how, is in the training's settings."""

    stage: Stage = Field(default=..., description="What is learned.")
    size: Size = Field(default="laptop", description="laptop, or the published size.")
    points: int = Field(default=2000, ge=10, description="Labelled points of a knee per update; as many unlabelled.")
    mirrored: bool = Field(default=True, description="Draw knees as of the other leg too (student).")
    shortest: float = Field(default=1.0, gt=0.1, le=1, description="Least share of the height looked at (student).")


_LEARNED: dict[tuple[Stage, Size], dict[str, Any]] = {
    ("segment", "paper"): {"points": 5000},
    ("teacher", "paper"): {"points": 5000},
    ("student", "paper"): {"points": 5000, "mirrored": False, "shortest": 0.7},
}
_TRAINED: dict[tuple[Stage, Size], dict[str, Any]] = {
    ("segment", "paper"): {"batch": 8, "patch": 384, "learning_rate": 3e-4},
    ("teacher", "paper"): {"batch": 3, "patch": 128, "learning_rate": 3e-4},
    ("student", "paper"): {"batch": 4, "patch": 128, "learning_rate": 3e-4},
    ("segment", "laptop"): {"steps": 300, "batch": 2, "patch": 192, "learning_rate": 2e-3},
    ("teacher", "laptop"): {"steps": 600, "batch": 1, "patch": 64, "learning_rate": 2e-3},
    ("student", "laptop"): {"steps": 1500, "batch": 2, "patch": 64, "learning_rate": 1e-3},
}


def learned(stage: Stage, size: Size, points: int | None = None) -> StageConfig:
    """What a stage learns from."""
    chosen = {} if points is None else {"points": points}
    return StageConfig.model_validate({"stage": stage, "size": size} | _LEARNED.get((stage, size), {}) | chosen)


def trained(stage: Stage, size: Size, knees: int, given: dict[str, Any]) -> dict[str, Any]:
    """How a stage is trained, as `voxbench.training.config.TrainingConfig` takes it.

    The published size goes `EPOCHS` times over the labelled knees.

    Args:
        stage: Which.
        size: Of the network.
        knees: Labelled ones there are to learn from.
        given: What was chosen; the rest is ours.
    """
    values = _TRAINED[(stage, size)] | given
    values.setdefault("steps", math.ceil(EPOCHS * knees / values["batch"]))
    steps = values["steps"]
    values.setdefault("warm_up", max(0, min(100, steps // 10, steps - 1)))
    values.setdefault("validate_every", max(1, steps // 5))
    return values
