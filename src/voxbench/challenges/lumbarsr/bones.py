"""Bone morphometry of a micro-CT and of a prediction, within the bone mask.

The organisers' script is not public: neither its threshold nor its definition of thickness is known, so these numbers
are ours, by the definitions of `voxbench.metrics.morphometry`, and are not to be set beside the published ones. One
threshold serves both volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxbench.errors import InputError
from voxbench.jobs import Record
from voxbench.metrics.morphometry import BoneMorphometry, bone_morphometry, otsu_threshold
from voxbench.metrics.significance import Alternative, signed_rank
from voxbench.types import AnyArray, Triple

QUANTITIES: dict[str, str] = {
    "bone_volume_fraction": "",
    "trabecular_thickness": "mm",
    "trabecular_thickness_std": "mm",
    "trabecular_thickness_largest": "mm",
    "trabecular_separation": "mm",
    "trabecular_number_plate": "1/mm",
    "trabecular_number_spacing": "1/mm",
    "distance_thickness": "mm",
    "distance_separation": "mm",
}
"""What is measured, with its unit; thickness and separation by sphere fitting, but for the two of the distances."""

CLAIMS: dict[str, Alternative] = {
    "bone_volume_fraction": "less",
    "trabecular_thickness": "greater",
    "trabecular_separation": "greater",
    "trabecular_number_plate": "less",
    "trabecular_number_spacing": "less",
    "distance_thickness": "greater",
    "distance_separation": "greater",
}
"""What the organisers claim of prediction minus reference: blur loses bone, thickens it and moves it apart."""


def bones(
    reference: AnyArray, prediction: AnyArray | None, mask: AnyArray, spacing: Triple, threshold: float | None
) -> Record:
    """Morphometry of both volumes in the bone mask.

    Args:
        reference: HU of the micro-CT.
        prediction: HU of the same shape; None if there is no usable one, its numbers are NaN then.
        mask: Bone mask, True inside.
        spacing: mm, isotropic.
        threshold: HU above which a voxel is bone; if None Otsu's of the micro-CT within the mask.

    Returns:
        ``threshold_hu``, ``threshold_from`` ("given" or "otsu"), ``reference``, ``prediction`` and ``difference``
        (prediction minus reference) by quantity.

    Raises:
        InputError: The mask is empty, the voxels are not isotropic, or there is no threshold to find.
    """
    level = otsu_threshold(reference, mask) if threshold is None else threshold
    true = _numbers(bone_morphometry(reference > level, spacing, mask))
    found = dict.fromkeys(true, float("nan"))
    if prediction is not None:
        found = _numbers(bone_morphometry(prediction > level, spacing, mask))
    return {
        "threshold_hu": level,
        "threshold_from": "otsu" if threshold is None else "given",
        "reference": true,
        "prediction": found,
        "difference": {name: found[name] - true[name] for name in true},
    }


def bones_of_case(key: str, images: tuple[AnyArray, AnyArray | None, AnyArray], *measures: Any) -> Record:
    """`bones` of micro-CT, prediction and mask, with spacing and threshold; complaints name the case."""
    try:
        return bones(*images, *measures)
    except InputError as error:
        raise type(error)(f"{key}: {error}") from error


def bone_rows(heads: Sequence[dict[str, Any]], records: Sequence[Record]) -> list[dict[str, Any]]:
    """Rows of bone_morphometry.csv: one per case and quantity."""
    return [
        head
        | {"threshold_hu": record["threshold_hu"], "threshold_from": record["threshold_from"]}
        | {"quantity": name, "unit": unit}
        | {kind: record[kind][name] for kind in ("reference", "prediction", "difference")}
        for head, record in zip(heads, records, strict=True)
        for name, unit in QUANTITIES.items()
    ]


def bone_summary(sequences: Sequence[str], records: Sequence[Record]) -> dict[str, dict[str, dict[str, Any]]]:
    """Per sequence and quantity: the median difference, and how likely the claim's rank sum is by chance.

    Differences that are undefined (NaN: no bone, no prediction) are left out and counted.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for sequence in sorted(set(sequences)):
        own = [record["difference"] for record, name in zip(records, sequences, strict=True) if name == sequence]
        result[sequence] = {
            name: _tested(np.array([float(differences[name]) for differences in own]), claim)
            for name, claim in CLAIMS.items()
        }
    return result


def _tested(differences: np.ndarray, claim: Alternative) -> dict[str, Any]:
    defined = differences[~np.isnan(differences)]
    test = signed_rank(defined, claim)
    return {
        "median_difference": float(np.median(defined)) if defined.size else float("nan"),
        "claim": claim,
        "pairs": test.pairs,
        "zero": test.dropped,
        "undefined": int(differences.size - defined.size),
        "statistic": test.statistic,
        "p_value": test.p_value,
    }


def _numbers(found: BoneMorphometry) -> dict[str, float]:
    return {
        "bone_volume_fraction": found.bone_volume_fraction,
        "trabecular_thickness": found.trabecular_thickness.mean,
        "trabecular_thickness_std": found.trabecular_thickness.std,
        "trabecular_thickness_largest": found.trabecular_thickness.largest,
        "trabecular_separation": found.trabecular_separation.mean,
        "trabecular_number_plate": found.trabecular_number_plate,
        "trabecular_number_spacing": found.trabecular_number_spacing,
        "distance_thickness": found.distance_thickness.mean,
        "distance_separation": found.distance_separation.mean,
    }
