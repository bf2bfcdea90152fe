"""A network that has learned nothing (torch), for trying what is built around one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from voxbench.tasks.segmentation.plan import Plan
from voxbench.tasks.segmentation.predict import network
from voxbench.training.weights import save_weights

SMALL = {
    "features": (4, 8),
    "kernels": ((3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2)),
    "blocks": (1, 1),
}


def write_untrained(folder: Path, card: Mapping[str, Any], values: Mapping[str, Any], says: int | None = None) -> None:
    """Write the weights of a small network as training would leave them; its labels mean nothing.

    Args:
        folder: Made if it is not there.
        card: What is said of it besides.
        values: Of its plan: spacing, patch, classes, maps, normalisation.
        says: The class it gives every voxel; by default what chance makes of it.

    Raises:
        FileWriteError: They cannot be written.
    """
    plan = Plan.model_validate(SMALL | dict(values))
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    known = {"task": "segmentation", "plan": plan.model_dump(mode="json"), "branches": "one", "trained": False}
    model = network(plan, "one")
    if says is not None:
        for name, parameter in model.named_parameters():
            torch.nn.init.zeros_(parameter)
            if name.endswith("bias") and len(parameter) == plan.classes + plan.maps:
                torch.nn.init.constant_(parameter[says], 5.0)
    save_weights(folder, model, known | dict(card))
