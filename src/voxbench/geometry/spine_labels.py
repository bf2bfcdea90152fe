"""The numbers of a label map of the spine: vertebrae and discs counted from below, and the canal.

1 to 25 are vertebrae from below (L5 where the whole lumbar spine is seen), 101 to 125 the same where the field of view
cuts them, 201 to 225 discs: 200 + k lies below vertebra k, and a disc above the topmost vertebra n is 200 + n + 1. 100
is the canal. These are the numbers of the SPIDER challenge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.errors import InputError
from voxbench.types import Labels

Kind = Literal["vertebra", "disc", "canal"]
CANAL = 100
MOST = 25
"""Vertebrae and discs are numbered up to this."""
PARTIAL, DISC = 100, 200
"""What is added to the number of a vertebra seen in part, and to that of a disc."""
LUMBAR_NAMES = ("L5", "L4", "L3", "L2", "L1", *(f"T{n}" for n in range(12, 0, -1)), *(f"C{n}" for n in range(7, 0, -1)))
"""What vertebra 1, 2, ... are called if 1 is L5 and none is missing or surplus."""


@dataclass(frozen=True)
class Structure:
    """What a label means.

    Attributes:
        kind: Vertebra, disc or canal.
        number: From below, 1 to 25; 0 for the canal.
        complete: False for a vertebra that the field of view cuts.
    """

    kind: Kind
    number: int = 0
    complete: bool = True

    def __post_init__(self) -> None:
        """Refuse what has no label."""
        if self.kind == "canal":
            usable = self.number == 0 and self.complete
        else:
            usable = 1 <= self.number <= MOST and (self.complete or self.kind == "vertebra")
        if not usable:
            raise InputError(
                f"no label for {self!r}: vertebrae and discs are 1 to {MOST}, only vertebrae may be in part"
            )

    @property
    def label(self) -> int:
        """Its label."""
        if self.kind == "canal":
            return CANAL
        if self.kind == "disc":
            return DISC + self.number
        return self.number if self.complete else PARTIAL + self.number

    @property
    def name(self) -> str:
        """For eyes, if vertebra 1 is L5: ``L4``, ``L4/L5``, ``canal``."""
        if self.kind == "canal":
            return "canal"
        if self.kind == "vertebra":
            return LUMBAR_NAMES[self.number - 1] if self.number <= len(LUMBAR_NAMES) else f"vertebra {self.number}"
        if self.number > len(LUMBAR_NAMES):
            return f"disc {self.number}"
        below = "S1" if self.number == 1 else LUMBAR_NAMES[self.number - 2]
        return f"{LUMBAR_NAMES[self.number - 1]}/{below}"


def structure_of(label: int) -> Structure:
    """What a label means.

    Raises:
        InputError: It means nothing.
    """
    if label == CANAL:
        return Structure("canal")
    if 1 <= label <= MOST:
        return Structure("vertebra", label)
    if PARTIAL + 1 <= label <= PARTIAL + MOST:
        return Structure("vertebra", label - PARTIAL, complete=False)
    if DISC + 1 <= label <= DISC + MOST:
        return Structure("disc", label - DISC)
    raise InputError(
        f"label {label} means nothing in the spine\n  known are 1 to 25 (vertebrae), 100 (canal), "
        "101 to 125 (vertebrae in part), 201 to 225 (discs)"
    )


BACKGROUND_CLASS, VERTEBRA_CLASS, DISC_CLASS, CANAL_CLASS = range(4)
"""The four classes a voxel can be of."""


def classes_of(labels: Labels) -> Labels:
    """Of every voxel its class: 0 background, 1 vertebra, 2 disc, 3 canal; uint8.

    Raises:
        InputError: Some label means nothing.
    """
    present = np.unique(labels)
    wrong = [int(label) for label in present if label != 0 and not _known(int(label))]
    if wrong:
        structure_of(wrong[0])
    table = np.zeros(DISC + MOST + 1, np.uint8)
    table[1 : MOST + 1] = table[PARTIAL + 1 : PARTIAL + MOST + 1] = VERTEBRA_CLASS
    table[DISC + 1 :] = DISC_CLASS
    table[CANAL] = CANAL_CLASS
    return table[labels]


def _known(label: int) -> bool:
    return label == CANAL or any(base < label <= base + MOST for base in (0, PARTIAL, DISC))
