"""Which predicted object is which object of the reference, and how well each is met.

The rule of matching decides what an evaluation rewards, so it has a name and is always asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Integer

from voxbench.errors import GridMismatchError, UsageError
from voxbench.types import Labels

Rule = Literal["most-shared", "one-to-one", "same-id"]
"""``most-shared``: each reference object takes the predicted id that covers most of it (the smallest of equals); one
predicted object may be taken several times. ``one-to-one``: each at most once, so that the sum of Dice is largest.
``same-id``: the predicted object of the same id."""

OtherLabels = Integer[np.ndarray, "x y z"]
"""Labels whose shape is still to be compared."""

_CHUNK = 1 << 20
_LARGEST_TABLE = 1 << 16


@dataclass(frozen=True)
class Match:
    """One object of the reference and what it was matched with.

    Attributes:
        reference: Its id.
        prediction: The predicted id; None if nothing predicted matches.
        reference_voxels: Voxels of the reference's object.
        prediction_voxels: Voxels of the whole predicted object; 0 without one.
        shared: Voxels of both.
    """

    reference: int
    prediction: int | None
    reference_voxels: int
    prediction_voxels: int
    shared: int

    @property
    def dice(self) -> float:
        """Twice the shared voxels over the sum of both; 0 without a match."""
        return 2.0 * self.shared / (self.reference_voxels + self.prediction_voxels)

    @property
    def iou(self) -> float:
        """Shared voxels over those of either; 0 without a match."""
        return self.shared / (self.reference_voxels + self.prediction_voxels - self.shared)


@dataclass(frozen=True)
class Instances:
    """Every object of the reference with its match.

    Attributes:
        rule: How they were matched.
        matches: One per object of the reference, by id.
        surplus: Predicted ids that no object of the reference took.
    """

    rule: Rule
    matches: tuple[Match, ...]
    surplus: tuple[int, ...]

    def detected(self, threshold: float | int) -> tuple[Match, ...]:
        """The matches whose Dice is at least the threshold (and above 0)."""
        return tuple(match for match in self.matches if match.shared and match.dice >= threshold)

    def missed(self, threshold: float | int) -> tuple[int, ...]:
        """Ids of the reference's objects that are not detected."""
        found = {match.reference for match in self.detected(threshold)}
        return tuple(match.reference for match in self.matches if match.reference not in found)

    def detection_rate(self, threshold: float | int) -> float:
        """Share of the reference's objects that are detected; NaN if there are none."""
        return len(self.detected(threshold)) / len(self.matches) if self.matches else float("nan")

    def precision(self, threshold: float | int) -> float:
        """Share of the predicted objects that detect one; NaN if none was predicted."""
        predicted = {match.prediction for match in self.matches if match.prediction is not None} | set(self.surplus)
        right = {match.prediction for match in self.detected(threshold)}
        return len(right) / len(predicted) if predicted else float("nan")

    def f1(self, threshold: float | int) -> float:
        """Harmonic mean of detection rate and precision; NaN if there is neither reference nor prediction."""
        rate, precision = self.detection_rate(threshold), self.precision(threshold)
        if np.isnan(rate) and np.isnan(precision):
            return float("nan")
        rate, precision = np.nan_to_num(rate), np.nan_to_num(precision)
        return float(2 * rate * precision / (rate + precision)) if rate + precision else 0.0

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the reference's objects, missed ones with what they have; NaN if there are none."""
        return float(np.mean([match.dice for match in self.matches])) if self.matches else float("nan")


@dataclass(frozen=True, eq=False)
class Contingency:
    """How the voxels of two label maps fall together; background (0) is left out of the ids.

    Attributes:
        reference: Ids of the reference, ascending.
        prediction: Ids of the prediction, ascending.
        reference_voxels: Voxels of each, int64 (n,).
        prediction_voxels: Voxels of each, int64 (m,).
        shared: Voxels of both, int64 (n, m).
    """

    reference: tuple[int, ...]
    prediction: tuple[int, ...]
    reference_voxels: np.ndarray
    prediction_voxels: np.ndarray
    shared: np.ndarray

    def match(self, row: int, column: int | None) -> Match:
        """The match of an object of the reference with one of the prediction, by their places."""
        voxels = int(self.reference_voxels[row])
        if column is None:
            return Match(self.reference[row], None, voxels, 0, 0)
        shared = int(self.shared[row, column])
        return Match(self.reference[row], self.prediction[column], voxels, int(self.prediction_voxels[column]), shared)


