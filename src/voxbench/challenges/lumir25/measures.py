"""The metrics of one pair that a configuration asks for, from the files; what several of them need is read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.lumir25.cases import Method, Metric, Pair
from voxbench.challenges.lumir25.scoring import (
    UNIT,
    Result,
    WarpedLabels,
    nan_mean,
    official_dice,
    official_hd95,
    official_ndv,
    official_sdlogj,
    official_tre,
)
from voxbench.errors import GridMismatchError
from voxbench.geometry import LabelMap
from voxbench.io import read_labels, read_volume
from voxbench.metrics import Diffeomorphism, landmark_errors

WORST: dict[Metric, float] = {
    "dice": 0.0,
    "hd95": float("inf"),
    "tre": float("inf"),
    "ndv": 100.0,
    "sdlogj": float("inf"),
}
"""What a pair without a usable field is given when that is allowed; the organisers refuse it."""


@dataclass
class Measured:
    """One pair on the way through its metrics; what is read is read once.

    Attributes:
        pair: The pair.
        masked: Whether SD log J is restricted to mask files.
        references: Folder of images, labels and landmarks.
        displacement: Planar (3, i, j, k), voxels.
        official: The official numbers, by the configuration's names.
        honest: Ours.
    """

    pair: Pair
    masked: bool
    references: Path
    displacement: np.ndarray
    official: dict[str, Result] = field(default_factory=dict)
    honest: dict[str, Any] = field(default_factory=dict)
    _labels: dict[str, tuple[WarpedLabels, tuple[float, float, float]]] = field(default_factory=dict)

    def labels(self, destination: str) -> tuple[WarpedLabels, tuple[float, float, float]]:
        """The pair's label or landmark maps and the fixed one's spacing, mm."""
        if destination not in self._labels:
            fixed, moving = (
                read_labels(
                    self.pair.beside(which, self.references, destination)
                    if destination == "labels"
                    else self.pair.landmarks(which, self.references, destination)
                )
                for which in ("fixed", "moving")
            )
            self.require_shape(fixed, destination)
            spacing = tuple(float(s) for s in np.round(fixed.grid.spacing, 6))
            warped = WarpedLabels(fixed.array, moving.array, self.displacement)
            self._labels[destination] = (warped, (spacing[0], spacing[1], spacing[2]))
        return self._labels[destination]

    def require_shape(self, fixed: LabelMap, what: str) -> None:
        """Refuse a reference of another shape than the field."""
        if fixed.array.shape != self.displacement.shape[1:]:
            raise GridMismatchError(
                f"{self.pair.key}: the fixed image's {what} and the field differ in shape\n"
                f"  {what}  {fixed.array.shape}\n  field   {self.displacement.shape[1:]}"
            )


def measure(case: Measured, methods: Sequence[Method]) -> Measured:
    """The case with every metric measured, in order.

    Raises:
        FileReadError: A reference is missing or damaged.
        GridMismatchError: A reference and the field differ in shape; the pair is named.
    """
    for method in methods:
        _MEASURES[method.metric](case, method)
    return case


def worst(methods: Sequence[Method]) -> dict[str, Result]:
    """The worst values of every metric: Dice 0, distances infinite, the whole volume folded."""
    result: dict[str, Result] = {}
    for method in methods:
        value = WORST[method.metric]
        result[method.name] = {"mean": value, "detailed": [value] * len(method.labels) if method.labels else value}
        if method.metric == "sdlogj":
            result["num_foldings"] = {"mean": value, "detailed": value}
    return result


def _measure_ndv(case: Measured, method: Method) -> None:
    image = read_volume(case.pair.image("fixed", case.references))
    if image.array.shape != case.displacement.shape[1:]:
        raise GridMismatchError(
            f"{case.pair.key}: the fixed image and the field differ in shape\n"
            f"  image  {image.array.shape}\n  field  {case.displacement.shape[1:]}"
        )
    case.official[method.name], measured = official_ndv(case.displacement, image.array)
    case.honest.update(_regularity(measured))


def _measure_dice(case: Measured, method: Method) -> None:
    labels, _ = case.labels("labels")
    result = case.official[method.name] = official_dice(labels, method.labels)
    values = np.array([v for i, v in zip(method.labels, result["detailed"], strict=True) if i != 0])
    lost = labels.lost(method.labels)
    case.honest.update(dice_without_background=nan_mean(values), lost_labels=lost)


def _measure_hd95(case: Measured, method: Method) -> None:
    labels, spacing = case.labels("labels")
    result = case.official[method.name] = official_hd95(labels, method.labels)
    in_mm = result if spacing == UNIT else official_hd95(labels, method.labels, spacing)
    values = np.array([v for i, v in zip(method.labels, in_mm["detailed"], strict=True) if i != 0])
    case.honest.update(hd95_mm_without_background=nan_mean(values), spacing_mm=spacing)


def _measure_tre(case: Measured, method: Method) -> None:
    labels, spacing = case.labels(method.destination)
    case.official[method.name] = official_tre(labels)
    errors = landmark_errors(labels.fixed, labels.warped, spacing=spacing)
    case.honest.update(tre_mm=errors.mean, lost_landmarks=errors.lost, spacing_mm=spacing)


def _measure_sdlogj(case: Measured, method: Method) -> None:
    mask = None
    mask_path = case.pair.beside("fixed", case.references, "masks")
    if case.masked and mask_path.exists():  # without the file the official script goes on without a mask
        mask = read_labels(mask_path).mask()
    case.official[method.name], case.official["num_foldings"] = official_sdlogj(case.displacement, mask)


_MEASURES: dict[Metric, Callable[[Measured, Method], None]] = {
    "ndv": _measure_ndv,
    "dice": _measure_dice,
    "hd95": _measure_hd95,
    "tre": _measure_tre,
    "sdlogj": _measure_sdlogj,
}


def _regularity(measured: Diffeomorphism) -> dict[str, Any]:
    return {
        "non_diffeomorphic_volume_percent": measured.volume_percent,
        "folded_voxels": measured.folded,
        "folded_percent": measured.folded_percent,
    }
