"""`voxbench warp` composes maps in the order given and interpolates once."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.geometry import Affine, DisplacementField, Grid, LabelMap, Volume, resample
from voxbench.geometry.compose import compose, invert
from voxbench.io import read_labels, read_volume, write_displacement, write_labels, write_volume
from voxbench.io.affines import write_affine


def turned(degrees: float, offset: tuple[float, float, float]) -> Affine:
    """A rotation about z, then a shift."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Affine.from_parts(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.array(offset))


@pytest.fixture
def bend(pair):
    """A smooth field on the fixed grid."""
    i, j, k = np.indices(pair.fixed.grid.shape)
    waves = np.stack([np.sin(j / 5), np.cos(k / 4), np.sin(i / 6)], axis=-1)
    return DisplacementField(waves.astype(np.float32), pair.fixed.grid)


@pytest.fixture
def warp(voxbench, pair, tmp_path):
    """Warps the moving image onto the fixed grid; the image written, or the outcome if it failed."""

    def call(*words, read=read_volume):
        out = tmp_path / "warped.nii.gz"
        outcome = voxbench("warp", pair.moving_path, "--onto", pair.fixed_path, "--out", out, *words)
        return read(out) if outcome.code == 0 else outcome

    return call


def test_a_field_carries_the_image_as_resample_does(warp, pair, bend, tmp_path):
    write_displacement(tmp_path / "u.nii.gz", bend, convention="mm-ras")
    warped = warp("--through", tmp_path / "u.nii.gz")
    np.testing.assert_array_equal(warped.array, resample(pair.moving, pair.fixed.grid, bend).array)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_every_interpolation_and_the_value_outside_are_passed_on(warp, pair, tmp_path, interpolation):
    write_affine(tmp_path / "a.json", turned(20, (3, -2, 1)))
    warped = warp("--through", tmp_path / "a.json", "--interpolation", interpolation, "--outside", "-50")
    expected = resample(pair.moving, pair.fixed.grid, turned(20, (3, -2, 1)), interpolation, -50.0)
    np.testing.assert_array_equal(warped.array, expected.array)
    assert (warped.array == -50).any()


def test_the_first_map_is_applied_to_the_fixed_point_first(warp, pair, bend, tmp_path):
    affine = turned(15, (4, 0, 0))
    write_affine(tmp_path / "a.json", affine)
    write_displacement(tmp_path / "u.nii.gz", bend, convention="mm-ras")
    both = {}
    for order in ("a.json u.nii.gz", "u.nii.gz a.json"):
        both[order] = warp("--through", *(tmp_path / name for name in order.split()), "--force").array
    onto = pair.fixed.grid
    expected = [resample(pair.moving, onto, compose(maps, onto)).array for maps in ([affine, bend], [bend, affine])]
    np.testing.assert_array_equal(both["a.json u.nii.gz"], expected[0])
    np.testing.assert_array_equal(both["u.nii.gz a.json"], expected[1])
    assert np.abs(expected[0] - expected[1]).max() > 10


def test_through_may_be_repeated(warp, pair, tmp_path):
    write_affine(tmp_path / "a.json", turned(15, (4, 0, 0)))
    write_affine(tmp_path / "b.json", turned(0, (0, 3, 0)))
    one = warp("--through", tmp_path / "a.json", tmp_path / "b.json").array
    two = warp("--through", tmp_path / "a.json", "--through", tmp_path / "b.json", "--force").array
    np.testing.assert_array_equal(one, two)
    world = turned(0, (0, 3, 0)) @ turned(15, (4, 0, 0))
    np.testing.assert_allclose(one, resample(pair.moving, pair.fixed.grid, world).array, atol=1e-3)


def test_an_affine_and_its_inverse_undo_each_other_bit_for_bit_on_one_grid(warp, pair, tmp_path):
    write_affine(tmp_path / "a.json", turned(0, (5, 0, 0)))
    warped = warp("--through", tmp_path / "a.json", f"inverse:{tmp_path / 'a.json'}")
    np.testing.assert_array_equal(warped.array, resample(pair.moving, pair.fixed.grid, Affine.identity()).array)


def test_a_field_is_taken_backwards(warp, pair, bend, tmp_path):
    write_displacement(tmp_path / "u.nii.gz", bend, convention="mm-ras")
    warped = warp("--through", f"inverse:{tmp_path / 'u.nii.gz'}")
    expected = resample(pair.moving, pair.fixed.grid, invert(bend, pair.fixed.grid))
    np.testing.assert_array_equal(warped.array, expected.array)


