"""The registration kernels against slow NumPy and SciPy oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxbench import _core

shapes = st.tuples(*[st.integers(3, 14)] * 3)


def local_correlation(fixed: np.ndarray, warped: np.ndarray, radius: int) -> float:
    """Sum of squared local correlation over windows cut off at the border, float64."""
    fixed, warped = fixed.astype(float), warped.astype(float)
    size = 2 * radius + 1

    def window_sum(image: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(image, size, mode="constant") * size**3

    n = window_sum(np.ones_like(fixed))
    f, w = window_sum(fixed), window_sum(warped)
    cov = window_sum(fixed * warped) - f * w / n
    var_f, var_w = window_sum(fixed**2) - f**2 / n, window_sum(warped**2) - w**2 / n
    return float((cov**2 / (var_f * var_w)).sum())


class TestLocalCorrelation:
    @settings(deadline=None, max_examples=30)
    @given(shapes, st.integers(1, 4), st.integers(0, 99))
    def test_the_value_is_the_sum_of_squared_correlations(
        self, shape: tuple[int, int, int], radius: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        fixed, warped = (rng.random(shape).astype(np.float32) for _ in range(2))
        got = _core.ncc_value(fixed, warped, None, radius, 1e-7)
        assert got == pytest.approx(local_correlation(fixed, warped, radius), rel=2e-4)

    @pytest.mark.parametrize("radius", [1, 2, 3])
    def test_the_forces_are_the_exact_gradients_times_the_images_slopes(self, radius: int) -> None:
        rng = np.random.default_rng(radius)
        shape = (9, 10, 11)
        fixed, warped = (ndimage.gaussian_filter(rng.random(shape), 0.7).astype(np.float32) for _ in range(2))
        scratch = np.empty((5, *shape), np.float32)
        force, back = np.empty((3, *shape), np.float32), np.empty((3, *shape), np.float32)
        _core.ncc_force(fixed, warped, None, radius, 1e-9, scratch, force, back)
        slopes = [np.gradient(image.astype(float)) for image in (warped, fixed)]
        for point in [(4, 5, 6), (2, 2, 2), (6, 1, 8)]:
            for side, (image, got) in enumerate(((warped, force), (fixed, back))):
                change = []
                for sign in (1, -1):
                    pushed = image.astype(float).copy()
                    pushed[point] += sign * 1e-4
                    pair = (fixed, pushed) if side == 0 else (pushed, warped)
                    change.append(local_correlation(*pair, radius))
                slope = (change[0] - change[1]) / 2e-4
                want = [slope * slopes[side][axis][point] for axis in range(3)]
                np.testing.assert_allclose(got[(slice(None), *point)], want, rtol=2e-3, atol=1e-4)

    def test_one_side_alone_gives_the_same_force(self) -> None:
        rng = np.random.default_rng(0)
        fixed, warped = (rng.random((8, 9, 10)).astype(np.float32) for _ in range(2))
        scratch, one, two, back = (np.empty((c, 8, 9, 10), np.float32) for c in (5, 3, 3, 3))
        _core.ncc_force(fixed, warped, None, 2, 1e-9, scratch, one, None)
        _core.ncc_force(fixed, warped, None, 2, 1e-9, scratch, two, back)
        np.testing.assert_allclose(one, two, atol=1e-5)

    def test_flat_windows_and_weights_of_zero_count_nothing(self) -> None:
        image = np.zeros((8, 8, 8), np.float32)
        assert _core.ncc_value(image, image, None, 2, 1e-6) == 0
        image = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
        assert _core.ncc_value(image, image, np.zeros_like(image), 2, 1e-6) == 0
        assert _core.ncc_value(image, image, None, 2, 1e-6) == pytest.approx(512, rel=1e-4)


class TestGaussian:
    @settings(deadline=None, max_examples=30)
    @given(shapes, st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 2.2])] * 3), st.booleans(), st.integers(0, 9))
    def test_it_agrees_with_scipy(
        self, shape: tuple[int, int, int], sigma: tuple[float, float, float], clamp: bool, seed: int
    ) -> None:
        image = np.random.default_rng(seed).random(shape).astype(np.float32)
        got = image.copy()
        _core.gaussian(got, np.array(sigma, np.float32), clamp)
        want = image.astype(float)
        for axis, s in enumerate(sigma):
            if s:
                radius = int(np.ceil(3.5 * s))
                want = ndimage.gaussian_filter1d(want, s, axis, mode="nearest" if clamp else "constant", radius=radius)
        np.testing.assert_allclose(got, want, atol=2e-6)

    def test_channels_are_smoothed_apart(self) -> None:
        field = np.zeros((3, 9, 9, 9), np.float32)
        field[1, 4, 4, 4] = 1
        _core.gaussian(field, np.ones(3, np.float32), False)
        assert not field[0].any()
        assert field[1].sum() == pytest.approx(1, abs=2e-3)

    def test_scaling_sets_the_largest_component(self) -> None:
        field = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
        ratio = field[0, 0, 0, 0] / field[2, 3, 4, 5]
        _core.scale_to(field, 0.25)
        assert np.abs(field).max() == pytest.approx(0.25)
        assert field[0, 0, 0, 0] / field[2, 3, 4, 5] == pytest.approx(ratio, rel=1e-5)
        zeros = np.zeros((3, 2, 2, 2), np.float32)
        _core.scale_to(zeros, 1.0)
        assert not zeros.any()


class TestJacobians:
    def test_an_affine_map_has_its_own_determinant_everywhere(self) -> None:
        linear = np.array([[1.1, 0.1, 0], [0, 0.9, 0.2], [0.1, 0, 1.2]])
        index = np.stack(np.meshgrid(*map(np.arange, (6, 7, 8)), indexing="ij"))
        field = (np.einsum("ab,bijk->aijk", linear, index) - index).astype(np.float32)
        for kernel in (_core.jacobian_determinant, _core.jacobian_minimum):
            np.testing.assert_allclose(kernel(field), np.linalg.det(linear), atol=2e-5)

    def test_the_minimum_sees_a_fold_that_central_differences_step_over(self) -> None:
        field = np.zeros((3, 9, 9, 9), np.float32)
        field[0, 4] = 1.5  # passes its neighbour; the central difference across it is still zero at i = 4
        assert _core.jacobian_determinant(field)[4, 4, 4] == pytest.approx(1)
        assert _core.jacobian_minimum(field)[4, 4, 4] < 0

    def test_the_minimum_is_the_least_of_the_eight_one_sided_determinants(self) -> None:
        field = (0.3 * np.random.default_rng(0).normal(size=(3, 5, 5, 5))).astype(np.float32)
        index = np.stack(np.meshgrid(*map(np.arange, (5, 5, 5)), indexing="ij"))
        image = index + field.astype(float)
        at = (2, 3, 1)
        values = []
        for signs in np.ndindex(2, 2, 2):
            columns = []
            for axis, ahead in enumerate(signs):
                other = list(at)
                other[axis] += 1 if ahead else -1
                difference = image[(slice(None), *other)] - image[(slice(None), *at)]
                columns.append(difference if ahead else -difference)
            values.append(np.linalg.det(np.stack(columns)))
        assert _core.jacobian_minimum(field)[at] == pytest.approx(min(values), abs=1e-5)


class TestFieldAlgebra:
    def test_composition_reads_the_outer_field_where_the_inner_one_leads(self) -> None:
        rng = np.random.default_rng(0)
        inner, outer = (
            np.stack([2 * ndimage.gaussian_filter(rng.normal(size=(9, 10, 11)), 2) for _ in range(3)]).astype(
                np.float32
            )
            for _ in range(2)
        )
        out = np.empty_like(inner)
        _core.compose_planar(outer, inner, 0.5, out)
        index = np.stack(np.meshgrid(*map(np.arange, (9, 10, 11)), indexing="ij"))
        at = index + 0.5 * inner
        want = 0.5 * inner + np.stack([ndimage.map_coordinates(c, at, order=1, mode="nearest") for c in outer])
        np.testing.assert_allclose(out, want, atol=1e-5)

    def test_the_inverse_of_a_steep_field_is_found(self) -> None:
        noise = np.random.default_rng(1).normal(size=(3, 24, 24, 24))
        smooth = np.stack([ndimage.gaussian_filter(c, 2.5) for c in noise]).astype(np.float32)
        smooth *= 3.5 / np.abs(smooth).max()
        assert 0 < _core.jacobian_minimum(smooth)[2:-2, 2:-2, 2:-2].min() < 0.4  # steep, and not folded
        inverse = np.zeros_like(smooth)
        residual = _core.invert_planar(smooth, 60, inverse)
        assert residual < 1e-2
        out = np.empty_like(smooth)
        _core.compose_planar(smooth, inverse, 1.0, out)
        assert np.abs(out[:, 4:-4, 4:-4, 4:-4]).max() < 1e-3
