"""A small pair of images in files, and the command line called within the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxbench.geometry import Affine, DisplacementField, Grid, Volume
from voxbench.io import write_volume
from voxbench.tasks.registration import Progress, Registration, RegistrationConfig
from voxbench.tasks.registration.deformable import Level

SHIFT = (2.0, -1.0, 0.0)
"""Where the moving image's content lies relative to the fixed one's, mm."""


@dataclass(frozen=True)
class Calls:
    """What the registration was called with."""

    settings: list[Any]
    extras: list[Any]


def _known_shift(fixed: Volume, moving: Volume, settings: RegistrationConfig, progress: Any) -> Registration:
    """The right answer for the pair of `pair`, without looking."""
    affine = Affine.from_parts(np.eye(3), np.array(SHIFT))
    levels = (Level(4, 12, 0.1, 0.9), Level(2, 6, 0.9, 0.95))
    for level in levels:
        progress(Progress(f"level {level.scale}", level.after))
    return Registration(
        DisplacementField.from_affine(affine, fixed.grid),
        DisplacementField.from_affine(affine.inverse(), moving.grid),
        affine,
        levels,
        settings,
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replaces the method by one that knows the answer, the picture by an empty one; what the method was handed."""
    calls = Calls([], [])

    def register(fixed: Any, moving: Any, settings: Any, extras: Any, progress: Any) -> Any:
        calls.settings.append(settings)
        calls.extras.append(extras)
        return _known_shift(fixed, moving, settings, progress)

    monkeypatch.setattr("voxbench.tasks.registration.register", register)
    monkeypatch.setattr("voxbench.report.registration.overview", lambda path, *_: path.write_bytes(b"picture"))
    return calls


def blob(shape: tuple[int, int, int] = (24, 22, 20), shift: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    """Two smooth blobs, moved by ``shift`` mm."""
    grid = Grid.from_parts(shape, (1.0, 1.0, 1.0), (-10.0, 5.0, 3.0))
    x, y, z = np.moveaxis(grid.world_from_voxel(np.stack(np.indices(shape, float), -1)) - np.array(shift), -1, 0)
    near = np.exp(-((x + 1) ** 2 + (y - 16) ** 2 / 2 + (z - 12) ** 2) / 20)
    far = 0.6 * np.exp(-((x - 4) ** 2 + (y - 12) ** 2 + (z - 15) ** 2) / 6)
    return Volume((1000 * (near + far)).astype(np.float32), grid)


@pytest.fixture
def make_blob() -> Callable[..., Volume]:
    """`blob`, for images of another shape or place."""
    return blob


@dataclass(frozen=True)
class Pair:
    """Two image files, and what they hold."""

    fixed_path: Path
    moving_path: Path
    fixed: Volume
    moving: Volume
    shift: tuple[float, float, float] = SHIFT

    @property
    def words(self) -> list[str]:
        """As they stand on the command line."""
        return [str(self.fixed_path), str(self.moving_path)]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Two images that differ by `SHIFT`."""
    fixed, moving = blob(), blob(shift=SHIFT)
    pair = Pair(tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", fixed, moving)
    write_volume(pair.fixed_path, fixed)
    write_volume(pair.moving_path, moving)
    return pair


@dataclass(frozen=True)
class Outcome:
    """What a call left."""

    code: int
    out: str
    err: str


@pytest.fixture
def voxbench(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Calls the command line."""
    from voxbench.cli import main

    def call(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Outcome(code, out, err)

    return call
