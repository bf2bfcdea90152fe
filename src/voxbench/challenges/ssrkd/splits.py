"""Which cases train, validate and test: all knees of a person on one side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SPLITS = ("train", "val", "test")


def split_patients(
    patients: Mapping[str, str], seed: int = 0, shares: tuple[float, float] = (0.1, 0.2)
) -> dict[str, list[str]]:
    """Draw validation and test patients; the others train.

    With two patients one tests, from three on at least one validates too.

    Args:
        patients: Of every case, its patient.
        seed: Which draw.
        shares: Of the patients, for validation and for test.

    Returns:
        Cases of `SPLITS`, in the order given.
    """
    people = list(dict.fromkeys(patients.values()))
    order = np.random.default_rng([seed, 0x5B117]).permutation(len(people))
    test = max(round(shares[1] * len(people)), 1) if len(people) > 1 else 0
    val = max(round(shares[0] * len(people)), 1) if len(people) > 2 else 0
    test, val = min(test, len(people) - 1), min(val, max(len(people) - 1 - test, 0))
    where = {
        people[int(at)]: "test" if rank < test else "val" if rank < test + val else "train"
        for rank, at in enumerate(order)
    }
    return {split: [case for case, person in patients.items() if where[person] == split] for split in SPLITS}