def test_labels_keep_their_ids_and_become_integers(voxbench, pair, bend, tmp_path):
    labels = LabelMap((pair.moving.array > 300).astype(np.int16) * 300, pair.moving.grid)
    write_labels(tmp_path / "l.nii.gz", labels)
    write_displacement(tmp_path / "u.nii.gz", bend, convention="mm-ras")
    words = ["warp", tmp_path / "l.nii.gz", "--onto", pair.fixed_path, "--out", tmp_path / "w.nii.gz", "--labels"]
    assert voxbench(*words, "--through", tmp_path / "u.nii.gz").code == 0
    warped = read_labels(tmp_path / "w.nii.gz")
    np.testing.assert_array_equal(warped.array, resample(labels, pair.fixed.grid, bend).array)
    assert warped.ids == (300,)


def test_a_field_between_two_grids_in_voxels_is_read_with_the_image_s_grid(voxbench, pair, bend, tmp_path, make_blob):
    other = make_blob((30, 16, 22), pair.shift)
    write_volume(
        pair.moving_path, Volume(other.array, Grid.from_parts(other.grid.shape, (0.9, 1.2, 1.0), (-9.0, 5.0, 2.0)))
    )
    moving = read_volume(pair.moving_path)
    write_displacement(tmp_path / "u.nii.gz", bend, moving=moving.grid)
    words = ["warp", pair.moving_path, "--onto", pair.fixed_path, "--out", tmp_path / "w.nii.gz"]
    assert voxbench(*words, "--through", tmp_path / "u.nii.gz").code == 0
    warped = read_volume(tmp_path / "w.nii.gz")
    np.testing.assert_allclose(warped.array, resample(moving, pair.fixed.grid, bend).array, atol=0.1)


def test_what_an_affine_after_such_a_field_leaves_unclear_is_asked_for(warp, pair, bend, tmp_path, make_blob):
    middle = make_blob((30, 16, 22))
    write_volume(tmp_path / "middle.nii.gz", middle)
    write_displacement(tmp_path / "u.nii.gz", bend, moving=Grid.from_parts((30, 16, 22), (2.0, 2.0, 2.0)))
    write_affine(tmp_path / "a.json", Affine.identity())
    words = ["--through", tmp_path / "u.nii.gz", tmp_path / "a.json"]
    outcome = warp(*words)
    assert outcome.code == 1
    assert "--moving IMAGE" in outcome.err
    assert isinstance(warp(*words, "--moving", tmp_path / "middle.nii.gz"), Volume)


def test_a_field_on_another_grid_than_the_result_s_is_interpolated(warp, pair, bend, tmp_path):
    coarse = pair.fixed.grid.with_spacing((2.0, 2.0, 2.0))
    field = compose([bend], coarse)
    write_displacement(tmp_path / "u.nii.gz", field, convention="mm-ras")
    warped = warp("--through", tmp_path / "u.nii.gz")
    expected = resample(pair.moving, pair.fixed.grid, compose([field], pair.fixed.grid))
    np.testing.assert_array_equal(warped.array, expected.array)


def test_maps_that_lead_nowhere_near_the_image_are_refused(warp, pair, tmp_path):
    write_affine(tmp_path / "a.json", turned(0, (500, 0, 0)))
    outcome = warp("--through", tmp_path / "a.json")
    assert outcome.code == 1
    assert "nothing of it arrives on the grid of --onto" in outcome.err
    assert not (tmp_path / "warped.nii.gz").exists()


@pytest.mark.parametrize("words", [("--interpolation", "cubic"), ("--outside", "3")])
def test_labels_exclude_what_would_make_them_up(warp, tmp_path, words):
    write_affine(tmp_path / "a.json", Affine.identity())
    outcome = warp("--through", tmp_path / "a.json", "--labels", *words)
    assert outcome.code == 2
    assert "--labels" in outcome.err


def test_a_file_that_is_there_is_kept_without_force(warp, tmp_path):
    write_affine(tmp_path / "a.json", Affine.identity())
    (tmp_path / "warped.nii.gz").write_text("mine")
    outcome = warp("--through", tmp_path / "a.json")
    assert outcome.code == 1
    assert "exists already" in outcome.err
    assert (tmp_path / "warped.nii.gz").read_text() == "mine"
    assert isinstance(warp("--through", tmp_path / "a.json", "--force"), Volume)
