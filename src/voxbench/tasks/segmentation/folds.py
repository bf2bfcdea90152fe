"""Folds of cases, never with one patient on both sides; written before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, InputError
from voxbench.io import read_json, write_json


@dataclass(frozen=True)
class Fold:
    """One way to part the cases.

    Attributes:
        training: Names of the cases to learn from.
        validation: Of those to validate on.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]


def make_folds(patients: Mapping[str, str], count: int = 5, seed: int = 0) -> tuple[Fold, ...]:
    """Folds of about equal size; every case is validated on in one of them.

    Args:
        patients: Whose each case is, by the case's name.
        count: How many.
        seed: Decides who goes where.

    Raises:
        InputError: There are fewer patients than folds.
    """
    groups: dict[str, list[str]] = {}
    for case in sorted(patients):
        groups.setdefault(patients[case], []).append(case)
    if not 2 <= count <= len(groups):
        raise InputError(f"{count} folds cannot be made of {len(groups)} patients; there must be 2 to as many as them")
    order = np.random.default_rng(seed).permutation(sorted(groups))
    held: list[list[str]] = [[] for _ in range(count)]
    for patient in sorted(order, key=lambda name: -len(groups[name])):  # stable: the draw decides among equals
        min(held, key=len).extend(groups[patient])
    return tuple(Fold(tuple(sorted(set(patients) - set(cases))), tuple(sorted(cases))) for cases in held)


def write_folds(path: Path, folds: tuple[Fold, ...]) -> None:
    """Write folds as JSON: a list of {"training": [...], "validation": [...]}.

    Raises:
        FileWriteError: The file cannot be written.
    """
    write_json(path, [{"training": list(f.training), "validation": list(f.validation)} for f in folds])


def read_folds(path: Path) -> tuple[Fold, ...]:
    """Folds from JSON, written here or by hand.

    Raises:
        FileReadError: The file cannot be read, or is of another form.
        InputError: A case is on both sides of a fold.
    """
    try:
        folds = tuple(Fold(tuple(f["training"]), tuple(f["validation"])) for f in read_json(path))
    except (TypeError, KeyError) as error:
        raise FileReadError(
            f'{path}: no folds; expected a list of {{"training": [...], "validation": [...]}}'
        ) from error
    for number, fold in enumerate(folds):
        both = sorted(set(fold.training) & set(fold.validation))
        if both:
            raise InputError(f"{path}: fold {number}: to learn from and to validate on: {', '.join(both)}")
    return folds
