"""Frames, grids and the maps between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import DimensionError, FrameMismatchError, GridMismatchError, InputError, ShearedGridError
from voxbench.geometry import Affine, Grid, LabelMap, Volume, require_same_grid

numbers = st.floats(-5, 5)


def some_affine(rng: np.random.Generator, target: str = "b", source: str = "a") -> Affine:
    return Affine.from_parts(np.eye(3) + 0.3 * rng.normal(size=(3, 3)), rng.normal(size=3) * 10, target, source)


class TestAffine:
    @given(st.integers(0, 1000))
    def test_a_composition_maps_as_its_parts_in_turn(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        first, second = some_affine(rng, "b", "a"), some_affine(rng, "c", "b")
        points = rng.normal(size=(7, 3)) * 50
        np.testing.assert_allclose((second @ first)(points), second(first(points)), atol=1e-9)
        assert (second @ first).name == "c_from_a"

    @given(st.integers(0, 1000))
    def test_the_inverse_undoes(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        affine = some_affine(rng)
        points = rng.normal(size=(7, 3)) * 50
        np.testing.assert_allclose(affine.inverse()(affine(points)), points, atol=1e-6)
        assert affine.inverse().name == "a_from_b"

    def test_a_wrong_order_is_refused_and_names_both_frames(self) -> None:
        world_from_fixed = Affine.identity("world", "fixed")
        with pytest.raises(FrameMismatchError, match=r"world_from_fixed @ world_from_fixed.*'fixed'.*'world'"):
            world_from_fixed @ world_from_fixed

    @pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.diag([1.0, 1, 0, 1]), np.full((4, 4), np.nan)])
    def test_what_is_not_an_invertible_affine_map_is_refused(self, matrix: np.ndarray) -> None:
        with pytest.raises(InputError):
            Affine(matrix)


class TestGrid:
    def test_the_centre_of_the_first_voxel_is_the_origin(self) -> None:
        grid = Grid.from_parts((4, 5, 6), (1, 2, 3), (10, 20, 30))
        np.testing.assert_array_equal(grid.world_from_voxel(np.zeros((1, 3))), [[10, 20, 30]])
        np.testing.assert_allclose(grid.centre, (11.5, 24, 37.5))
        assert grid.voxel_volume == pytest.approx(6)

    @pytest.mark.parametrize(
        ("direction", "orientation"),
        [
            (np.eye(3), "RAS+"),
            (np.diag([-1.0, -1, 1]), "LPS+"),
            (np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), "PIR+"),
        ],
    )
    def test_orientation_says_which_way_the_axes_point(self, direction: np.ndarray, orientation: str) -> None:
        assert Grid.from_parts((3, 3, 3), direction=direction).orientation == orientation

    def test_an_oblique_grid_is_named_by_its_closest_axes(self) -> None:
        angle = np.radians(40)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        assert Grid.from_parts((3, 3, 3), direction=turn).orientation == "RAS+"

    def test_sheared_axes_are_refused_with_the_angle(self) -> None:
        linear = np.eye(3)
        linear[0, 1] = np.tan(np.radians(5))
        with pytest.raises(ShearedGridError, match=r"5\.0\d degrees"):
            Grid((3, 3, 3), Affine.from_parts(linear, np.zeros(3), "world", "voxel"))

    def test_an_axis_without_voxels_is_refused(self) -> None:
        with pytest.raises(DimensionError, match=r"\(3, 0, 3\)"):
            Grid((3, 0, 3), Affine.identity("world", "voxel"))

    @given(st.tuples(*[st.integers(2, 20)] * 3), st.tuples(*[st.floats(0.4, 3)] * 3), st.floats(0.3, 4))
    def test_other_spacing_keeps_the_centre_and_covers_the_box(
        self, shape: tuple[int, int, int], spacing: tuple[float, float, float], size: float
    ) -> None:
        grid = Grid.from_parts(shape, spacing, (3, -4, 5))
        other = grid.with_spacing((size, size, size))
        np.testing.assert_allclose(other.centre, grid.centre, atol=1e-9)
        np.testing.assert_allclose(other.spacing, size)
        assert (np.array(other.shape) * size >= np.array(shape) * spacing - 1e-4).all()
        assert (np.array(other.shape) * size < np.array(shape) * spacing + size + 1e-4).all()

    def test_a_crop_keeps_every_voxel_where_it_was(self) -> None:
        grid = Grid.from_parts((9, 9, 9), (1, 2, 3), (5, 6, 7))
        crop = grid.cropped((2, -1, 3), (5, 4, 12))
        assert crop.shape == (3, 5, 9)
        at = np.array([[1.0, 2, 3]])
        np.testing.assert_allclose(crop.world_from_voxel(at), grid.world_from_voxel(at + np.array([2, -1, 3])))

    def test_differing_grids_are_refused_with_both_printed(self) -> None:
        one, two = Grid.from_parts((4, 4, 4)), Grid.from_parts((4, 4, 5), (1, 1, 0.8))
        with pytest.raises(GridMismatchError, match=r"4 x 4 x 4[\s\S]*4 x 4 x 5[\s\S]*resample"):
            require_same_grid(one, two)
        require_same_grid(one, Grid.from_parts((4, 4, 4), origin=(0, 0, 5e-4)))


class TestVolumes:
    def test_arrays_are_frozen_and_contiguous(self) -> None:
        array = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
        volume = Volume(array, Grid.from_parts((2, 3, 4)))
        assert volume.array.flags.c_contiguous
        assert not volume.array.flags.writeable
        np.testing.assert_array_equal(volume.array, array)
        assert array.flags.writeable

    def test_a_label_map_refuses_fractions_and_takes_whole_floats(self) -> None:
        grid = Grid.from_parts((1, 1, 2))
        assert LabelMap(np.array([[[0.0, 7.0]]]), grid).ids == (7,)
        with pytest.raises(InputError, match="whole numbers"):
            LabelMap(np.array([[[0.0, 0.5]]]), grid)

    def test_an_array_of_another_shape_than_its_grid_is_refused(self) -> None:
        with pytest.raises(GridMismatchError, match=r"\(2, 2, 2\).*\(2, 2, 3\)"):
            Volume(np.zeros((2, 2, 2)), Grid.from_parts((2, 2, 3)))
