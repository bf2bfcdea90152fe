"""The descriptors and the force between feature images against slow NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates, uniform_filter

from voxbench import _core

shapes = st.tuples(*(st.integers(1, 11) for _ in range(3)))


def shifted(image: np.ndarray, offset: tuple[int, int, int]) -> np.ndarray:
    """image(x + offset), going on with the outermost value."""
    index = np.ix_(*(np.clip(np.arange(n) + o, 0, n - 1) for n, o in zip(image.shape, offset, strict=True)))
    return image[index]


def slow_mind(image: np.ndarray, radius: int, dilation: int) -> np.ndarray:
    image = image.astype(np.float64)
    squares = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        for s in (-dilation, dilation):
            for t in (-dilation, dilation):
                one, other = [0, 0, 0], [0, 0, 0]
                one[a], other[b] = s, t
                squares.append((shifted(image, tuple(one)) - shifted(image, tuple(other))) ** 2)
    floor = max(1e-3 * np.mean(squares), 1e-20)
    distance = np.stack([uniform_filter(d, 2 * radius + 1, mode="nearest") for d in squares])
    distance -= distance.min(axis=0)
    return np.exp(-distance / np.maximum(distance.mean(axis=0), floor))


def slow_pool(features: np.ndarray, pool: int) -> np.ndarray:
    shape = tuple(-(-n // pool) for n in features.shape[1:])
    out = np.empty((len(features), *shape))
    for at in np.ndindex(shape):
        block = tuple(slice(pool * a, pool * (a + 1)) for a in at)
        out[(slice(None), *at)] = features[(slice(None), *block)].mean(axis=(1, 2, 3))
    return out


def slow_force(fixed: np.ndarray, moving: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Derivatives by differences of the linear interpolation itself, which is linear between voxels."""
    at = np.stack(np.meshgrid(*(np.arange(n) for n in fixed.shape[:3]), indexing="ij")) + u.astype(np.float64)
    top = np.array(moving.shape[:3]).reshape(3, 1, 1, 1) - 1

    def warp(points: np.ndarray) -> np.ndarray:
        channels = np.moveaxis(moving.astype(np.float64), -1, 0)
        return np.stack([map_coordinates(c, points, order=1, mode="nearest") for c in channels])

    residual = warp(at) - np.moveaxis(fixed.astype(np.float64), -1, 0)
    force = np.empty(u.shape)
    for a in range(3):
        low = np.minimum(np.floor(np.clip(at[a], 0, top[a])), max(top[a].item() - 1, 0))
        ends = at.copy(), at.copy()
        ends[0][a], ends[1][a] = low, low + 1
        slope = warp(ends[1]) - warp(ends[0])
        slope[:, (at[a] < 0) | (at[a] > top[a])] = 0
        force[a] = 2 * (residual * slope).mean(axis=0)
    return float((residual**2).mean()), force


@given(shapes, st.integers(0, 2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_descriptors_and_their_block_means_agree_with_numpy(shape, radius, dilation, pool, seed) -> None:
    image = np.random.default_rng(seed).normal(50, 20, shape).astype(np.float32)
    expected = slow_pool(slow_mind(image, radius, dilation), pool)
    np.testing.assert_allclose(_core.mind_ssc(image, radius, dilation, pool), expected, atol=5e-5)
    packed = _core.mind_ssc_packed(image, radius, dilation, pool)
    assert packed.dtype == np.uint8
    np.testing.assert_allclose(np.moveaxis(packed, -1, 0) / 255, expected, atol=0.5 / 255 + 1e-4)


def test_descriptors_do_not_see_scale_offset_or_inversion() -> None:
    image = np.random.default_rng(1).normal(0, 10, (9, 8, 7)).astype(np.float32)
    plain = _core.mind_ssc(image, 1, 2, 1)
    np.testing.assert_array_equal(_core.mind_ssc(-image, 1, 2, 1), plain)
    np.testing.assert_array_equal(_core.mind_ssc(4 * image, 1, 2, 1), plain)
    np.testing.assert_allclose(_core.mind_ssc(300 - 3 * image, 1, 2, 1), plain, atol=1e-3)


def test_a_constant_image_is_alike_in_every_direction() -> None:
    assert (_core.mind_ssc(np.full((5, 6, 7), 3, np.float32), 1, 2, 1) == 1).all()


@pytest.mark.parametrize("level", range(_core.instruction_set() + 1))
def test_every_instruction_set_gives_the_same_descriptors_and_forces(level) -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(size=(10, 9, 21)).astype(np.float32)
    best = _core.instruction_set()
    field = rng.normal(0, 2, (3, *image.shape)).astype(np.float32)
    results = []
    for use in (best, level):
        _core.set_instruction_set(use)
        features = np.ascontiguousarray(np.moveaxis(_core.mind_ssc(image, 1, 2, 1), 0, -1))
        out = np.empty_like(field)
        _core.feature_force(features, features, field, out)
        results.append((features, out))
    _core.set_instruction_set(best)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@given(shapes, shapes, st.sampled_from([1, 3, 12, 13]), st.booleans(), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_force_is_the_gradient_of_the_interpolated_difference(shape, other, channels, packed, seed) -> None:
    rng = np.random.default_rng(seed)
    fixed, moving = (rng.integers(0, 256, (*s, channels)).astype(np.uint8) for s in (shape, other))
    u = rng.normal(0, 2, (3, *shape)).astype(np.float32)
    u[:, ::2] = np.round(u[:, ::2])
    unit = (fixed / np.float32(255), moving / np.float32(255))
    out = np.empty_like(u)
    value = _core.feature_force(*((fixed, moving) if packed else unit), u, out)
    expected, force = slow_force(*unit, u)
    assert value == pytest.approx(expected, rel=1e-4)
    # On a voxel centre the slope has two values; rounding may pick the other one, so leave a margin around them.
    at = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) + u
    clear = (np.abs(at - np.round(at)) > 1e-4) | (at == np.round(at))
    np.testing.assert_allclose(np.where(clear.all(axis=0), out - force, 0), 0, atol=1e-4)


def test_equal_features_at_rest_feel_no_force() -> None:
    features = _core.mind_ssc_packed(np.random.default_rng(3).normal(size=(6, 7, 8)).astype(np.float32), 1, 2, 1)
    out = np.ones((3, 6, 7, 8), np.float32)
    assert _core.feature_force(features, features, np.zeros_like(out), out) == 0
    assert (out == 0).all()


def test_wrong_arrays_are_refused_with_their_name() -> None:
    image = np.zeros((4, 5, 6), np.float32)
    with pytest.raises(TypeError, match="image: expected dtype float32"):
        _core.mind_ssc(image.astype(np.float64), 1, 2, 1)
    with pytest.raises(TypeError, match="C-contiguous"):
        _core.mind_ssc(np.asfortranarray(image), 1, 2, 1)
    with pytest.raises(ValueError, match="radius"):
        _core.mind_ssc(image, 9, 2, 1)
    features, field = np.zeros((4, 5, 6, 12), np.float32), np.zeros((3, 4, 5, 6), np.float32)
    with pytest.raises(ValueError, match="channels differ"):
        _core.feature_force(features, features[..., :3].copy(), field, field.copy())
    with pytest.raises(TypeError, match="moving"):
        _core.feature_force(features, features.astype(np.uint8), field, field.copy())
