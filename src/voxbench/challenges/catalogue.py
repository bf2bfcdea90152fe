"""The challenges there are."""

from __future__ import annotations

from voxbench.challenges.lumbarsr import LUMBARSR
from voxbench.challenges.lumir25 import LUMIR25
from voxbench.challenges.protocol import Challenge
from voxbench.challenges.ssrkd import SSRKD

CHALLENGES: tuple[Challenge, ...] = (LUMBARSR, LUMIR25, SSRKD)
