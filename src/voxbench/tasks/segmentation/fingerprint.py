"""What a plan needs to know of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.tasks.segmentation.frame import Frame
from voxbench.tasks.segmentation.intensities import Modality, Normalisation

IGNORED = 255
"""The label of voxels of which nobody said what they are."""
_SAMPLES = 10_000
"""Voxels of a case whose grey values are looked at."""


@dataclass(frozen=True)
class Fingerprint:
    """Spacing, size and grey values of a data set; axes are x, y, z of the world.

    Attributes:
        spacings: Of each case, mm.
        extents: Of each case's box, mm.
        normalisation: For its grey values.
        classes: Classes, the background among them.
    """

    spacings: tuple[tuple[float, float, float], ...]
    extents: tuple[tuple[float, float, float], ...]
    normalisation: Normalisation
    classes: int


def fingerprint(cases: Iterable[tuple[Volume, LabelMap]], classes: int, modality: Modality) -> Fingerprint:
    """What a plan needs to know; cases are read one at a time.

    Args:
        cases: Images with labels 0 to ``classes`` - 1, or `IGNORED`.
        classes: Classes, the background among them.
        modality: CT: the window is the 0.5 to 99.5 % of the foreground of all cases.

    Raises:
        EmptyShapeError: There is no case, or of CT none with a foreground.
    """
    grids, values = [], []
    rng = np.random.default_rng(0)
    for volume, labels in cases:
        grids.append(volume.grid)
        if modality == "ct":
            inside = volume.array[(labels.array > 0) & (labels.array != IGNORED)]
            values.append(rng.choice(inside, min(_SAMPLES, inside.size), replace=False).astype(np.float64))
    return of_grids(grids, _normalisation(values, modality), classes)


def of_grids(grids: Sequence[Grid], normalisation: Normalisation, classes: int) -> Fingerprint:
    """What a plan needs to know, where grey values need not be looked at (MR) or are known.

    Raises:
        EmptyShapeError: There is no case.
    """
    if not grids:
        raise EmptyShapeError("there is no case to plan from")
    frames = [Frame.of(grid) for grid in grids]
    spacings = tuple(_triple(frame.spacing) for frame in frames)
    extents = tuple(_triple(frame.spacing * frame.ordered_shape) for frame in frames)
    return Fingerprint(spacings, extents, normalisation, classes)


def _normalisation(values: list[np.ndarray], modality: Modality) -> Normalisation:
    if modality == "mr" or not values:
        return Normalisation(modality=modality)
    together = np.concatenate(values)
    if not together.size:
        raise EmptyShapeError("no case has any foreground; grey values of CT cannot be planned from it")
    low, high = np.percentile(together, (0.5, 99.5))
    inside = np.clip(together, low, high)
    deviation = max(float(inside.std()), 1.0)
    return Normalisation(
        modality="ct", low=float(low), high=float(high), mean=float(inside.mean()), deviation=deviation
    )


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
