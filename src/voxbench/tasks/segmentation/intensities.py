"""Grey values as a network sees them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.types import AnyArray, FloatImage, Image

Modality = Literal["ct", "mr"]


class Normalisation(Config):
    """How grey values are shifted and scaled.

    CT: clipped to a window, then by two numbers, all the same for every case. MR: clipped to the body's own 0.5 and
    99.5 %, then by the body's own mean and deviation.
    """

    modality: Modality = Field(default="mr", description="ct or mr.")
    low: float = Field(default=-1000.0, description="CT: values below are taken for this, HU.")
    high: float = Field(default=1000.0, description="CT: values above are taken for this, HU.")
    mean: float = Field(default=0.0, description="CT: becomes 0, HU.")
    deviation: float = Field(default=300.0, gt=0, description="CT: becomes 1, HU.")

    def __call__(self, image: Image) -> FloatImage:
        """The image as the network sees it."""
        if self.modality == "ct":
            return ((np.clip(image, self.low, self.high) - self.mean) / self.deviation).astype(np.float32)
        inside = body(image)
        low, high = np.percentile(inside, (0.5, 99.5))
        inside = np.clip(inside, low, high)
        spread = float(inside.std())
        return ((np.clip(image, low, high) - inside.mean()) / (spread if spread > 0 else 1.0)).astype(np.float32)


def body(image: Image) -> AnyArray:
    """Values of an MR image that are not air: above a tenth of the way from the smallest to the 99 % value.

    Padding and air lie at the smallest value, whatever that is. A constant image is all body.
    """
    values = np.asarray(image, np.float64).ravel()
    low, high = values.min(), np.percentile(values, 99)
    inside = values[values > low + 0.1 * (high - low)]
    return inside if inside.size else values
