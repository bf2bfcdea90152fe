"""Numbers for what stands along a spine: counted from below, every disc tied to the vertebra above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.geometry.spine_labels import DISC, MOST

GAP = 1.65
"""Neighbouring vertebrae further apart than this many usual distances have one missing between them."""
REACH = 0.9
"""A disc nearer than this many usual distances above a vertebra is the next one's."""
BELIEVABLE_MM = (16.0, 56.0)
"""Neighbouring vertebrae of people are that far apart."""
SAME_DISC = 0.5
"""Two discs in a row nearer than this many usual distances are one."""


@dataclass(frozen=True)
class Standing:
    """Something along the spine.

    Attributes:
        kind: Vertebra or disc.
        height: mm along the spine, upwards.
    """

    kind: Literal["vertebra", "disc"]
    height: float


def numbered(found: Sequence[Standing]) -> list[int]:
    """Labels as in ``geometry.spine_labels``, in the order given; 0 for what has no number.

    The lowest vertebra is 1; the disc below vertebra k is 200 + k. A vertebra that must have been missed (two discs in
    a row, or a gap) keeps its number free, so that the others have theirs. Two discs too near each other are one.
    """
    labels = [0] * len(found)
    walk = _Walk(_usual_distance(found))
    for place in sorted(range(len(found)), key=lambda n: found[n].height):
        one = found[place]
        labels[place] = walk.vertebra(one.height) if one.kind == "vertebra" else DISC + walk.disc(one.height)
    return [label if label <= MOST or DISC < label <= DISC + MOST else 0 for label in labels]


class _Walk:
    """Upwards along a spine, counting."""

    def __init__(self, usual: float) -> None:
        self.usual = usual
        self.next = 1  # number of the vertebra to come
        self.vertebrae: list[tuple[float, int]] = []
        self.discs: list[tuple[float, int]] = []

    def vertebra(self, height: float) -> int:
        """The number of the vertebra met."""
        number = self.next
        if self.vertebrae:
            below, last = self.vertebrae[-1]
            steps = int((height - below) / self.usual + 2 - GAP) if self.usual else 1
            number = max(number, last + max(steps, 1))
        self.vertebrae.append((height, number))
        self.next = number + 1
        return number

    def disc(self, height: float) -> int:
        """The number of the disc met."""
        number = self.next
        has = {n for _, n in self.discs}
        if len(self.vertebrae) > 1 and number - 1 not in has:
            # of a vertebra that the image cuts, only the hanging processes may be seen, lower than the disc below it
            number -= int(height - self.vertebrae[-2][0] < REACH * self.usual)
        elif self.vertebrae and self.usual:
            above = (height - self.vertebrae[-1][0]) / self.usual  # half a distance, one more for each vertebra missed
            number = max(number, self.vertebrae[-1][1] + int(above + 0.85))
        if number in has:
            if self.usual and height - self.discs[-1][0] < SAME_DISC * self.usual:
                return number
            number += 1
        self.next = max(self.next, number)
        self.discs.append((height, number))
        return number


def _usual_distance(found: Sequence[Standing]) -> float:
    """Distance of neighbours of one kind, mm: a low one, as some may be missing between; 0 if none is believable."""
    heights = [sorted(one.height for one in found if one.kind == kind) for kind in ("vertebra", "disc")]
    gaps = np.concatenate([np.diff(some) for some in heights])
    gaps = gaps[(gaps > BELIEVABLE_MM[0]) & (gaps < BELIEVABLE_MM[1])]
    return float(np.percentile(gaps, 40, method="lower")) if gaps.size else 0.0
