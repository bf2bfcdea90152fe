"""SPIDER's numbers of one series; label maps in, numbers out.

Source of the official rules: evaluation.py of SPIDER-Evaluation, which asks medpy for its distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from voxbench.challenges.spider.cases import GROUPS, Group, group_of, official_group
from voxbench.errors import EmptyShapeError, GridMismatchError
from voxbench.geometry import LabelMap
from voxbench.metrics.borders import borders_of, box_of_labels, distances_between
from voxbench.metrics.instances import Contingency, Match, contingency, match_table
from voxbench.metrics.surface import Box, join_boxes, label_boxes
from voxbench.types import Labels

THRESHOLD = 0.1
"""A structure with a smaller Dice is missed."""
ABSENT = 999.0
"""The organisers' Dice and distance of a canal that the reference does not have."""
DICE: dict[Group, str] = {"vertebrae": "DiceScoreVertebrae", "discs": "DiceScoreDiscs", "canal": "DiceScoreSpinalCanal"}
RATES: dict[Group, str] = {"vertebrae": "DetectionRateVertebrae", "discs": "DetectionRateDiscs"}
DISTANCES: dict[Group, str] = {"vertebrae": "ASDVertebrae", "discs": "ASDDiscs", "canal": "ASDSpinalCanal"}
OFFICIAL = (*DICE.values(), "OveralDiceScore", *RATES.values(), *DISTANCES.values(), "OveralASD")
"""The keys of metrics.json, their spelling too."""
ASD = ("asd_vertebrae", "asd_discs", "asd_canal", "asd_overall")
"""The same distances with the spacing at the right axes."""
HONEST = (*(f"dice_{group}" for group in GROUPS), *(f"detection_rate_{group}" for group in GROUPS), "dice", "precision")
_MANY = 1 << 16

Row = dict[str, Any]


def is_distance(name: str) -> bool:
    """Whether a number is in mm, and better if lower."""
    return name.startswith(("ASD", "OveralASD", "asd"))


WORST = {name: float("inf") if is_distance(name) else 0.0 for name in (*OFFICIAL, *ASD, *HONEST)}
"""The challenge names none, and its script leaves an empty prediction out of some means; these are bounds."""


def score_labels(reference: LabelMap, prediction: LabelMap) -> dict[str, Any]:
    """All numbers of one series.

    Args:
        reference: Labels by SPIDER's numbers.
        prediction: The same; only that structures differ matters to the official numbers.

    Returns:
        ``official`` (by the keys of metrics.json), ``asd``, ``honest``, ``surplus`` (predicted labels that match
        nothing) and ``structures``: each label of the reference with its match and numbers.

    Raises:
        GridMismatchError: The shapes differ.
        EmptyShapeError: The reference lacks vertebrae or discs.
    """
    shapes = reference.array.shape, prediction.array.shape
    if shapes[0] != shapes[1]:
        raise GridMismatchError(f"the label maps differ in shape\n  reference   {shapes[0]}\n  prediction  {shapes[1]}")
    box = box_of_labels(reference.array, prediction.array)
    ones, (others, ids) = reference.array[box], _compact(prediction.array[box])
    table = contingency(ones, others)
    _require_groups(table.reference)
    rows = _structures((ones, others), table, reference.grid.spacing)
    honest, surplus = _honest(replace(table, prediction=tuple(ids[i] for i in table.prediction)))
    for row in rows:
        row["match"] = None if row["match"] is None else ids[row["match"]]
    return {
        "official": official_numbers(rows),
        "asd": _asd(rows),
        "honest": honest,
        "surplus": surplus,
        "structures": rows,
    }


