from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import EmptyShapeError, GridMismatchError, InputError, NotFiniteError
from voxbench.metrics.morphometry import bone_morphometry, local_thickness, otsu_threshold

SPACING = (0.105, 0.105, 0.105)


def distances(radius, axes, offset=(0.0, 0.0, 0.0)):
    """Distance of each voxel to the centre of the volume, along some of the axes only."""
    n = int(2 * radius + 7)
    index = np.indices((n, n, n)) - (n // 2 + np.array(offset)).reshape(3, 1, 1, 1)
    return np.sqrt((index[list(axes)] ** 2).sum(axis=0))


def noise(seed, shape=(18, 20, 22)):
    rough = np.random.default_rng(seed).random(shape)
    return sum(np.roll(rough, n, axis) for axis in range(3) for n in (-1, 0, 1))


@pytest.mark.parametrize("radius", [2.0, 3.3, 5.0, 8.0, 12.7])
def test_a_ball_is_twice_its_radius_thick_within_a_voxel(radius):
    ball = distances(radius, (0, 1, 2)) < radius
    found = bone_morphometry(ball, SPACING).trabecular_thickness
    assert found.mean == pytest.approx(0.105 * 2 * radius, abs=0.105 * 0.65)
    assert found.largest - found.mean < 0.105 * 0.2


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("radius", [2.0, 3.3, 5.0, 8.0, 12.7])
def test_a_rod_is_twice_its_radius_thick_within_a_voxel(radius, axis):
    rod = distances(radius, [a for a in range(3) if a != axis]) < radius
    found = bone_morphometry(rod, SPACING).trabecular_thickness
    assert found.mean == pytest.approx(0.105 * 2 * radius, abs=0.105 * 0.9)
    assert found.std < 0.105 * 0.2


@pytest.mark.parametrize("radius", [2.0, 5.0, 8.3, 14.2])
@pytest.mark.parametrize("offset", [(0.5, 0.5, 0.5), (0.5, 0.0, 0.0), (0.2, -0.4, 0.3)])
def test_a_ball_between_voxel_centres_loses_no_more_than_the_diagonal_of_a_voxel(radius, offset):
    """Twice the way from the middle to the nearest voxel centre, sqrt(3) at most: the price of centres on the grid."""
    found = local_thickness(np.asarray(distances(radius, (0, 1, 2), offset) < radius))
    lost = 2 * radius - found.max()
    assert -0.65 < lost <= math.sqrt(3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thick", range(1, 12))
def test_a_plate_is_as_thick_as_its_voxels_made_even(thick, axis):
    plates = np.zeros((20, 20, 20), bool)
    np.moveaxis(plates, axis, 0)[4 : 4 + thick] = True
    found = bone_morphometry(plates, SPACING)
    assert found.trabecular_thickness.mean == pytest.approx(0.105 * (thick + thick % 2))
    assert found.trabecular_thickness.std == pytest.approx(0, abs=1e-6)


def turned_shape(kind, width, rng):
    """A ball, rod or plate anywhere and in any direction, and where its width is seen well."""
    n = int(2.4 * width + 9)
    index = np.indices((n, n, n)).astype(np.float32)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    way = index - ((n - 1) / 2 + rng.uniform(-0.5, 0.5, 3)).reshape(3, 1, 1, 1)
    along = np.tensordot(axis, way, 1)
    if kind == "ball":
        shape = (way**2).sum(axis=0) < (width / 2) ** 2
        return shape, shape
    aside = (way**2).sum(axis=0) - along**2
    free = (index.min(axis=0) > 0) & (index.max(axis=0) < n - 1)
    if kind == "rod":
        return free & (aside < (width / 2) ** 2), abs(along) < 1.5
    return free & (abs(along) < width / 2), aside < 4


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in ("ball", "rod") for seed in range(12)])
def test_half_voxels_make_balls_and_rods_anywhere_in_any_direction_right_within_a_voxel(kind, seed):
    rng = np.random.default_rng(seed)
    width = rng.uniform(4, 20)
    shape, core = turned_shape(kind, width, rng)
    assert local_thickness(shape, "half-voxels")[shape & core].mean() == pytest.approx(width, abs=1)


