"""The demo, on a small made-up head with an affine map standing in for the registration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from voxbench.cli import demo_brain as demo
from voxbench.cli.demo_brain_measures import GREY, STAGES, WHITE, Finished, Images, measure, tissue_limits
from voxbench.config import Config
from voxbench.geometry import Affine, DisplacementField, Grid, Volume, resample

SHIFT = Affine.from_parts(np.eye(3), np.array((3.0, -2.0, 1.0)))
"""head_from_template: where the head lies."""


@dataclass(frozen=True)
class Level:
    spacing: float
    metric_before: float
    metric_after: float


@dataclass(frozen=True, eq=False)
class StandIn:
    displacement: DisplacementField
    inverse: DisplacementField
    affine: Affine
    levels: tuple[Level, ...] = (Level(2.0, 0.5, 0.9),)
    config: Config = field(default_factory=Config)


def known(fixed: Volume, moving: Volume) -> StandIn:
    """The right answer."""
    there = DisplacementField.from_affine(SHIFT, fixed.grid)
    return StandIn(there, DisplacementField.from_affine(SHIFT.inverse(), moving.grid), SHIFT)


@pytest.fixture(scope="module")
def images() -> Images:
    """A template of nested balls; the head is the same, elsewhere, on other voxels, with a bright skull."""
    grid = Grid.from_parts((40, 44, 40), (2.0, 2.0, 2.0), (-39.0, -43.0, -39.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).astype(float)
    radius = np.linalg.norm(grid.world_from_voxel(index) * (1.1, 1.0, 1.2), axis=-1)
    tissue = np.select([radius < 16, radius < 26], [WHITE, GREY], 0).astype(np.uint8)
    brain = np.select([radius < 16, radius < 26, radius < 30], [220, 140, 60], 0).astype(np.uint8)
    whole = np.where((radius > 32) & (radius < 36), 250, brain)
    head_grid = Grid.from_parts((50, 46, 50), (1.8, 2.1, 1.9), (45.0, -48.0, -45.0), np.diag((-1.0, 1.0, 1.0)))
    head = resample(Volume(whole.astype(np.float32), grid), head_grid, through=SHIFT.inverse())
    return Images(Volume(brain, grid), tissue, head, {"fixed": Path(__file__), "moving": Path(__file__)})


def test_the_skull_comes_off_and_the_brain_stays(images: Images) -> None:
    pytest.importorskip("voxbench.tasks.registration.linear")
    brain = demo.strip(images)
    there = resample(brain, images.template.grid, through=SHIFT)
    inside = images.brain
    assert np.corrcoef(there.array[inside], images.template.array[inside].astype(float))[0, 1] > 0.97
    assert (there.array[~inside] > 200).mean() < 0.002


def test_the_right_answer_scores_better_than_none_and_the_numbers_reach_every_file(
    images: Images, tmp_path: Path
) -> None:
    brain = Volume(np.where(images.head.array < 235, images.head.array, 0), images.head.grid)
    finished = Finished(brain, known(images.template, brain), 1.5, 2.5)  # pyright: ignore[reportArgumentType]
    table = measure(images, finished)
    for row in table.stages:
        before, affine, deformable = row.values
        assert affine > before + 0.05
        assert deformable == pytest.approx(affine, abs=1e-3)
    assert table.ndv == 0
    assert table.folded == 0
    assert table.inconsistency < 1e-3
    chapter = demo.write(tmp_path, images, finished, table)
    assert {path.name for path in tmp_path.iterdir()} == set(demo.OUTPUTS)
    record = json.loads((tmp_path / "registration.json").read_text())
    assert record["stages"]["NCC"]["affine"] == pytest.approx(table.stages[0].values[1])
    assert list(record["stages"]["NCC"]) == list(STAGES)
    assert [row.values for row in chapter.comparisons] == [row.values for row in table.stages]
    assert chapter.pictures[0].png == (tmp_path / "overview.png").read_bytes()


def test_three_tissues_are_split_between_their_intensities() -> None:
    rng = np.random.default_rng(0)
    array = rng.choice([40.0, 100.0, 160.0], (20, 20, 20)) + rng.normal(0, 5, (20, 20, 20))
    array[:2] = 0
    low, high = tissue_limits(Volume(array.astype(np.float32), Grid.from_parts((20, 20, 20))))
    assert 50 < low < 90
    assert 110 < high < 150
