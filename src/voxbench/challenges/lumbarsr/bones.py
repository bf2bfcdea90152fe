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


RANKED: dict[str, str] = {
    "bv_tv_error": "bone_volume_fraction",
    "tb_th_error": "trabecular_thickness",
    "tb_sp_error": "trabecular_separation",
    "tb_n_error": "trabecular_number_plate",
}
"""What methods are ranked by, the four quantities of the published tables: |prediction - micro-CT|, lower is better."""


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
    """Per sequence and quantity: mean and median difference, and how likely the claim's rank sum is by chance.

    Mean signed difference and exact one-sided test are the statistics the organisers publish. Cases whose difference is
    undefined (NaN: no bone, no prediction) are left out of everything and counted.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for sequence in sorted(set(sequences)):
        own = [record for record, name in zip(records, sequences, strict=True) if name == sequence]
        result[sequence] = {name: _tested(own, name, claim) for name, claim in CLAIMS.items()}
    return result


def ranked_errors(record: Record) -> dict[str, float]:
    """The numbers that methods are ranked by, of one case; NaN where one of the two volumes has none."""
    return {name: abs(float(record["difference"][quantity])) for name, quantity in RANKED.items()}


def _tested(records: Sequence[Record], name: str, claim: Alternative) -> dict[str, Any]:
    differences = np.array([float(record["difference"][name]) for record in records])
    there = ~np.isnan(differences)
    defined = differences[there]
    test = signed_rank(defined, claim)
    means = {kind: np.array([float(record[kind][name]) for record in records]) for kind in ("reference", "prediction")}
    return {
        **{f"mean_{kind}": _mean(values[there]) for kind, values in means.items()},
        "mean_difference": _mean(defined),
        "median_difference": float(np.median(defined)) if defined.size else float("nan"),
        "claim": claim,
        "pairs": test.pairs,
        "zero": test.dropped,
        "undefined": int(differences.size - defined.size),
        "statistic": test.statistic,
        "p_value": test.p_value,
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


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
