"""Connected parts of a label map, kept by rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.geometry import LabelMap
from voxbench.types import AnyArray, Mask


class Keep(Config):
    """Which connected parts (touching by corners too) of a class stay."""

    largest: bool = Field(default=False, description="Only the largest one.")
    minimum_mm3: float = Field(default=0.0, ge=0, description="Those of at least this volume, mm^3.")


def keep_components(labels: LabelMap, rules: Mapping[int, Keep]) -> LabelMap:
    """A label map without the parts that its rules refuse; they become background.

    Args:
        labels: Classes.
        rules: By class; classes without a rule stay as they are.
    """
    array = labels.array.copy()
    for label, rule in rules.items():
        there = labels.array == label
        if there.any() and (rule.largest or rule.minimum_mm3 > 0):
            array[there & ~_kept(there, rule, labels.grid.voxel_volume)] = 0
    return LabelMap(array, labels.grid, labels.names)


def _kept(there: Mask, rule: Keep, voxel_mm3: float) -> AnyArray:
    import cc3d

    parts, count = cc3d.connected_components(np.ascontiguousarray(there), connectivity=26, return_N=True)
    volumes = np.bincount(np.asarray(parts).ravel(), minlength=count + 1) * voxel_mm3
    volumes[0] = 0
    stays = volumes >= max(rule.minimum_mm3 * (1 - 1e-9), 1e-12)
    if rule.largest:
        stays &= np.arange(count + 1) == volumes.argmax()
    return stays[np.asarray(parts)]
