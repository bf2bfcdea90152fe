"""voxbench submit spider: whole numbers, known labels, the image's grid, or one message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_volume, write_labels, write_volume

GRID = Grid.from_parts((3, 4, 5), (4.0, 1.0, 1.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, and a label map of the first."""
    for name in ("images", "found"):
        (tmp_path / name).mkdir()
    for name in ("1_t1", "1_t2"):
        write_volume(tmp_path / "images" / f"{name}.mha", Volume(np.ones(GRID.shape, np.float32), GRID))
    write_labels(tmp_path / "found" / "1_t1.nii.gz", labels(3))
    return tmp_path


def labels(value: int, grid: Grid = GRID) -> LabelMap:
    return LabelMap(np.full(grid.shape, value, np.int16), grid)


def test_label_maps_are_written_as_mha_on_the_images_grid(folder: Path, voxbench: Callable):
    write_labels(folder / "found" / "1_t2.mha", labels(101))
    words = ("submit", "spider", "--predictions", folder / "found", "--images", folder, "--out", folder / "out")
    assert voxbench(*words).code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["1_t1.mha", "1_t2.mha"]
    for name, value in (("1_t1", 3), ("1_t2", 101)):
        written = read_volume(folder / "out" / f"{name}.mha")
        assert (written.array == value).all()
        assert np.issubdtype(written.array.dtype, np.integer)
        assert written.grid.same_as(GRID)
    assert voxbench(*words).code == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "1 of 2 label maps are missing; nothing is packed\n  1_t2.mha"),
        (labels(255), "1_t2.mha: label 255 means nothing"),
        (labels(-1), "1_t2.mha: label -1; labels are 0"),
        (labels(1, Grid.from_parts((3, 4, 6), (4.0, 1.0, 1.0))), "label map and image lie on different grids"),
        (Volume(np.full(GRID.shape, 1.5, np.float32), GRID), "1_t2.mha: voxels of type float32"),
    ],
)
def test_what_the_organisers_would_not_take_is_refused(folder: Path, voxbench: Callable, bad: object, message: str):
    if isinstance(bad, LabelMap):
        write_labels(folder / "found" / "1_t2.mha", bad)
    elif isinstance(bad, Volume):
        write_volume(folder / "found" / "1_t2.mha", bad)
    out = folder / "out"
    refused = voxbench("submit", "spider", "--predictions", folder / "found", "--images", folder, "--out", out)
    assert (refused.code, message in refused.err) == (1, True)
    assert not out.exists()
