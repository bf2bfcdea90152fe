"""The chest of formulas: what it must hold, and that it repeats."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry import Grid
from voxbench.simulate.phantoms.thorax import (
    AIRWAY,
    AORTA,
    BONE,
    FAT,
    HEART,
    LUNG,
    MUSCLE,
    SKIN_FAT,
    THORAX_NAMES,
    ThoraxAnatomy,
    thorax_phantom,
)

AXES = np.diag([-1.0, -1.0, 1.0])
GRID = Grid.from_parts((90, 64, 14), (4.4, 4.4, 10.0), (195.0, 132.0, -120.0), AXES)


@pytest.fixture(scope="module")
def chest():
    return thorax_phantom(GRID, 3)


def hu_of(chest, tissue):
    from scipy.ndimage import binary_erosion

    inside = binary_erosion(chest.tissues.array == tissue, np.ones((3, 3, 1), bool))
    return chest.ct.array[inside]


def test_every_tissue_is_there_with_its_ct_number(chest):
    assert set(THORAX_NAMES) - set(chest.tissues.ids) == set()
    assert np.median(hu_of(chest, FAT)) == pytest.approx(-98, abs=15)
    assert np.percentile(hu_of(chest, MUSCLE), 25) == pytest.approx(55, abs=1)  # thick slices mix in the ribs
    assert -890 < np.median(hu_of(chest, LUNG)) < -770
    assert 100 < np.median(hu_of(chest, HEART)) < 220
    assert np.median(chest.ct.array[chest.tissues.array == BONE]) > 100
    assert chest.ct.array[0].max() == -1000


def test_left_is_left_and_front_is_front(chest):
    def centre(tissue):
        return GRID.world_from_voxel(np.argwhere(chest.tissues.array == tissue).mean(axis=0))

    assert centre(HEART)[0] < -8  # the heart lies to the left, x grows to the right
    assert centre(HEART)[1] > centre(AORTA)[1] > centre(BONE)[1] - 60
    lungs = GRID.world_from_voxel(np.argwhere(chest.tissues.array == LUNG).astype(float))
    assert (lungs[:, 0] > 30).mean() > 0.3
    assert (lungs[:, 0] < -30).mean() > 0.3


def test_the_airway_runs_upwards_from_its_fork_at_the_origin():
    grid = Grid.from_parts((60, 40, 40), (2.0, 2.0, 3.0), (59.0, 30.0, -40.0), AXES)
    chest = thorax_phantom(grid, 0, ThoraxAnatomy(variation=0))
    places = grid.world_from_voxel(np.argwhere(chest.tissues.array == AIRWAY).astype(float))
    above, below = places[places[:, 2] > 20], places[places[:, 2] < -12]
    assert np.abs(above[:, 0]).max() < 16
    assert below[:, 0].min() < -15
    assert below[:, 0].max() > 15


def test_a_person_repeats_and_another_differs(chest):
    again, other = thorax_phantom(GRID, 3), thorax_phantom(GRID, 4)
    assert np.array_equal(again.ct.array, chest.ct.array)
    assert not np.array_equal(other.tissues.array, chest.tissues.array)


def test_other_voxel_orders_show_the_same_person(chest):
    grid = Grid.from_parts(GRID.shape, GRID.spacing, GRID.corners.min(axis=0))
    turned = thorax_phantom(grid, 3)
    assert np.array_equal(turned.tissues.array[::-1, ::-1], chest.tissues.array)
    assert np.allclose(turned.ct.array[::-1, ::-1], chest.ct.array, atol=1e-2)


def test_thick_slices_are_means_of_thin_ones():
    thin = Grid.from_parts((50, 40, 8), (4.0, 4.0, 1.25), (100.0, 80.0, -20.0), AXES)
    thick = Grid.from_parts((50, 40, 2), (4.0, 4.0, 5.0), (100.0, 80.0, -20.0 + 1.875), AXES)
    means = thorax_phantom(thin, 1).ct.array.reshape(50, 40, 2, 4).mean(axis=3)
    assert np.allclose(means, thorax_phantom(thick, 1).ct.array, atol=1e-2)


def test_a_turned_grid_is_refused():
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(InputError, match="along the world's axes"):
        thorax_phantom(Grid.from_parts((4, 4, 4), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0), turn))


def test_skin_surrounds_all(chest):
    assert (chest.tissues.array == SKIN_FAT).any()
