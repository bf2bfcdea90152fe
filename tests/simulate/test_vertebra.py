"""The vertebral phantom: struts are where and as thick as they were drawn, and what is told of it is true."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.geometry import Grid
from voxbench.simulate import phantoms
from voxbench.simulate.phantoms import VertebraAnatomy, vertebra_phantom
from voxbench.simulate.phantoms.struts import Lattice, draw, lattice, to_segment, to_triangle
from voxbench.simulate.phantoms.vertebra import AIR, CORTICAL, SOFT_TISSUE, TRABECULAR

GRID = Grid.from_parts((56, 54, 44), (0.105, 0.105, 0.105), (4, -3, 10))
SMALL = Grid.from_parts((32, 30, 28), (0.105, 0.105, 0.105))


@pytest.fixture(scope="module")
def vertebra() -> phantoms.Vertebra:
    return vertebra_phantom(GRID, 1)


def test_distances_to_a_segment_and_a_triangle_are_those_of_dense_samples():
    rng = np.random.default_rng(0)
    for _ in range(5):
        corners, points = rng.normal(size=(3, 3)), rng.normal(size=(20, 3)) * 2
        t = np.linspace(0, 1, 201)
        line = corners[0] + t[:, None] * (corners[1] - corners[0])
        found = np.linalg.norm(points[:, None] - line, axis=-1).min(axis=1)
        np.testing.assert_allclose(to_segment(points, corners[:2]), found, atol=2e-2)
        u, v = (w[w_sum] for w_sum in [np.add.outer(t, t) <= 1] for w in np.meshgrid(t, t, indexing="ij"))
        surface = corners[0] + u[:, None] * (corners[1] - corners[0]) + v[:, None] * (corners[2] - corners[0])
        found = np.array([np.linalg.norm(p - surface, axis=-1).min() for p in points])
        np.testing.assert_allclose(to_triangle(points, corners), found, atol=2e-2)


def one_strut(kind: int, size: float) -> tuple[Lattice, Grid]:
    grid = Grid.from_parts((40, 40, 40), (0.1, 0.1, 0.1))
    nodes = lattice(grid, 1.0, 0.0, np.random.default_rng(0))
    sizes = np.zeros_like(nodes.sizes)
    sizes[kind, 3, 3, 3] = size
    return Lattice(nodes.points, sizes, 1.0), grid


def test_a_plate_occupies_its_area_times_its_thickness():
    nodes, grid = one_strut(3, 0.3)
    drawn = draw(grid, nodes, np.random.default_rng(0))
    volume = np.clip(0.5 - drawn.distance / 0.1, 0, 1).sum() * 1e-3
    rim = 4 * np.pi * 0.15**2 / 2 + 4 / 3 * np.pi * 0.15**3
    assert volume == pytest.approx(0.3 + rim, rel=0.03)
    assert set(np.unique(drawn.thickness).tolist()) == {0.0, np.float32(0.3)}


def test_struts_on_a_finer_grid_are_the_same_struts_and_the_share_of_voxels_is_their_volume():
    grid = Grid.from_parts((40, 40, 40), (0.105, 0.105, 0.105))
    nodes = lattice(grid, 0.85, 0.3, np.random.default_rng(1))
    sizes = np.random.default_rng(2).uniform(0.12, 0.25, nodes.sizes.shape)
    sizes[np.random.default_rng(3).random(sizes.shape) < 0.6] = 0
    nodes = Lattice(nodes.points, sizes, 0.85)
    coarse = draw(grid, nodes, np.random.default_rng(4)).distance
    fine = draw(grid.with_spacing((0.035, 0.035, 0.035)), nodes, np.random.default_rng(4)).distance
    np.testing.assert_allclose(fine[1::3, 1::3, 1::3][coarse < 0.05], coarse[coarse < 0.05], atol=1e-5)
    told = np.clip(0.5 - coarse / 0.105, 0, 1).mean()
    assert told == pytest.approx((fine < 0).mean(), rel=0.03)


def test_what_is_told_of_the_bone_is_what_is_there(vertebra):
    region = vertebra.regions.array == TRABECULAR
    deep = vertebra.bone.array[region].mean()
    assert vertebra.truth.bone_volume_fraction == pytest.approx(deep, rel=0.12)
    assert 0.12 < vertebra.truth.bone_volume_fraction < 0.35
    assert vertebra.truth.region_mm3 == pytest.approx(region.sum() * GRID.voxel_volume, rel=0.03)
    assert 0.14 < vertebra.truth.strut_thickness < 0.22
    assert vertebra.truth.shell_thickness == pytest.approx(0.4, rel=0.25)


def test_thicker_struts_are_thicker_by_as_much_and_fill_more(vertebra):
    thick = vertebra_phantom(GRID, 1, VertebraAnatomy(rod_mm=0.27, plate_mm=0.24)).truth
    assert thick.strut_thickness == pytest.approx(1.5 * vertebra.truth.strut_thickness, rel=0.05)
    assert thick.bone_volume_fraction > 1.4 * vertebra.truth.bone_volume_fraction


def test_without_struts_there_is_only_marrow_inside():
    bare = vertebra_phantom(GRID, 1, VertebraAnatomy(rods_across=0, rods_along=0, plates=0))
    assert bare.truth.bone_volume_fraction == 0
    deep = (bare.regions.array == TRABECULAR) & (bare.bone.array == 0)
    np.testing.assert_allclose(bare.ct.array[deep], -30, atol=1e-2)


def test_air_tissue_shell_and_struts_have_their_hu_and_lie_within_each_other(vertebra):
    ct, where = vertebra.ct.array, vertebra.regions.array
    assert (where[[0, -1]] == AIR).all()
    assert set(np.unique(where).tolist()) == {AIR, TRABECULAR, CORTICAL, SOFT_TISSUE}
    for region, value in ((AIR, -1000), (SOFT_TISSUE, 50), (CORTICAL, 1700)):
        assert np.median(ct[where == region]) == pytest.approx(value, abs=60)
    assert ct.min() >= -1000.01
    assert ct.max() <= 1700.01
    assert ((vertebra.bone.array >= -1e-6) & (vertebra.bone.array <= 1 + 1e-6)).all()


def test_there_is_more_bone_along_the_spine_than_across_it(vertebra):
    bone = vertebra.bone.array > 0.5
    deep = vertebra.regions.array == TRABECULAR
    along, across = ((bone & np.roll(bone, 4, axis) & deep & np.roll(deep, 4, axis)).sum() for axis in (2, 0))
    assert along > 1.15 * across


def test_a_seed_repeats_a_vertebra_and_another_is_another():
    one, same, other = (vertebra_phantom(SMALL, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.ct.array, same.ct.array)
    assert one.truth == same.truth
    assert np.abs(one.ct.array - other.ct.array).mean() > 50
