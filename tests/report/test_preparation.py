"""The picture of a prepared sample: grey micro-CT, the clinical bone's outline where it lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from voxbench.errors import EmptyShapeError
from voxbench.geometry import Grid, Volume
from voxbench.report.preparation import alignment_picture

GRID = Grid.from_parts((40, 36, 32), (0.5, 0.5, 0.5), (-3.0, 2.0, 1.0))


def ball(centre: tuple[float, float, float] = (19.5, 17.5, 15.5)) -> Volume:
    i, j, k = np.indices(GRID.shape)
    inside = (i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2 < 100
    return Volume(np.where(inside, 1000, -1000).astype(np.int16), GRID)


def outline(path: Path) -> np.ndarray:
    """Pixels of the outline's colour."""
    picture = imread(path)[..., :3]
    return (picture[..., 0] > 0.8) & (picture[..., 1] < 0.5) & (picture[..., 2] < 0.4)


def test_there_is_a_row_for_every_sequence_and_an_outline_in_every_plane(tmp_path: Path) -> None:
    alignment_picture(tmp_path / "two.png", ball(), {"195X": ball(), "586X": ball()})
    line = outline(tmp_path / "two.png")
    for row in np.array_split(line, 2, axis=0):
        for panel in np.array_split(row, 3, axis=1):
            assert panel.sum() > 100
    alignment_picture(tmp_path / "one.png", ball(), {"195X": ball()})
    assert outline(tmp_path / "one.png").shape[0] < 0.6 * line.shape[0]


def test_the_outline_moves_with_the_clinical_bone(tmp_path: Path) -> None:
    alignment_picture(tmp_path / "a.png", ball(), {"195X": ball()})
    alignment_picture(tmp_path / "b.png", ball(), {"195X": ball((22.5, 17.5, 15.5))})
    a, b = (np.array_split(outline(tmp_path / f"{name}.png"), 3, axis=1)[0] for name in "ab")
    # RAS+: i grows to the patient's right, which is on the left of the page.
    assert np.argwhere(b)[:, 1].mean() < np.argwhere(a)[:, 1].mean() - 5
    assert abs(np.argwhere(b)[:, 0].mean() - np.argwhere(a)[:, 0].mean()) < 3


def test_a_sequence_without_bone_has_no_outline_and_a_constant_micro_ct_is_refused(tmp_path: Path) -> None:
    air = Volume(np.full(GRID.shape, -1000, np.int16), GRID)
    alignment_picture(tmp_path / "air.png", ball(), {"195X": air})
    assert not outline(tmp_path / "air.png").any()
    with pytest.raises(EmptyShapeError):
        alignment_picture(tmp_path / "none.png", air, {"195X": ball()})
    assert not (tmp_path / "none.png").exists()
