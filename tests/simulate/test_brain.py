"""The brain phantom: what must be there is there, left mirrors right in kind, and the grid does not matter."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, resample
from voxbench.simulate import BRAIN_NAMES, brain_phantom
from voxbench.simulate.phantoms.brain import RIGHT

GRID = Grid.from_parts((80, 112, 96), (2.0, 2.0, 2.0), (-79.0, -111.0, -95.0))


@pytest.fixture(scope="module")
def brain() -> LabelMap:
    return brain_phantom(GRID, 0)


def test_every_structure_is_there_and_named(brain: LabelMap) -> None:
    expected = set(BRAIN_NAMES) - {165, 258}
    assert set(brain.ids) == expected
    assert dict(brain.names) == {i: BRAIN_NAMES[i] for i in expected}


def test_left_lies_left_and_right_lies_right(brain: LabelMap) -> None:
    def across(*ids: int) -> np.ndarray:
        return GRID.world_from_voxel(np.argwhere(brain.mask(*ids)).astype(float))[:, 0] - GRID.centre[0]

    assert across(*RIGHT.keys()).max() <= 0
    assert across(*RIGHT.values()).min() > 0


def test_cortex_is_a_ribbon_between_fluid_and_white_matter(brain: LabelMap) -> None:
    from scipy import ndimage

    cortex, white = brain.mask(3, 42), brain.mask(2, 41)
    to_other = ndimage.distance_transform_edt(cortex | white, sampling=GRID.spacing)
    to_fluid = ndimage.distance_transform_edt(~brain.mask(24), sampling=GRID.spacing)
    assert to_other[cortex].max() <= 3
    assert to_fluid[white].min() > 3
    assert 0.5 < cortex.sum() / white.sum() < 1.5


def test_the_brain_is_one_piece_inside_the_grid(brain: LabelMap) -> None:
    from scipy import ndimage

    assert ndimage.label(brain.mask())[1] == 1
    for axis in range(3):
        assert not np.take(brain.array, (0, -1), axis=axis).any()


def test_a_seed_is_a_person_on_every_grid(brain: LabelMap) -> None:
    turned = Grid.from_parts(
        (96, 80, 112), (2.0, 2.0, 2.0), (79.0, -111.0, -95.0), np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0.0]])
    )
    back = resample(brain_phantom(turned, 0), onto=GRID)
    assert (back.array == brain.array).mean() > 0.999
    assert np.array_equal(brain_phantom(GRID, 0).array, brain.array)
    other = brain_phantom(GRID, 1).array
    inside = (brain.array > 0) | (other > 0)
    assert 0.4 < (other == brain.array)[inside].mean() < 0.95


def test_the_head_has_skull_and_scalp_round_the_same_brain(brain: LabelMap) -> None:
    head = brain_phantom(GRID, 0, head=True)
    assert set(head.ids) == set(BRAIN_NAMES)
    kept = brain.array > 0
    assert np.array_equal(head.array[kept], brain.array[kept])