def match_instances(reference: Labels, prediction: OtherLabels, rule: Rule) -> Instances:
    """Match the objects of two label maps on one grid.

    Args:
        reference: Ids; 0 is background.
        prediction: Ids; 0 is background.
        rule: How.

    Raises:
        GridMismatchError: The shapes differ.
        UsageError: There is no such rule.
    """
    return match_table(contingency(reference, prediction), rule)


def match_table(table: Contingency, rule: Rule) -> Instances:
    """Match objects whose voxels are counted already.

    Args:
        table: The counts.
        rule: How.

    Raises:
        UsageError: There is no such rule.
    """
    if rule not in _RULES:
        raise UsageError(f"no matching rule '{rule}'; there are {', '.join(get_args(Rule))}")
    columns = _RULES[rule](table)
    matches = tuple(table.match(row, column) for row, column in enumerate(columns))
    taken = {match.prediction for match in matches}
    return Instances(rule, matches, tuple(i for i in table.prediction if i not in taken))


def contingency(reference: Labels, prediction: OtherLabels) -> Contingency:
    """Count how the voxels of two label maps fall together, in pieces, so that little memory is needed.

    Raises:
        GridMismatchError: The shapes differ.
    """
    if reference.shape != prediction.shape:
        raise GridMismatchError(
            f"the label maps differ in shape\n  reference   {reference.shape}\n  prediction  {prediction.shape}"
        )
    ones, others = np.ascontiguousarray(reference).reshape(-1), np.ascontiguousarray(prediction).reshape(-1)
    rows, columns = _ids(ones), _ids(others)
    counts = np.zeros((rows.size + 1) * (columns.size + 1), np.int64)
    for start in range(0, ones.size, _CHUNK):
        one, other = ones[start : start + _CHUNK], others[start : start + _CHUNK]
        some = (one != 0) | (other != 0)
        place = _places(one[some], rows) * (columns.size + 1) + _places(other[some], columns)
        counts += np.bincount(place, minlength=counts.size)
    table = counts.reshape(rows.size + 1, columns.size + 1)
    sizes = table[1:].sum(axis=1), table[:, 1:].sum(axis=0)
    return Contingency(tuple(rows.tolist()), tuple(columns.tolist()), *sizes, table[1:, 1:])


def _ids(labels: np.ndarray) -> np.ndarray:
    """The ids present, 0 left out, ascending, int64."""
    pieces = (labels[start : start + _CHUNK] for start in range(0, labels.size, _CHUNK))
    if labels.size and int(labels.min()) >= 0 and int(labels.max()) < _LARGEST_TABLE:
        seen = np.zeros(_LARGEST_TABLE, bool)
        for piece in pieces:
            seen[piece] = True
        ids = np.flatnonzero(seen)
    else:
        ids = np.unique(np.concatenate([np.unique(piece) for piece in pieces] or [labels])).astype(np.int64)
    return ids[ids != 0]


def _places(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Place of each label among the ids, from 1; 0 for background."""
    if not ids.size:
        return np.zeros(labels.size, np.int64)
    if ids[0] > 0 and ids[-1] < _LARGEST_TABLE:
        table = np.zeros(int(ids[-1]) + 1, np.int64)
        table[ids] = np.arange(1, ids.size + 1)
        return table[labels]
    return np.where(labels != 0, np.searchsorted(ids, labels) + 1, 0)


def _most_shared(table: Contingency) -> list[int | None]:
    return [int(row.argmax()) if row.size and row.any() else None for row in table.shared]


def _one_to_one(table: Contingency) -> list[int | None]:
    from scipy.optimize import linear_sum_assignment

    if not table.shared.size:
        return [None] * len(table.reference)
    dice = 2 * table.shared / (table.reference_voxels[:, None] + table.prediction_voxels[None])
    chosen = dict(zip(*(places.tolist() for places in linear_sum_assignment(dice, maximize=True)), strict=True))
    return [chosen[row] if row in chosen and dice[row, chosen[row]] else None for row in range(len(dice))]


def _same_id(table: Contingency) -> list[int | None]:
    place = {label: column for column, label in enumerate(table.prediction)}
    return [place.get(label) for label in table.reference]


_RULES = {"most-shared": _most_shared, "one-to-one": _one_to_one, "same-id": _same_id}
