"""Resampling against SciPy, and the laws of composing and inverting maps."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxbench import _core
from voxbench.errors import GridMismatchError, NotFiniteError
from voxbench.geometry import Affine, DisplacementField, Grid, LabelMap, Volume, compose, grid_points, invert, resample


def smooth_field(grid: Grid, seed: int, amplitude_mm: float = 3.0, sigma: float = 4.0) -> DisplacementField:
    noise = np.random.default_rng(seed).normal(size=(*grid.shape, 3))
    smooth = np.stack([ndimage.gaussian_filter(noise[..., c], sigma) for c in range(3)], axis=-1)
    return DisplacementField((amplitude_mm * smooth / np.abs(smooth).max()).astype(np.float32), grid)


oblique = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]


class TestResample:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
    @pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
    def test_onto_its_own_grid_a_volume_comes_back_bit_for_bit(
        self, dtype: type, interpolation: Literal["nearest", "linear", "cubic"]
    ) -> None:
        grid = Grid.from_parts((7, 8, 9), (0.7, 0.7, 2.5), (1.1, 2.2, 3.3), oblique)
        array = (np.random.default_rng(0).random(grid.shape) * 200).astype(dtype)
        again = resample(Volume(array, grid), Grid(grid.shape, grid.world_from_voxel), interpolation=interpolation)
        np.testing.assert_array_equal(again.array, array)
        assert again.array.dtype == dtype

    @pytest.mark.parametrize("interpolation", ["nearest", "linear"])
    def test_through_an_identity_field_too(self, interpolation: Literal["nearest", "linear"]) -> None:
        grid = Grid.from_parts((7, 8, 9), (0.7, 0.7, 2.5), (1.1, 2.2, 3.3), oblique)
        array = np.random.default_rng(0).random(grid.shape).astype(np.float32)
        again = resample(Volume(array, grid), grid, DisplacementField.zeros(grid), interpolation)
        np.testing.assert_array_equal(again.array, array)

    @settings(deadline=None, max_examples=25)
    @given(st.tuples(*[st.integers(2, 12)] * 3), st.integers(0, 100), st.sampled_from([0, 1, 3]))
    def test_inside_it_agrees_with_scipy_and_outside_it_is_what_was_asked(
        self, shape: tuple[int, int, int], seed: int, order: int
    ) -> None:
        rng = np.random.default_rng(seed)
        image = Volume(rng.random(shape).astype(np.float32), Grid.from_parts(shape, (1, 1.5, 2), (1, 2, 3)))
        onto = Grid.from_parts((6, 7, 8), (1.3, 1.1, 1.7), (0.3, 2.4, 2.1), oblique)
        field = smooth_field(onto, seed)
        name: Literal["nearest", "linear", "cubic"] = {0: "nearest", 1: "linear", 3: "cubic"}[order]  # type: ignore[assignment]
        got = resample(image, onto, field, name, outside=-7.0).array
        at = image.grid.voxel_from_world(grid_points(onto) + field.array)
        inside = ((at >= 0) & (at <= np.array(shape) - 1)).all(axis=-1)
        want = ndimage.map_coordinates(
            image.array.astype(float), np.moveaxis(at, -1, 0), order=order, mode="mirror" if order == 3 else "nearest"
        )
        np.testing.assert_allclose(got[inside], want[inside], atol=2e-5)
        assert (got[~inside] == -7).all()

    def test_labels_keep_ids_names_and_dtype(self) -> None:
        grid = Grid.from_parts((5, 5, 5))
        labels = LabelMap(np.random.default_rng(0).integers(0, 4, grid.shape).astype(np.int16), grid, {3: "disc"})
        moved = resample(labels, grid, Affine.from_parts(np.eye(3), np.array([1.0, 0, 0])))
        np.testing.assert_array_equal(moved.array[:-1], labels.array[1:])
        assert (moved.array[-1] == 0).all()
        assert moved.array.dtype == np.int16
        assert moved.names == {3: "disc"}

    def test_a_field_on_another_grid_is_refused(self) -> None:
        grid = Grid.from_parts((5, 5, 5))
        field = DisplacementField.zeros(Grid.from_parts((5, 5, 6)))
        with pytest.raises(GridMismatchError, match="another grid"):
            resample(Volume(np.zeros(grid.shape), grid), grid, field)


class TestFields:
    def test_voxel_vectors_and_mm_vectors_are_the_same_field(self) -> None:
        grid = Grid.from_parts((5, 6, 7), (1, 2, 3), direction=oblique)
        field = smooth_field(grid, 1, sigma=1)
        again = DisplacementField.from_voxels(field.in_voxels(), grid)
        np.testing.assert_allclose(again.array, field.array, atol=1e-5)
        at = np.argwhere(np.ones(grid.shape)).astype(float)
        world = grid.world_from_voxel(at) + field.array.reshape(-1, 3)
        np.testing.assert_allclose(grid.voxel_from_world(world) - at, field.in_voxels().reshape(3, -1).T, atol=1e-5)

    def test_nan_is_refused(self) -> None:
        grid = Grid.from_parts((2, 2, 2))
        with pytest.raises(NotFiniteError):
            DisplacementField(np.full((2, 2, 2, 3), np.nan, np.float32), grid)


class TestCompose:
    def test_affines_compose_as_their_matrices(self) -> None:
        rng = np.random.default_rng(0)
        grid = Grid.from_parts((4, 5, 6), (1, 2, 3))
        one, two = (Affine.from_parts(np.eye(3) + 0.1 * rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(2))
        both = compose([one, two], grid)
        np.testing.assert_allclose(both.array, DisplacementField.from_affine(two @ one, grid).array, atol=1e-5)

    def test_a_field_then_an_affine_maps_points_one_after_the_other(self) -> None:
        grid = Grid.from_parts((20, 9, 9), (1, 2, 3), (4, 5, 6))
        field = smooth_field(grid, 2)
        affine = Affine.from_parts(1.1 * np.eye(3), np.array([1.0, 2, 3]))
        both = compose([field, affine], grid)
        points = grid_points(grid)
        np.testing.assert_allclose(both.array, affine(points + field.array) - points, atol=1e-4)

    @pytest.mark.parametrize("shape", [(24, 26, 28), (33, 20, 21)])
    def test_a_field_and_its_inverse_undo_each_other_both_ways(self, shape: tuple[int, int, int]) -> None:
        grid = Grid.from_parts(shape, (1, 1.2, 1.5), (4, 5, 6), oblique)
        field = smooth_field(grid, 5, amplitude_mm=4)
        back = invert(field)
        inner = (slice(5, -5),) * 3
        # exact where it was solved for, at the voxels; on the way back the inverse is read between them
        assert np.abs(compose([back, field], grid).array[inner]).max() < 2e-3
        assert np.linalg.norm(compose([field, back], grid).array[inner], axis=-1).mean() < 0.03

    def test_an_inverse_may_live_on_another_grid(self) -> None:
        grid = Grid.from_parts((24, 24, 24), (1, 1, 1))
        moving = Grid.from_parts((15, 16, 14), (1.3, 1.2, 1.1), (3, 3, 4))
        field = smooth_field(grid, 6)
        back = invert(field, moving)
        assert back.grid.same_as(moving)
        there_and_back = compose([back, field], moving)
        assert np.abs(there_and_back.array).max() < 0.05


class TestCore:
    @pytest.mark.parametrize("level", range(_core.instruction_set() + 1))
    def test_every_instruction_set_gives_the_same_numbers(self, level: int) -> None:
        best = _core.instruction_set()
        rng = np.random.default_rng(0)
        source = rng.random((9, 10, 11)).astype(np.float32)
        matrix = np.hstack([np.eye(3) * 0.9, [[0.3], [0.2], [0.1]]])
        want = _core.sample(source, (9, 10, 11), matrix, None, None, 1, 0.0)
        try:
            _core.set_instruction_set(level)
            np.testing.assert_allclose(_core.sample(source, (9, 10, 11), matrix, None, None, 1, 0.0), want, atol=1e-6)
        finally:
            _core.set_instruction_set(best)

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((3, 3, 3)), "float32"),
            (np.zeros((3, 3), np.float32), "3 axes"),
            (np.asfortranarray(np.zeros((3, 4, 5), np.float32)), "contiguous"),
        ],
    )
    def test_a_wrong_array_is_refused_with_the_reason(self, array: np.ndarray, message: str) -> None:
        with pytest.raises(TypeError, match=message):
            _core.spline_coefficients(array)
