"""The profile of a CT slice, and what of each thin layer it takes in."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

Weights = Float32[np.ndarray, "slices layers"]
"""One row per slice, summing to 1."""


def slice_profile(z: np.ndarray, thickness: float, edge: float) -> np.ndarray:
    """Sensitivity across a slice, of unit area: a trapezoid whose full width at half maximum is the thickness.

    It is a box of the width ``thickness`` smoothed by one of ``edge * thickness``, so that its transfer is
    sinc(thickness f) sinc(edge thickness f).

    Args:
        z: Distance from the middle of the slice, mm.
        thickness: Full width at half maximum, mm.
        edge: Width of a flank in thicknesses, above 0 to 1.
    """
    half, flank = thickness / 2, edge * thickness
    return np.clip((half + flank / 2 - np.abs(z)) / flank, 0, 1) / thickness


def slice_weights(centres: np.ndarray, layers: int, step: float, profile: tuple[float, float]) -> Weights:
    """How much each layer of a volume counts in each slice.

    Args:
        centres: Positions of the slices, mm from the middle of the first layer.
        layers: Number of layers.
        step: Thickness of a layer, mm.
        profile: Thickness and edge of the slice profile.

    Returns:
        The profile integrated over every layer; the first and the last layer go on outwards.
    """
    borders = (np.arange(layers - 1) + 0.5) * step
    below = np.ones((len(centres), layers + 1))
    below[:, 0] = 0
    below[:, 1:-1] = _integral(borders[None] - np.asarray(centres, np.float64)[:, None], *profile)
    return np.diff(below, axis=1).astype(np.float32)


def _integral(z: np.ndarray, thickness: float, edge: float) -> np.ndarray:
    """Area of the profile below z."""
    inner, outer = (1 - edge) * thickness / 2, (1 + edge) * thickness / 2
    flank = edge * thickness
    reach = np.abs(np.clip(z, -outer, outer))
    flat = np.minimum(reach, inner)
    slope = np.maximum(reach - inner, 0)
    half = (flat + slope - slope**2 / (2 * flank)) / thickness
    return 0.5 + np.sign(z) * half
