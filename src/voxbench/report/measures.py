"""The numbers of a scores.json as quantities of structures, under names that people use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxbench.challenges.tables import Run
from voxbench.metrics.scores import Better

ALL = "all"
OFFICIAL = " (official)"
"""What a quantity is called that is the organisers' number; ours have plain names."""


@dataclass(frozen=True)
class Measure:
    """One quantity of one structure.

    Attributes:
        quantity: E.g. ``Dice``.
        structure: Of what, e.g. ``femur``; ``all`` for everything together.
        better: Which way it improves.
        unit: Empty for a pure number.
        values: By case (of details, by case and thing); NaN where it is undefined.
    """

    quantity: str
    structure: str
    better: Better
    unit: str
    values: Mapping[str, float] = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.quantity, self.structure

    @property
    def defined(self) -> np.ndarray:
        """The values that are numbers, infinite ones too."""
        values = np.array(list(self.values.values()), np.float64)
        return values[~np.isnan(values)]


def measures_of(
    run: Run, content: Mapping[str, Any], official: Mapping[str, Any]
) -> tuple[tuple[Measure, ...], tuple[Measure, ...]]:
    """The measures of a run, and finer ones by structure.

    Args:
        run: Its table.
        content: All of its scores.json.
        official: Its metrics.json; empty if there is none.
    """
    named = _NAMES.get(run.challenge, {})
    measures = []
    for metric in run.metrics.values():
        quantity, structure = named.get(metric.name) or _split(metric.name)
        measures.append(Measure(quantity, structure, metric.better, metric.unit, run.values[metric.name]))
    cases: Mapping[str, Mapping[str, Any]] = content["cases"]
    if run.challenge == "lumir25":
        measures += _lumir25_honest(cases)
        return tuple(measures), tuple(_lumir25_labels(content, official))
    if run.challenge == "spider":
        return tuple(measures), tuple(_spider_structures(cases))
    if run.challenge == "lnq2023":
        return tuple(measures), tuple(_nodes(cases))
    return tuple(measures), ()