def official_numbers(rows: Sequence[Row]) -> dict[str, float]:
    """The numbers of metrics.json of one series, from its structures (``label``, ``dice``, ``asd_official``).

    Means of Dice are over what is not missed, means of distances over everything: NaN as soon as one structure meets
    nothing at all.
    """
    of: dict[Group, list[Row]] = {g: [row for row in rows if official_group(row["label"]) == g] for g in GROUPS}
    found = {g: [row["dice"] for row in members if row["dice"] >= THRESHOLD] for g, members in of.items()}
    numbers = {DICE[g]: _mean(found[g]) for g in RATES}
    numbers |= {DICE["canal"]: of["canal"][0]["dice"] if of["canal"] else ABSENT}
    numbers |= {"OveralDiceScore": _mean([row["dice"] for row in rows])}
    numbers |= {name: len(found[g]) / len(of[g]) for g, name in RATES.items()}
    numbers |= {name: _mean([row["asd_official"] for row in of[g]]) for g, name in DISTANCES.items()}
    if not of["canal"]:
        numbers[DISTANCES["canal"]] = ABSENT
    return numbers | {"OveralASD": _mean([row["asd_official"] for row in rows])}


def _asd(rows: Sequence[Row]) -> dict[str, float]:
    """The official means of distances with the right spacing; NaN for a canal that is not there."""
    means = {f"asd_{g}": _mean([row["asd"] for row in rows if official_group(row["label"]) == g]) for g in GROUPS}
    return means | {"asd_overall": _mean([row["asd"] for row in rows])}


def _structures(maps: tuple[Labels, Labels], table: Contingency, spacing: np.ndarray) -> list[Row]:
    """Every structure of the reference with the label that covers most of it."""
    boxes = label_boxes(maps[0]), label_boxes(maps[1])
    i, j, k = (float(s) for s in spacing)
    rows = []
    for match in match_table(table, "most-shared").matches:
        row: Row = {"label": match.reference, "match": match.prediction, "dice": match.dice}
        right = wrong = float("nan")
        if match.prediction is not None:
            box = join_boxes(boxes[0][match.reference], boxes[1][match.prediction])
            right, wrong = _distances(maps, match, box, (i, j, k))
        rows.append(row | {"missed": match.dice < THRESHOLD, "asd": right, "asd_official": wrong})
    return rows


def _distances(
    maps: tuple[Labels, Labels], match: Match, box: Box, spacing: tuple[float, float, float]
) -> tuple[float, float]:
    """Mean distance between borders with the right spacing, and with the organisers' (in reverse order)."""
    borders = borders_of(maps[0][box] == match.reference, maps[1][box] == match.prediction, "full")
    right = distances_between(borders, spacing).assd
    if spacing[0] == spacing[2]:
        return right, right
    return right, distances_between(borders, (spacing[2], spacing[1], spacing[0])).assd


def _honest(table: Contingency) -> tuple[dict[str, float], list[int]]:
    """One-to-one and only within a group; what is missed counts."""
    same = [[group_of(one) == group_of(other) for other in table.prediction] for one in table.reference]
    allowed = np.array(same, dtype=bool).reshape(table.shared.shape)
    found = match_table(replace(table, shared=table.shared * allowed), "one-to-one")
    numbers: dict[str, float] = {}
    for group in GROUPS:
        dice = [match.dice for match in found.matches if group_of(match.reference) == group]
        numbers[f"dice_{group}"] = _mean(dice)
        numbers[f"detection_rate_{group}"] = _mean([float(d >= THRESHOLD) for d in dice])
    numbers |= {"dice": found.mean_dice, "precision": found.precision(THRESHOLD)}
    return {name: numbers[name] for name in HONEST}, list(found.surplus)


def _compact(labels: Labels) -> tuple[Labels, dict[int, int]]:
    """Labels small enough to have tables of them, in the same order, and which is which."""
    most = int(labels.max()) if labels.size else 0
    if most < _MANY:
        return labels, {i: i for i in range(most + 1)}
    ids, small = np.unique(labels, return_inverse=True)
    start = int(ids[0] != 0)
    small = small.reshape(labels.shape).astype(np.int32) + start
    return small, {number + start: int(label) for number, label in enumerate(ids)}


def _require_groups(labels: Sequence[int]) -> None:
    """The official detection rates divide by the number of vertebrae and of discs."""
    there = {official_group(label) for label in labels}
    lacking = [group for group in RATES if group not in there]
    if lacking:
        raise EmptyShapeError(
            f"the reference has no {' and no '.join(lacking)}: the official evaluation divides by their number\n"
            f"  its labels are {', '.join(map(str, labels)) or 'none'}; vertebrae are 1 to 99, discs above 200"
        )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
