"""Planted nodes: where they may be, as large and as bright as they were drawn; and which of them readers draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import EmptyShapeError, GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.metrics.nodes import components, measured
from voxbench.simulate.annotations import index_nodes
from voxbench.simulate.mediastinum import mediastinal_fat
from voxbench.simulate.nodes import NodeVariation, plant

GRID = Grid.from_parts((90, 80, 24), (0.9, 0.9, 3.0), (40.0, 36.0, -36.0), np.diag([-1.0, -1.0, 1.0]))
PLAIN = NodeVariation(spread_cases=0, lobulation=0, hu_cases=0, hu_nodes=0, texture_hu=0, matted=0, count=6)


@pytest.fixture
def fat():
    """A block of fat in muscle."""
    inside = np.zeros(GRID.shape, bool)
    inside[8:80, 8:72, 3:21] = True
    return Volume(np.where(inside, -100, 50).astype(np.float32), GRID), inside


def test_nodes_lie_in_fat_apart_from_each_other_and_have_their_ct_number(fat):
    ct, inside = fat
    made = plant(ct, inside, np.random.default_rng(1), PLAIN)
    labels = made.labels.array
    assert len(made.nodes) >= 3
    assert made.labels.ids == tuple(node.id for node in made.nodes)
    assert not labels[~inside].any()
    assert len(measured(components(labels > 0), GRID)) == len(made.nodes)
    for node in made.nodes:
        own = labels == node.id
        assert node.hu == 54
        assert node.volume_mm3 == pytest.approx(np.count_nonzero(own) * GRID.voxel_volume)
        assert np.percentile(made.ct.array[own], 90) == pytest.approx(54, abs=1e-3)
        assert made.ct.array[own].min() > -100 + 0.49 * 154
    far = ~np.isin(labels, [node.id for node in made.nodes])
    assert np.array_equal(made.ct.array[~inside], ct.array[~inside])
    assert np.median(made.ct.array[far & inside]) == -100


def test_volumes_are_those_of_the_ellipsoids_where_there_is_room(fat):
    ct, inside = fat
    whole = PLAIN.model_copy(update={"within": 1.0, "short_mm": 9.0})
    made = plant(ct, np.ones_like(inside), np.random.default_rng(2), whole)
    for node in made.nodes:
        if min(np.abs(np.array(node.centre) - GRID.centre) < np.array([30, 27, 22])):
            assert node.volume_mm3 == pytest.approx(np.pi / 6 * np.prod(node.diameters_mm), rel=0.2)


def test_planting_repeats_and_leaves_the_given_ct_alone(fat):
    ct, inside = fat
    before = ct.array.copy()
    few = NodeVariation(count=3, short_mm=6)
    one, two, other = (plant(ct, inside, np.random.default_rng(seed), few) for seed in (5, 5, 6))
    assert np.array_equal(one.ct.array, two.ct.array)
    assert one.nodes == two.nodes
    assert other.nodes != one.nodes
    assert np.array_equal(ct.array, before)


def test_the_noise_of_a_real_ct_goes_on_in_its_nodes(fat):
    ct, inside = fat
    noise = np.random.default_rng(0).normal(0, 12, GRID.shape).astype(np.float32)
    noisy = Volume(ct.array + noise, GRID)
    made = plant(noisy, inside, np.random.default_rng(1), PLAIN, keep_noise=True)
    own = made.labels.array == 1
    core = own & (np.abs(made.ct.array - noise - 54) < 8)
    assert core.sum() > 0.3 * own.sum()
    assert made.ct.array[core].std() == pytest.approx(12, rel=0.25)


def test_no_fat_and_other_shapes_are_refused(fat):
    ct, inside = fat
    with pytest.raises(EmptyShapeError, match="no fat"):
        plant(ct, np.zeros_like(inside), np.random.default_rng(0))
    with pytest.raises(GridMismatchError, match="differ in shape"):
        plant(ct, inside[1:], np.random.default_rng(0))


def test_where_there_is_no_room_nodes_shrink_or_are_left_out():
    grid = Grid.from_parts((30, 30, 6), (1.0, 1.0, 3.0))
    inside = np.zeros(grid.shape, bool)
    inside[10:18, 10:18, 2:5] = True
    few = NodeVariation(count=3)
    made = plant(Volume(np.full(grid.shape, -100, np.int16), grid), inside, np.random.default_rng(0), few)
    assert all(node.diameters_mm[-1] < 9 for node in made.nodes)
    assert not made.labels.array[~inside].any()


@given(sizes=st.lists(st.floats(1, 50), max_size=30), seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_readers_draw_at_least_one_node_and_the_share_of_them_at_most_rounded_up(sizes, seed, share):
    drawn = index_nodes(sizes, np.random.default_rng(seed), share)
    assert list(drawn) == sorted(set(drawn))
    assert min(1, len(sizes)) <= len(drawn) <= max(min(1, len(sizes)), int(np.ceil(share * len(sizes))))


def test_one_in_five_are_drawn_on_average_and_mostly_the_large_ones():
    rng = np.random.default_rng(0)
    sizes = np.linspace(5, 30, 12).tolist()
    drawn = [index_nodes(sizes, rng) for _ in range(2000)]
    assert np.mean([len(some) for some in drawn]) == pytest.approx(2.4, abs=0.05)
    often = np.bincount(np.concatenate(drawn), minlength=12)
    assert often[-1] > 0.4 * 2000 > often[:6].sum() > 0
    assert all(
        some == (10, 11) or some == (9, 10, 11) for some in (index_nodes(sizes, rng, haste=0.0) for _ in range(50))
    )


def test_sizes_and_shares_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"above 0; the smallest is -1"):
        index_nodes([3.0, -1.0], np.random.default_rng(0))
    with pytest.raises(InputError, match=r"between 0 and 1; got 1\.5"):
        index_nodes([3.0, 1.0], np.random.default_rng(0), 1.5)


@pytest.fixture
def chest():
    """A body with two lungs, fat between them, and a rod of bone at the back."""
    grid = Grid.from_parts((100, 80, 30), (3.0, 3.0, 5.0), (150.0, 120.0, 0.0), np.diag([-1.0, -1.0, 1.0]))
    x, y, _ = np.moveaxis(grid.world_from_voxel(np.stack(np.indices(grid.shape, dtype=float), -1)), -1, 0)
    ct = np.where((x / 140) ** 2 + (y / 110) ** 2 < 1, -100, -1000)
    for side in (-1, 1):
        ct[((x - 70 * side) / 45) ** 2 + (y / 80) ** 2 < 1] = -850
    ct[x**2 + (y + 60) ** 2 < 12**2] = 600
    ct[x**2 + (y - 10) ** 2 < 15**2] = 150
    return Volume(ct.astype(np.int16), grid), (x, y)


def test_fat_between_the_lungs_is_found_and_nothing_else(chest):
    ct, (x, y) = chest
    fat = mediastinal_fat(ct)
    assert fat[(np.abs(x) < 15) & (np.abs(y - 45) < 12)].all()
    assert not fat[np.abs(x) > 70].any()
    assert not fat[np.hypot(x, y + 60) < 18].any()
    assert not fat[np.hypot(x, y - 10) < 14].any()
    assert not fat[np.abs(y) > 85].any()
    turned = Volume(np.ascontiguousarray(ct.array.transpose(2, 0, 1)), _turned(ct.grid))
    assert np.array_equal(mediastinal_fat(turned).transpose(1, 2, 0), fat)


def test_the_abdomen_between_the_bases_of_the_lungs_is_no_mediastinum(chest):
    ct, (x, y) = chest
    belly = ((x / 100) ** 2 + (y / 90) ** 2 < 1) & (np.arange(30) < 8)
    low = Volume(np.where(belly & (ct.array == -850), -100, ct.array).astype(np.int16), ct.grid)
    fat = mediastinal_fat(low)
    assert not fat[..., :8].any()
    assert np.array_equal(fat[..., 9:], mediastinal_fat(ct)[..., 9:])


def _turned(grid):
    from voxbench.geometry import Affine

    linear = grid.world_from_voxel.linear[:, [2, 0, 1]]
    return Grid(tuple(grid.shape[a] for a in (2, 0, 1)), Affine.from_parts(linear, grid.origin))


def test_structures_are_left_alone_and_a_ct_without_lungs_is_refused(chest):
    ct, (_, y) = chest
    front = LabelMap((y > 0).astype(np.uint8), ct.grid)
    assert not mediastinal_fat(ct, front)[y > 0].any()
    with pytest.raises(EmptyShapeError, match="no lungs"):
        mediastinal_fat(Volume(np.full((20, 20, 9), -100, np.int16), Grid.from_parts((20, 20, 9))))
    with pytest.raises(GridMismatchError, match="different grids"):
        mediastinal_fat(ct, LabelMap(np.zeros((9, 9, 9), np.uint8), Grid.from_parts((9, 9, 9))))
