"""The challenges there are."""

from __future__ import annotations

from voxbench.challenges.lnq2023 import LNQ2023
from voxbench.challenges.lumbarsr import LUMBARSR
from voxbench.challenges.lumir25 import LUMIR25
from voxbench.challenges.protocol import Challenge
from voxbench.challenges.spider import SPIDER
from voxbench.challenges.ssrkd import SSRKD

CHALLENGES: tuple[Challenge, ...] = (LNQ2023, LUMBARSR, LUMIR25, SPIDER, SSRKD)
