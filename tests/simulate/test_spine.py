"""Drawn spines are where, as high and as wedged as they say; contrasts at random repeat and differ."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.geometry import Grid, resample
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import classes_of, structure_of
from voxbench.simulate.contrasts import RandomContrast, random_contrast
from voxbench.simulate.phantoms.spine import (
    CORD,
    FLUID,
    MARROW,
    NUCLEUS,
    spine_phantom,
)
from voxbench.simulate.phantoms.spine_bones import body_depth
from voxbench.simulate.phantoms.spine_shape import HEIGHT_PLACES, PLAIN, SpineAnatomy, level_truth, spine_shape

GRID = Grid.from_parts((24, 60, 90), (3.2, 3.0, 3.0))


@pytest.fixture(scope="module")
def phantom():
    return spine_phantom(GRID, 1, PLAIN)


def test_structures_stand_one_above_the_other_in_spider_s_numbers(phantom):
    array = phantom.labels.array
    assert {structure_of(label).kind for label in phantom.labels.ids} == {"vertebra", "disc", "canal"}
    heights = {i: np.argwhere(array == i)[:, 2].mean() for i in phantom.labels.ids}
    numbers = sorted(structure_of(i).number for i in phantom.labels.ids if structure_of(i).kind == "vertebra")
    assert numbers == list(range(1, len(numbers) + 1))
    for n in numbers[:-2]:
        assert heights[200 + n] < heights[n] < heights[201 + n]
    assert np.argwhere(array == 100)[:, 1].mean() < np.argwhere(array == 3)[:, 1].mean()  # behind
    assert [level.number for level in phantom.truth] == numbers


def test_tissues_go_with_labels(phantom):
    classes, tissues = classes_of(phantom.labels.array), phantom.tissues.array
    assert set(np.unique(tissues[classes == 3])) == {FLUID, CORD}
    assert (tissues[classes == 1] == MARROW).mean() > 0.5
    assert (classes[tissues == NUCLEUS] == 2).all()
    assert (tissues == 0).any()  # air behind the skin


@pytest.mark.parametrize("orientation", ["LPS", "PIR"])
def test_one_seed_is_one_person_in_any_voxel_order(phantom, orientation):
    order = Reordering.to(GRID, orientation)
    turned = spine_phantom(order.grid(GRID), 1, PLAIN)
    assert turned.labels.grid.orientation == orientation + "+"
    same = order.back(turned.labels.array) == phantom.labels.array
    assert same.mean() > 0.9999


def test_a_finer_grid_shows_the_same_spine(phantom):
    fine = spine_phantom(GRID.with_spacing((1.6, 1.5, 1.5)), 1, PLAIN, mark_partial=False).labels
    coarse = resample(spine_phantom(GRID, 1, PLAIN, mark_partial=False).labels, fine.grid)
    for label in (1, 3, 100):
        one, other = fine.array == label, coarse.array == label
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.85


@pytest.mark.parametrize("seed", range(3))
def test_heights_and_depth_are_those_of_the_drawn_body(seed):
    shape = spine_shape(seed, SpineAnatomy(fracture=0.5))
    for body, truth in zip(shape.bodies, level_truth(shape), strict=True):
        z = np.arange(-20, 20, 0.01)
        front, back = body.front_back
        told = (truth.anterior_height, truth.middle_height, truth.posterior_height)
        for share, height in zip(HEIGHT_PLACES, told, strict=True):
            y = np.full_like(z, front - share * (front - back))
            inside = body_depth(body, np.zeros_like(z), y, z) > 0
            assert inside.sum() * 0.01 == pytest.approx(height, abs=0.03)
        y = np.arange(-30, 30, 0.01)
        assert (body_depth(body, 0 * y, y, 0 * y) > 0).sum() * 0.01 == pytest.approx(truth.depth, abs=0.03)
        assert (body_depth(body, y, 0 * y, 0 * y) > 0).sum() * 0.01 == pytest.approx(truth.width, abs=0.03)


def test_spines_vary_as_asked_and_frames_stay_rigid():
    never = SpineAnatomy(fracture=0, narrowed=0, slipped=0)
    always = SpineAnatomy(fracture=1, narrowed=1, slipped=1)
    calm, ill = (spine_shape(5, anatomy) for anatomy in (never, always))
    assert all(slip == 0 for slip in calm.slips)
    assert [slip > 0 for slip in ill.slips] == [True, True, *[False] * 7]
    assert all(disc.grade >= 3 for disc in ill.discs)
    assert all(a.height < b.height for a, b in zip(ill.discs[:5], calm.discs[:5], strict=True))
    assert all(level.wedge_degrees < -4 for level in level_truth(ill))
    for body in (*ill.bodies, *ill.sacrum):
        np.testing.assert_allclose(body.axes.T @ body.axes, np.eye(3), atol=1e-12)
        assert np.linalg.det(body.axes) == pytest.approx(1)
        assert body.axes[2, 2] > 0.5  # more or less upright
    lordosis = [np.degrees(np.arctan2(body.axes[1, 2], body.axes[2, 2])) for body in spine_shape(0, PLAIN).bodies]
    assert 25 < lordosis[0] - lordosis[4] < 55


def test_a_vertebra_that_the_grid_cuts_is_marked_or_not():
    low = GRID.cropped((0, 0, 30), (24, 60, 70))
    marked, plain = (spine_phantom(low, 1, PLAIN, mark_partial=mark).labels for mark in (True, False))
    partial = [i for i in marked.ids if 100 < i <= 125]
    assert 101 in partial
    assert not [i for i in plain.ids if 100 < i <= 125]
    both = np.where((marked.array > 100) & (marked.array <= 125), marked.array - 100, marked.array)
    np.testing.assert_array_equal(both, plain.array)


def test_random_contrasts_repeat_differ_and_are_images(phantom):
    array, tissues = phantom.labels.array, phantom.tissues.array
    made = [
        random_contrast(array, GRID.spacing, np.random.default_rng(seed), regions, slice_axis=0)
        for seed in (0, 0, 1)
        for regions in (None, tissues)
    ]
    assert all(image.dtype == np.float32 and image.shape == array.shape for image in made)
    assert all(0 <= image.min() < image.max() <= 1 for image in made)
    np.testing.assert_array_equal(made[0], made[2])
    np.testing.assert_array_equal(made[1], made[3])
    assert abs(np.corrcoef(made[0].ravel(), made[4].ravel())[0, 1]) < 0.95


def test_without_blur_noise_and_patches_a_kind_has_one_intensity(phantom):
    still = RandomContrast(slice_mm=(0.1, 0.1), blur_mm=(0, 0), bias=0, noise=0, texture=0, gamma=0, shell=0, patches=0)
    image = random_contrast(phantom.labels.array, GRID.spacing, np.random.default_rng(3), settings=still)
    assert len(np.unique(np.round(image[phantom.labels.array == 2], 4))) == 1
    assert len(np.unique(np.round(image[phantom.labels.array == 0], 4))) == 1


def test_thick_slices_blur_across_and_not_along():
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[:, :, 12:] = 1
    labels[12:, :, :] *= 0
    thick = RandomContrast(slice_mm=(6, 6), blur_mm=(0, 0), bias=0, noise=0, texture=0, gamma=0, shell=0, patches=0)
    image = random_contrast(labels, (1, 1, 1), np.random.default_rng(0), slice_axis=0, settings=thick)
    along, across = np.abs(np.diff(image[3, 12])), np.abs(np.diff(image[:, 12, 20]))
    assert (along > 1e-3).sum() == 1
    assert 6 <= (across > 1e-3).sum() <= 20