def headline(challenge: str, measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """The few that cases are judged by."""
    wanted = _HEADLINES.get(challenge, ())
    found = tuple(measure for key in wanted for measure in measures if measure.key == key)
    return found or tuple(measures[:3])


_GROUPS = {"Vertebrae": "vertebrae", "Discs": "discs", "SpinalCanal": "canal"}
_SPIDER = {
    **{f"DiceScore{key}": ("Dice" + OFFICIAL, name) for key, name in _GROUPS.items()},
    "OveralDiceScore": ("Dice" + OFFICIAL, ALL),
    **{f"DetectionRate{key}": ("detection rate" + OFFICIAL, name) for key, name in _GROUPS.items()},
    **{f"ASD{key}": ("ASD" + OFFICIAL, name) for key, name in _GROUPS.items()},
    "OveralASD": ("ASD" + OFFICIAL, ALL),
    **{f"asd_{name}": ("ASD", name) for name in _GROUPS.values()},
    "asd_overall": ("ASD", ALL),
    **{f"dice_{name}": ("Dice, one to one", name) for name in _GROUPS.values()},
    "dice": ("Dice, one to one", ALL),
    **{f"detection_rate_{name}": ("detection rate", name) for name in _GROUPS.values()},
    "precision": ("precision", ALL),
}
_LNQ = {
    "DiceCoefficient": ("Dice" + OFFICIAL, ALL),
    "AverageSymmetricSurfaceDistance": ("ASSD" + OFFICIAL, ALL),
    "dice": ("Dice", ALL),
    "detection_rate": ("detection rate", "nodes"),
    "detection_rate_enlarged": ("detection rate", "short axis ≥ 10 mm"),
    "precision": ("precision", "nodes"),
    "assd_pooled": ("ASSD, pooled", ALL),
    "hd95": ("HD95", ALL),
}
_LUMIR = {
    "DSC": ("Dice" + OFFICIAL, ALL),
    "HD95": ("HD95" + OFFICIAL, ALL),
    "TRE_lm": ("TRE, landmarks" + OFFICIAL, ALL),
    "TRE_kp": ("TRE, key points" + OFFICIAL, ALL),
    "Non-diffeomorphic Volumes": ("non-diffeomorphic volume" + OFFICIAL, ALL),
    "num_foldings": ("folded voxels" + OFFICIAL, ALL),
}
_SSRKD = {"dsc": "DSC", "hd": "HD" + OFFICIAL, "assd": "ASSD" + OFFICIAL}
_SSRKD |= {"assd_surface": "ASSD", "masd_surface": "MASD", "hd_surface": "HD", "hd95_surface": "HD95"}
_BONES = ("patella", "femur", "fibula", "tibia")
_SSRKD_NAMES = {key: (name, "mean of four") for key, name in _SSRKD.items()} | {
    f"{key} {bone}": (name, bone) for key, name in _SSRKD.items() for bone in _BONES
}
_MODES = {"full": "everything", "non_air": "without air", "bone_mask": "bone mask"}
_WINDOWS = {"raw": "whole range", "bone": "bone window", "soft_tissue": "soft-tissue window"}
_LUMBARSR = {
    f"{key} {mode} {window}": (name, f"{mode_name}, {window_name}")
    for key, name in {
        **{key: key.upper() + OFFICIAL for key in ("psnr", "ssim", "mae")},
        **{key: key.upper() for key in ("ncc", "rmse", "nrmse")},
    }.items()
    for mode, mode_name in _MODES.items()
    for window, window_name in _WINDOWS.items()
} | {
    "lbc_ratio": ("local bone contrast, ratio" + OFFICIAL, ALL),
    "bv_tv_error": ("error of BV/TV", ALL),
    "tb_th_error": ("error of Tb.Th", ALL),
    "tb_sp_error": ("error of Tb.Sp", ALL),
    "tb_n_error": ("error of Tb.N", ALL),
}
_NAMES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "spider": _SPIDER,
    "lnq2023": _LNQ,
    "lumir25": _LUMIR,
    "ssrkd": _SSRKD_NAMES,
    "lumbarsr": _LUMBARSR,
}
_BONE_WINDOW = "bone mask, bone window"
_HEADLINES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "spider": (("Dice, one to one", ALL), ("detection rate", "vertebrae"), ("detection rate", "discs"), ("ASD", ALL)),
    "lnq2023": (("Dice", ALL), ("detection rate", "nodes"), ("precision", "nodes"), ("HD95", ALL)),
    "lumir25": (
        ("Dice" + OFFICIAL, ALL),
        ("HD95" + OFFICIAL, ALL),
        ("TRE, landmarks" + OFFICIAL, ALL),
        ("non-diffeomorphic volume" + OFFICIAL, ALL),
    ),
    "ssrkd": (("ASSD" + OFFICIAL, "mean of four"), ("DSC", "mean of four"), ("HD95", "mean of four")),
    "lumbarsr": (
        ("PSNR" + OFFICIAL, _BONE_WINDOW),
        ("SSIM" + OFFICIAL, _BONE_WINDOW),
        ("local bone contrast, ratio" + OFFICIAL, ALL),
    ),
}
_LUMIR_HONEST: Mapping[str, tuple[str, Better, str]] = {
    "dice_without_background": ("Dice, without background", "higher", ""),
    "hd95_mm_without_background": ("HD95, without background", "lower", "mm"),
    "tre_mm": ("TRE", "lower", "mm"),
    "non_diffeomorphic_volume_percent": ("non-diffeomorphic volume", "lower", "%"),
    "folded_voxels": ("folded voxels", "lower", ""),
}


def _split(name: str) -> tuple[str, str]:
    """A metric that is not known here: as it is called."""
    return name, ALL


