"""LNQ 2023's numbers of one case; masks in, numbers out.

Source of the official rules: the evaluation of LymphNodeQuantification/LNQ2023, which asks SimpleITK.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from voxbench.errors import GridMismatchError
from voxbench.geometry import Grid, LabelMap
from voxbench.metrics.borders import BorderDistances, Box, border_distances, box_of_labels
from voxbench.metrics.instances import Instances, match_instances
from voxbench.metrics.nodes import SHORT_AXIS_MM, components, measured
from voxbench.types import Mask

DICE, ASSD = "DiceCoefficient", "AverageSymmetricSurfaceDistance"
WORST_OFFICIAL = {DICE: 0.0, ASSD: float("nan")}
"""What the official evaluation gives an empty prediction."""
HIGHER = ("dice", "detection_rate", "detection_rate_enlarged", "precision")
LOWER = ("assd_pooled", "hd95")
WORST_HONEST = dict.fromkeys(HIGHER, 0.0) | dict.fromkeys(LOWER, float("inf"))
DETECTED = 0.1
"""A node is detected when its Dice with its own component of the prediction reaches this."""

Bytes = UInt8[np.ndarray, "i j k"]
AnyLabels = Integer[np.ndarray, "i j k"]


def score_masks(reference: LabelMap, prediction: LabelMap) -> dict[str, Any]:
    """All numbers of one case.

    Args:
        reference: 1 in nodes.
        prediction: The same, on the same grid.

    Returns:
        ``official`` (Dice, ASSD), ``honest``, and ``nodes``, those of the reference.

    Raises:
        GridMismatchError: The shapes differ.
    """
    shapes = reference.array.shape, prediction.array.shape
    if shapes[0] != shapes[1]:
        raise GridMismatchError(f"the masks differ in shape\n  reference   {shapes[0]}\n  prediction  {shapes[1]}")
    box = box_of_labels(reference.array, prediction.array, margin=1)
    grid = _cropped(reference.grid, box)
    ones, others = reference.array[box], prediction.array[box]
    masks = ones != 0, others != 0
    distances = border_distances(*masks, _spacing(grid), edge=False)
    touching = any(mask.shape[a] and mask.take((0, -1), a).any() for mask in masks for a in range(3))
    with_edge = border_distances(*masks, _spacing(grid)) if touching else distances
    nodes, detection = _nodes(masks[0], masks[1], grid)
    return {
        "official": _official(ones, others, distances),
        "honest": _honest(masks[0], masks[1], grid.voxel_volume) | _distances(with_edge) | detection,
        "nodes": nodes,
    }


def official_dice(reference: Bytes, prediction: Bytes) -> float:
    """Dice of all labels together, shared where both have the same value; infinite if both are empty."""
    shared = int(np.count_nonzero((reference == prediction) & (reference != 0)))
    total = int(np.count_nonzero(reference)) + int(np.count_nonzero(prediction))
    return 2.0 * shared / total if total else float("inf")


def _official(reference: AnyLabels, prediction: AnyLabels, distances: BorderDistances) -> dict[str, float]:
    """The two numbers of metrics.json; for Dice both become one byte a voxel first, so that 257 is 1."""
    return {
        DICE: official_dice(reference.astype(np.uint8), prediction.astype(np.uint8)),
        ASSD: distances.masd,
    }


def _honest(reference: Mask, prediction: Mask, voxel_mm3: float) -> dict[str, float]:
    sizes = int(np.count_nonzero(reference)), int(np.count_nonzero(prediction))
    shared = int(np.count_nonzero(reference & prediction))
    return {
        "dice": 2.0 * shared / sum(sizes) if sum(sizes) else float("nan"),
        "volume_reference_mm3": sizes[0] * voxel_mm3,
        "volume_prediction_mm3": sizes[1] * voxel_mm3,
    }


def _distances(found: BorderDistances) -> dict[str, float]:
    return {"assd_pooled": found.assd, "hd95": found.hausdorff(95)}


def _nodes(reference: Mask, prediction: Mask, grid: Grid) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every node of the reference with what met it, and how many were met."""
    numbered = components(reference)
    nodes = measured(numbered, grid)
    matched = match_instances(numbered, components(prediction), "one-to-one")
    covered = np.bincount(numbered[prediction], minlength=len(nodes) + 1)
    rows = [
        {
            "volume_mm3": node.volume_mm3,
            "long_axis_mm": node.long_axis_mm,
            "short_axis_mm": node.short_axis_mm,
            "enlarged": node.enlarged(SHORT_AXIS_MM),
            "centre": list(node.centre),
            "covered": int(covered[node.id]) / node.voxels,
            "dice": match.dice,
        }
        for node, match in zip(nodes, matched.matches, strict=True)
    ]
    return rows, _detection(matched, rows)


def _detection(matched: Instances, rows: list[dict[str, Any]]) -> dict[str, Any]:
    large = [row["dice"] >= DETECTED for row in rows if row["enlarged"]]
    taken = {match.prediction for match in matched.matches if match.prediction is not None}
    return {
        "nodes": len(rows),
        "nodes_enlarged": len(large),
        "nodes_predicted": len(taken) + len(matched.surplus),
        "nodes_detected": len(matched.detected(DETECTED)),
        "detection_rate": matched.detection_rate(DETECTED),
        "detection_rate_enlarged": sum(large) / len(large) if large else float("nan"),
        "precision": matched.precision(DETECTED),
    }


def _cropped(grid: Grid, box: Box) -> Grid:
    """The grid of a box; of a single voxel if the box is empty, for a grid has voxels."""
    start = tuple(axis.start for axis in box)
    stop = tuple(max(axis.stop, axis.start + 1) for axis in box)
    return grid.cropped((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _spacing(grid: Grid) -> tuple[float, float, float]:
    i, j, k = (float(s) for s in grid.spacing)
    return i, j, k
