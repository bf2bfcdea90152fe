"""Which series train and which validate: all series of a patient on one side, always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.spider.dataset import Dataset, Series
from voxbench.errors import FileReadError, InputError
from voxbench.io import read_json, write_json


@dataclass(frozen=True)
class Split:
    """Names of series.

    Attributes:
        train: Learned from.
        validation: Not learned from.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a patient on both sides."""
        both = sorted({_patient(name) for name in self.train} & {_patient(name) for name in self.validation}, key=int)
        if both:
            raise InputError(f"patient {', '.join(both)} has series on both sides of the split")


def official_split(dataset: Dataset) -> Split:
    """The organisers': the column ``subset`` of overview.csv.

    Raises:
        InputError: Series have no subset there, or a patient is on both sides.
    """
    by_subset: dict[str, list[str]] = {"training": [], "validation": []}
    lacking = [series.name for series in dataset.series if series.subset not in by_subset]
    if lacking:
        raise InputError(
            f"{dataset.root}: overview.csv has no subset (training or validation) for {', '.join(lacking[:10])}"
            + (f" and {len(lacking) - 10} more" if len(lacking) > 10 else "")
        )
    for series in dataset.series:
        by_subset[series.subset].append(series.name)
    return Split(tuple(by_subset["training"]), tuple(by_subset["validation"]))


def patient_folds(series: Sequence[Series], count: int = 5, seed: int = 0) -> tuple[Split, ...]:
    """Folds of about as many series each; every patient validates in one of them, with all series.

    Args:
        series: What is dealt out; their order does not matter.
        count: How many folds.
        seed: Which deal.

    Raises:
        InputError: There are fewer patients than folds.
    """
    of_patient: dict[int, list[str]] = {}
    for one in sorted(series, key=lambda one: (one.patient, one.name)):
        of_patient.setdefault(one.patient, []).append(one.name)
    if not 2 <= count <= len(of_patient):
        raise InputError(f"{count} folds of {len(of_patient)} patients: at least 2 folds, and a patient for each")
    patients = [list(of_patient)[n] for n in np.random.default_rng([seed, 0x5B1D]).permutation(len(of_patient))]
    patients.sort(key=lambda patient: -len(of_patient[patient]))  # stable: the draw decides among equals
    folds: list[list[str]] = [[] for _ in range(count)]
    for patient in patients:
        min(folds, key=len).extend(of_patient[patient])
    everyone = [name for names in of_patient.values() for name in names]
    return tuple(
        Split(tuple(n for n in everyone if n not in set(fold)), tuple(n for n in everyone if n in set(fold)))
        for fold in folds
    )


def write_splits(path: Path, splits: Sequence[Split], about: Mapping[str, object] | None = None) -> None:
    """Write splits as JSON: ``{"challenge": "spider", ..., "folds": [{"train": [...], "validation": [...]}, ...]}``.

    Args:
        path: Where the file will be.
        splits: One or several.
        about: How they were drawn, kept beside them.

    Raises:
        FileWriteError: The file cannot be written.
    """
    write_json(path, {"challenge": "spider", **(about or {}), "folds": list(splits)})


def read_splits(path: Path) -> tuple[Split, ...]:
    """Splits from JSON.

    Raises:
        FileReadError: It cannot be read, or is of another form.
        InputError: A patient is on both sides.
    """
    content = read_json(path)
    try:
        return tuple(Split(_names(fold["train"]), _names(fold["validation"])) for fold in content["folds"])
    except (KeyError, TypeError) as error:
        raise FileReadError(f'{path}: expected {{"folds": [{{"train": [...], "validation": [...]}}]}}') from error


def _names(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise TypeError("not a list of names")
    return tuple(found)


def _patient(name: str) -> str:
    return name.split("_", 1)[0]
