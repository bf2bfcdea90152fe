"""Random maps undo their inverse, never fold, and repeat with the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench import _core
from voxbench.errors import InputError
from voxbench.geometry import Grid, compose
from voxbench.simulate import Pose, random_affine, random_diffeomorphism
from voxbench.simulate.deformations import STEEPEST, flow
from voxbench.simulate.fields import smooth_noise

TURN = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], dtype=float)
GRIDS = [
    Grid.from_parts((30, 42, 36), (4.0, 4.0, 4.0)),
    Grid.from_parts((33, 24, 30), (2.0, 3.0, 1.5), (7.0, -80.0, 3.0), TURN),
]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, STEEPEST), st.sampled_from(GRIDS))
def test_inverse_undoes_forward_and_neither_folds(seed: int, steepness: float, grid: Grid) -> None:
    smoothness = 4 * float(grid.spacing.max())
    made = random_diffeomorphism(grid, np.random.default_rng(seed), steepness * smoothness, smoothness)
    for first, second in ((made.forward, made.inverse), (made.inverse, made.forward)):
        residual = compose([first, second], onto=grid).in_voxels()
        assert np.linalg.norm(residual, axis=0).mean() < 0.05
        assert _core.jacobian_determinant(first.in_voxels()).min() > 0


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(GRIDS))
def test_no_point_moves_further_than_the_amplitude_and_the_faces_stay(seed: int, grid: Grid) -> None:
    made = random_diffeomorphism(grid, np.random.default_rng(seed), 5.0, 16.0)
    assert 0.2 * 5 < made.forward.magnitude.max() <= 5 * (1 + 1e-5)
    for axis in range(3):
        faces = np.take(made.forward.array, (0, -1), axis=axis)
        assert np.array_equal(faces, np.zeros_like(faces))


def test_a_seed_gives_one_map_and_another_seed_another() -> None:
    first, again, other = (random_diffeomorphism(GRIDS[0], np.random.default_rng(s)) for s in (3, 3, 4))
    assert np.array_equal(first.forward.array, again.forward.array)
    assert np.array_equal(first.inverse.array, again.inverse.array)
    assert np.abs(first.forward.array - other.forward.array).max() > 1


def test_reversed_exchanges_the_directions() -> None:
    made = random_diffeomorphism(GRIDS[0], np.random.default_rng(0))
    assert made.reversed().forward is made.inverse
    assert made.reversed().inverse is made.forward


def test_no_amplitude_is_the_identity() -> None:
    made = random_diffeomorphism(GRIDS[1], np.random.default_rng(0), amplitude_mm=0.0)
    assert not made.forward.array.any()
    assert not made.inverse.array.any()


@pytest.mark.parametrize(("amplitude", "smoothness"), [(-1.0, 10.0), (10.0, 0.0), (20.0, 20.0)])
def test_maps_that_may_fold_are_refused(amplitude: float, smoothness: float) -> None:
    with pytest.raises(InputError, match="amplitude"):
        random_diffeomorphism(GRIDS[0], np.random.default_rng(0), amplitude, smoothness)


def test_flow_of_a_rotation_field_is_the_rotation() -> None:
    n, angle = 41, 0.5
    index = np.indices((n, n, 3), dtype=np.float64) - np.array([20, 20, 1]).reshape(3, 1, 1, 1)
    velocity = np.stack([-angle * index[1], angle * index[0], 0 * index[2]]).astype(np.float32)
    moved = index + flow(velocity)
    c, s = np.cos(angle), np.sin(angle)
    expected = np.stack([c * index[0] - s * index[1], s * index[0] + c * index[1], index[2]])
    near = np.hypot(index[0], index[1]) < 12  # beyond, the flow meets the border
    assert np.abs(moved - expected)[:, near].max() < 0.02


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_random_affines_stay_within_their_pose(seed: int) -> None:
    about = np.array([10.0, -20.0, 30.0])
    pose = Pose(rotation_degrees=8, translation_mm=3, scaling=0.1)
    drawn = random_affine(about, np.random.default_rng(seed), pose)
    assert np.abs(drawn(about) - about).max() <= 3
    stretches = np.linalg.svd(drawn.linear, compute_uv=False)
    assert 0.9 - 1e-12 <= stretches.min() <= stretches.max() <= 1.1 + 1e-12
    u, _, vt = np.linalg.svd(drawn.linear)
    angle = np.degrees(np.arccos(np.clip((np.trace(u @ vt) - 1) / 2, -1, 1)))
    assert angle <= 8 + 1e-9
    assert np.array_equal(drawn.matrix, random_affine(about, np.random.default_rng(seed), pose).matrix)


def test_noise_has_unit_variance_and_its_smoothness() -> None:
    grid = Grid.from_parts((60, 60, 60), (2.0, 2.0, 2.0))
    noise = np.stack([smooth_noise(grid, np.random.default_rng(s), 6.0) for s in range(6)])
    assert abs(noise.std() - 1) < 0.1
    lag = np.mean(
        noise[:, 6:] * noise[:, :-6]
    )  # 12 mm: the correlation of Gaussian-smoothed noise is exp(-d^2 / 4 s^2)
    assert abs(lag - np.exp(-(12**2) / (4 * 6**2))) < 0.1


def test_noise_is_one_field_whatever_the_grid_over_a_box() -> None:
    coarse = Grid.from_parts((24, 30, 36), (4.0, 4.0, 4.0), (1.0, 2.0, 3.0))
    fine = coarse.with_spacing((2.0, 2.0, 2.0))
    a = smooth_noise(coarse, np.random.default_rng(1), 12.0)
    b = smooth_noise(fine, np.random.default_rng(1), 12.0)
    means = b.reshape(24, 2, 30, 2, 36, 2).mean(axis=(1, 3, 5))
    assert np.abs(a - means).max() < 0.05
