"""Trained networks (torch) that sharpen observations already resampled onto the target grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from voxbench.errors import InputError
from voxbench.io.failures import named_failures
from voxbench.models.superresolution import Name, Size, build, dimensions_of
from voxbench.training.inference import sliding_window
from voxbench.training.patches import Channels
from voxbench.training.weights import load_weights, read_card

OFFSET, WIDTH = -1024.0, 4095.0
"""HU at 0 and the width of [0, 1] inside the networks: the raw window."""


@dataclass(frozen=True)
class Upscaler:
    """A network and what it takes.

    Attributes:
        model: The network.
        method: Its name.
        channels: Observations it takes at once, the base among them.
        card: What is known of its training.
    """

    model: nn.Module
    method: Name
    channels: int
    card: dict[str, Any]

    def upscale(self, observations: np.ndarray | Channels, out: np.ndarray, window: int = 96) -> None:
        """Fill a volume with what the network makes of the observations.

        Args:
            observations: HU, (c, i, j, k) on the target grid; may be memory-mapped. A base is the last of them.
            out: HU, (i, j, k); may be memory-mapped.
            window: Edge of the windows a volume is worked through in, voxels; slices go in windows four times as wide.

        Raises:
            InputError: The network takes another number of observations.
        """
        if len(observations) != self.channels:
            raise InputError(
                f"{self.method}: takes another number of observations\n  network  {self.channels}\n"
                f"  given    {len(observations)}"
            )
        flat = dimensions_of(self.method) == 2
        edges = (4 * window, 4 * window, 1) if flat else (window, window, window)
        device = next(self.model.parameters()).device
        self.model.eval()

        def predict(patches: np.ndarray) -> np.ndarray:
            values = torch.from_numpy((patches - OFFSET) / WIDTH).float().to(device)
            with torch.inference_mode():
                found = self.model(values[..., 0])[..., None] if flat else self.model(values)
            return found[:, 0].float().cpu().numpy() * WIDTH + OFFSET

        sliding_window(predict, observations, out, edges)


def load_upscaler(path: Path) -> Upscaler:
    """The network of a training run.

    Args:
        path: The run's folder, or its weights.safetensors.

    Raises:
        FileReadError: There is none, or it is damaged.
        InputError: It is of another task.
    """
    card = read_card(path)
    if card.get("task") != "superresolution":
        raise InputError(f"{path}: not a super-resolution network\n  its task  {card.get('task')}")
    with named_failures(path, "its card describes no network of this version"):
        method, size, channels = cast("Name", card["method"]), cast("Size", card["size"]), int(card["channels"])
        model = build(method, channels, size, base=bool(card.get("base")))
    load_weights(path, model)
    return Upscaler(model, method, channels, card)