@pytest.mark.parametrize("seed", range(12))
def test_half_voxels_make_plates_in_any_direction_right_within_a_voxel_and_a_half(seed):
    rng = np.random.default_rng(seed)
    width = rng.uniform(4, 14)
    shape, core = turned_shape("plate", width, rng)
    assert local_thickness(shape, "half-voxels")[shape & core].mean() == pytest.approx(width + 0.5, abs=1)


@pytest.mark.parametrize("offset", [(0.5, 0.5, 0.5), (0.5, 0.0, 0.0), (0.5, 0.5, 0.0), (0.2, -0.4, 0.3), (0.25,) * 3])
@pytest.mark.parametrize("radius", [2.0, 5.0, 8.3, 14.2])
def test_half_voxels_make_a_ball_between_voxel_centres_right_within_a_voxel(radius, offset):
    ball = np.asarray(distances(radius, (0, 1, 2), offset) < radius)
    assert local_thickness(ball, "half-voxels")[ball].mean() == pytest.approx(2 * radius, abs=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thick", range(1, 12))
def test_half_voxels_make_a_plate_as_thick_as_its_voxels(thick, axis):
    plates = np.zeros((20, 20, 20), bool)
    np.moveaxis(plates, axis, 0)[4 : 4 + thick] = True
    found = bone_morphometry(plates, SPACING, centres="half-voxels")
    assert found.trabecular_thickness.mean == pytest.approx(0.105 * thick)
    assert found.trabecular_thickness.std == pytest.approx(0, abs=1e-6)


def test_plates_and_the_gaps_between_them():
    plates = np.zeros((24, 10, 10), bool)
    for start in (4, 14):
        plates[start : start + 4] = True
    region = np.zeros_like(plates)
    region[4:18] = True
    found = bone_morphometry(plates, (0.5, 0.5, 0.5), region)
    assert (found.bone_volume, found.total_volume) == (800, 1400)
    assert found.bone_volume_fraction == pytest.approx(8 / 14)
    assert found.trabecular_thickness.mean == pytest.approx(2.0)
    assert found.trabecular_separation.mean == pytest.approx(3.0)
    assert found.distance_thickness.mean == pytest.approx(2 * 0.5 * (1 + 2 + 2 + 1) / 4)
    assert found.distance_separation.mean == pytest.approx(2 * 0.5 * (1 + 2 + 3 + 3 + 2 + 1) / 6)
    assert found.trabecular_number_plate == pytest.approx(8 / 14 / 2)
    assert found.trabecular_number_spacing == pytest.approx(1 / 5)


def test_the_skeleton_of_a_long_rod_is_its_axis():
    rod = np.zeros((15, 15, 60), bool)
    rod[..., 5:55] = (distances(4.0, (0, 1)) < 4.0)[..., :1]
    found = bone_morphometry(rod, (1, 1, 1), skeletons=True)
    assert found.skeleton_thickness is not None
    assert found.skeleton_thickness.largest == 8
    assert 7 < found.skeleton_thickness.mean <= 8
    assert found.distance_thickness.mean < 4.5


@given(seed=st.integers(0, 2**32 - 1), axes=st.permutations(range(3)), flips=st.sets(st.integers(0, 2)))
@settings(max_examples=15, deadline=None)
def test_flips_and_axes_change_no_number(seed, axes, flips):
    bone, region = noise(seed) > 3.9, noise(seed + 1) > 3.0

    def turned(array):
        return np.ascontiguousarray(np.flip(array.transpose(axes), tuple(flips)))

    here, there = bone_morphometry(bone, SPACING, region), bone_morphometry(turned(bone), SPACING, turned(region))
    assert there.total_volume == here.total_volume
    for name in ("trabecular_thickness", "trabecular_separation", "distance_thickness", "distance_separation"):
        a, b = getattr(here, name), getattr(there, name)
        assert (b.mean, b.std, b.largest) == pytest.approx((a.mean, a.std, a.largest), nan_ok=True)


def test_spacing_doubled_doubles_lengths_and_halves_numbers():
    bone = noise(3) > 3.9
    once, twice = bone_morphometry(bone, (1, 1, 1)), bone_morphometry(bone, (2, 2, 2))
    assert twice.trabecular_thickness.mean == pytest.approx(2 * once.trabecular_thickness.mean)
    assert twice.trabecular_thickness.std == pytest.approx(2 * once.trabecular_thickness.std)
    assert twice.trabecular_number_plate == pytest.approx(once.trabecular_number_plate / 2)
    assert twice.trabecular_number_spacing == pytest.approx(once.trabecular_number_spacing / 2)
    assert twice.bone_volume_fraction == once.bone_volume_fraction


def test_what_lies_outside_the_region_changes_no_number():
    bone, region = noise(5) > 3.9, np.zeros((18, 20, 22), bool)
    region[3:15, 4:16, 2:20] = True
    assert bone_morphometry(bone, SPACING, region) == bone_morphometry(bone | ~region, SPACING, region)


def test_bone_and_marrow_change_places_when_the_bone_is_inverted():
    bone, region = noise(7) > 3.9, noise(8) > 2.5
    here, there = bone_morphometry(bone, SPACING, region), bone_morphometry(~bone, SPACING, region)
    assert there.trabecular_thickness == here.trabecular_separation
    assert there.distance_separation == here.distance_thickness


def test_no_bone_has_a_fraction_of_zero_and_no_thickness():
    found = bone_morphometry(np.zeros((4, 4, 4), bool), SPACING, skeletons=True)
    assert found.bone_volume_fraction == 0
    assert math.isnan(found.trabecular_thickness.mean)
    assert math.isnan(found.trabecular_separation.mean)
    assert math.isnan(found.trabecular_number_plate)
    assert found.skeleton_thickness is not None
    assert math.isnan(found.skeleton_thickness.mean)


def test_one_voxel_is_two_voxels_thick():
    bone = np.zeros((3, 3, 3), bool)
    bone[1, 1, 1] = True
    assert bone_morphometry(bone, (1, 1, 1)).trabecular_thickness.mean == 2


def test_voxels_that_are_not_isotropic_are_refused():
    with pytest.raises(InputError, match=r"isotropic voxels\n  spacing  0.1 x 0.1 x 0.5 mm\n  resample"):
        bone_morphometry(np.ones((2, 2, 2), bool), (0.1, 0.1, 0.5))


@pytest.mark.parametrize("spacing", [(0, 0, 0), (-1, -1, -1), (math.nan, 1, 1)])
def test_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(InputError, match="must be positive"):
        bone_morphometry(np.ones((2, 2, 2), bool), spacing)


def test_a_region_of_another_shape_is_refused():
    with pytest.raises(GridMismatchError, match="different shapes"):
        bone_morphometry(np.ones((2, 2, 2), bool), SPACING, np.ones((2, 2, 3), bool))


def test_an_empty_region_is_refused():
    with pytest.raises(EmptyShapeError, match="region of interest is empty"):
        bone_morphometry(np.ones((2, 2, 2), bool), SPACING, np.zeros((2, 2, 2), bool))


def test_otsu_finds_what_scikit_image_finds():
    from skimage.filters import threshold_otsu

    rng = np.random.default_rng(2)
    image = np.where(noise(1) > 3.5, rng.normal(900, 80, (18, 20, 22)), rng.normal(-50, 60, (18, 20, 22)))
    theirs = threshold_otsu(image)
    ours = otsu_threshold(image)
    assert ours == pytest.approx(theirs, abs=(image.max() - image.min()) / 256)
    assert np.array_equal(image > ours, noise(1) > 3.5)


def test_otsu_looks_only_into_the_region():
    image = np.zeros((4, 4, 4))
    image[0], image[1], image[2] = 100, 200, 5000
    region = np.zeros((4, 4, 4), bool)
    region[:2] = True
    assert 100 <= otsu_threshold(image, region) < 200


def test_otsu_refuses_what_has_no_threshold():
    with pytest.raises(EmptyShapeError, match="two kinds of voxels"):
        otsu_threshold(np.ones((2, 2, 2)))
    with pytest.raises(EmptyShapeError, match="region of interest is empty"):
        otsu_threshold(np.ones((2, 2, 2)), np.zeros((2, 2, 2), bool))
    with pytest.raises(NotFiniteError, match="NaN"):
        otsu_threshold(np.array([[[0.0, 1.0, math.nan]]]))