def _lumir25_honest(cases: Mapping[str, Mapping[str, Any]]) -> Iterator[Measure]:
    """Our numbers, which are not in the table."""
    for key, (name, better, unit) in _LUMIR_HONEST.items():
        values = {case: float(about[key]) for case, about in cases.items() if isinstance(about.get(key), int | float)}
        if values:
            yield Measure(name, ALL, better, unit, values)


def _lumir25_labels(content: Mapping[str, Any], official: Mapping[str, Any]) -> Iterator[Measure]:
    """Dice and HD95 of every label, where the configuration's labels are told."""
    labels: dict[str, list[int]] = {}
    for config in content.get("configs") or ():
        for name, ids in (config.get("labels") or {}).items():
            labels.setdefault(name, list(ids))
    found: dict[tuple[str, int], dict[str, float]] = {}
    for case, numbers in (official.get("cases") or {}).items():
        for name, ids in labels.items():
            detailed = (numbers.get(name) or {}).get("detailed")
            if isinstance(detailed, list) and len(detailed) == len(ids):
                for label, value in zip(ids, detailed, strict=True):
                    found.setdefault((name, label), {})[case] = _number(value)
    units: Mapping[str, tuple[Better, str]] = {"DSC": ("higher", ""), "HD95": ("lower", "voxels")}
    for (name, label), values in found.items():
        better, unit = units.get(name, ("lower", ""))
        yield Measure(f"{_LUMIR.get(name, (name, ''))[0]} by label", f"label {label}", better, unit, values)


def _spider_structures(cases: Mapping[str, Mapping[str, Any]]) -> Iterator[Measure]:
    """Dice and ASD of every structure of the references, from above to below."""
    rows = [(case, row) for case, about in cases.items() for row in about.get("structures") or ()]
    labels = sorted({int(row["label"]) for _, row in rows}, key=_from_above)
    kinds: tuple[tuple[str, str, Better, str], ...] = (
        ("dice", "Dice by structure", "higher", ""),
        ("asd", "ASD by structure", "lower", "mm"),
    )
    for key, name, better, unit in kinds:
        for label in labels:
            values = {case: _number(row[key]) for case, row in rows if row["label"] == label}
            yield Measure(name, spine_name(label), better, unit, values)


def _from_above(label: int) -> tuple[int, float]:
    """Vertebrae and discs in the order in which they lie, the canal last."""
    if label == 100:
        return 1, 0.0
    number = label % 100
    return 0, -(number - 0.5 if label > 200 else float(number))


def spine_name(label: int) -> str:
    """What a label of the spine is called; its number if it means nothing."""
    from voxbench.errors import InputError
    from voxbench.geometry.spine_labels import structure_of

    try:
        structure = structure_of(label)
    except InputError:
        return f"label {label}"
    return structure.name if structure.complete else f"{structure.name} (in part)"


def _nodes(cases: Mapping[str, Mapping[str, Any]]) -> Iterator[Measure]:
    """Dice of every node of the references, by its short axis."""
    sizes = {"short axis < 10 mm": (0.0, 10.0), "10 to 15 mm": (10.0, 15.0), "15 mm or more": (15.0, np.inf)}
    nodes = {
        f"{case}, node {number}": row
        for case, about in cases.items()
        for number, row in enumerate(about.get("nodes") or (), 1)
    }
    for name, (low, high) in sizes.items():
        values = {key: _number(row["dice"]) for key, row in nodes.items() if low <= row["short_axis_mm"] < high}
        if values:
            yield Measure("Dice by node", name, "higher", "", values)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def by_quantity(measures: Iterable[Measure]) -> dict[str, list[Measure]]:
    """Measures of one quantity together, in the order in which they turn up."""
    groups: dict[str, list[Measure]] = {}
    for measure in measures:
        groups.setdefault(measure.quantity, []).append(measure)
    return groups
