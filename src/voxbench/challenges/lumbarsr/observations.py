"""The clinical sequences of a sample, as a method sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from voxbench.challenges.lumbarsr.cases import SEQUENCES, Case
from voxbench.geometry import Grid, Volume
from voxbench.io import read_volume
from voxbench.tasks.superresolution import interpolate

Source = Literal["auto", "native", "registered"]
"""Where observations come from: the scanner's own grid; or the registered volume read at the sequence's own spacing."""
Kind = Literal["native", "registered"]


def kind_of(data: Path, case: Case, source: Source) -> Kind:
    """Which of the two a sequence is read from."""
    return "native" if source == "native" or (source == "auto" and case.native(data).is_file()) else "registered"


def observation_path(data: Path, case: Case, source: Source) -> Path:
    """The file a sequence is read from."""
    return case.native(data) if kind_of(data, case, source) == "native" else case.registered(data)


def observe(data: Path, case: Case, source: Source, onto: Grid) -> Volume:
    """A sequence at the spacing it was made with.

    A registered volume has been interpolated once already. It is read at the sequence's own spacing, over the same box:
    the slices' plane is taken to be that of the first two axes of the target.
    """
    volume = read_volume(observation_path(data, case, source))
    if kind_of(data, case, source) == "native":
        return volume
    coarse = interpolate(volume, onto.with_spacing(case.spacing_mm), "trilinear")
    return Volume(np.rint(coarse.array).astype(np.int16), coarse.grid)


def target_path(data: Path, case: Case) -> Path | None:
    """The file whose grid predictions have: the micro-CT, or where that is hidden any registered sequence."""
    others = [Case(case.sample, sequence).registered(data) for sequence in (case.sequence, *SEQUENCES)]
    return next((path for path in (case.reference(data), *others) if path.is_file()), None)
