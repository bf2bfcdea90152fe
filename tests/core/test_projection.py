"""The cone-beam kernels against slow walks along every ray, their adjoints, and shapes whose integrals are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from voxbench import _core


def gantry_beam(degrees, shape, pixel=1.2, distances=(60.0, 30.0), spacing=(0.5, 0.6, 0.7), size=(20, 23, 26)):
    """A view that turns about k, in voxels."""
    (far, near), (rows, cols), turn = distances, shape, np.radians(degrees)
    cos, sin = np.cos(turn), np.sin(turn)
    right, down = np.array([-sin, cos, 0]) * pixel, np.array([0.0, 0, -pixel])
    source = near * np.array([cos, sin, 0.0])
    first = (near - far) * np.array([cos, sin, 0]) - (rows - 1) / 2 * down - (cols - 1) / 2 * right
    middle = (np.array(size) - 1) / 2 + [0.3, -0.2, 0.1]
    return np.ascontiguousarray(
        [source / spacing + middle, first / spacing + middle, right / spacing, down / spacing], dtype=np.float64
    )


def any_beam(rng, shape, spacing, size):
    """A view from anywhere, looking roughly at the middle."""
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rows, cols = shape
    source = axes[2] * rng.uniform(25, 60)
    right, down = axes[0] * rng.uniform(0.5, 2), axes[1] * rng.uniform(0.5, 2)
    first = -axes[2] * rng.uniform(15, 40) + rng.normal(size=3) - (rows - 1) / 2 * down - (cols - 1) / 2 * right
    middle = (np.array(size) - 1) / 2
    return np.ascontiguousarray(
        [source / spacing + middle, first / spacing + middle, right / spacing, down / spacing], dtype=np.float64
    )


def ends(beam, shape):
    rows, cols = np.indices(shape)
    return beam[0], beam[1] + cols[..., None] * beam[2] + rows[..., None] * beam[3]


def slow_joseph(volume, beam, spacing, shape):
    """Read by scipy at one place per slice of each ray's main axis; the box ends at its outer faces."""
    source, pixels = ends(beam, shape)
    out = np.zeros(shape)
    for at in np.ndindex(*shape):
        d = pixels[at] - source
        main = int(np.abs(d).argmax())
        low, high = 0.0, 1.0
        for a in range(3):
            if d[a]:
                near, far = sorted((np.array([-0.5, volume.shape[a] - 0.5]) - source[a]) / d[a])
                low, high = max(low, near), min(high, far)
            elif not -0.5 < source[a] < volume.shape[a] - 0.5:
                high = -1.0
        if high <= low:
            continue
        begin, end = sorted(source[main] + np.array([low, high]) * d[main])
        s = np.arange(volume.shape[main])
        share = np.minimum(end, s + 0.5) - np.maximum(begin, s - 0.5)
        s, share = s[share > 0], share[share > 0]
        places = source[:, None] + (s - source[main]) / d[main] * d[:, None]
        places[main] = s
        values = map_coordinates(volume.astype(np.float64), places, order=1, mode="nearest")
        out[at] = (share * values).sum() * np.linalg.norm(d * spacing) / abs(d[main])
    return out


def slow_siddon(volume, beam, spacing, shape):
    """All crossings with voxel walls, sorted; the voxel is that of the middle between two."""
    source, pixels = ends(beam, shape)
    out = np.zeros(shape)
    for at in np.ndindex(*shape):
        d = pixels[at] - source
        cuts = [0.0, 1.0]
        for a in range(3):
            if d[a]:
                cuts.extend((np.arange(volume.shape[a] + 1) - 0.5 - source[a]) / d[a])
        cuts = np.unique(np.clip(cuts, 0, 1))
        voxel = np.rint(source + (cuts[:-1] + np.diff(cuts) / 2)[:, None] * d).astype(int)
        inside = ((voxel >= 0) & (voxel < volume.shape)).all(axis=1)
        lengths = np.diff(cuts)[inside] * np.linalg.norm(d * spacing)
        out[at] = (volume[tuple(voxel[inside].T)] * lengths).sum()
    return out


@pytest.fixture(params=[0, 1, 2])
def level(request):
    best = _core.instruction_set()
    if request.param > best:
        pytest.skip("this machine lacks that instruction set")
    _core.set_instruction_set(request.param)
    yield request.param
    _core.set_instruction_set(best)


SIZE, SPACING = (20, 23, 26), np.array([0.5, 0.6, 0.7])
VOLUME = np.random.default_rng(3).random(SIZE).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 30, 44, 45, 90, 135, 180, 201, 270, 333])
@pytest.mark.parametrize(("pixel", "shape"), [(0.55, (37, 41)), (1.3, (17, 33)), (3.9, (9, 11))])
def test_the_separable_projection_is_joseph_s(level, degrees, pixel, shape):
    beam = gantry_beam(degrees, shape, pixel)
    slow = slow_joseph(VOLUME, beam, SPACING, shape)
    fast = _core.project_columns(VOLUME, beam, SPACING, *shape)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-6 * slow.max())
    assert slow.max() > 5


def test_rows_that_count_down_and_up_see_the_same():
    shape = (14, 15)
    beam = gantry_beam(20, shape)
    other = beam.copy()
    other[1] += (shape[0] - 1) * beam[3]
    other[3] *= -1
    image = _core.project_columns(VOLUME, beam, SPACING, *shape)
    np.testing.assert_allclose(
        _core.project_columns(VOLUME, other, SPACING, *shape)[::-1], image, rtol=0, atol=1e-6 * image.max()
    )


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_any_pose_is_joseph_s_and_siddon_s(seed):
    rng = np.random.default_rng(seed)
    size, shape = tuple(rng.integers(1, 14, 3)), tuple(rng.integers(1, 9, 2))
    volume, spacing = rng.random(size).astype(np.float32), rng.uniform(0.4, 2.5, 3)
    beam = any_beam(rng, shape, spacing, size)
    for exact, slow in ((False, slow_joseph), (True, slow_siddon)):
        expected = slow(volume, beam, spacing, shape)
        found = _core.project_rays(volume, beam, spacing, int(shape[0]), int(shape[1]), exact)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * max(1, expected.max()))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rays_that_run_along_walls_and_centres_are_summed_too(degrees):
    # The middle column of rays lies in the plane of voxel centres; half a voxel aside, in a wall.
    shape = (5, 5)
    for aside in (0.0, 0.5):
        beam = gantry_beam(degrees, shape, 1.0, spacing=(1.0, 1.0, 1.0), size=(9, 9, 9))
        beam[:2] += np.rint(beam[0] * 2) / 2 - beam[0] + aside
        ones = np.ones((9, 9, 9), np.float32)
        for exact, slow in ((False, slow_joseph), (True, slow_siddon)):
            found = _core.project_rays(ones, beam, np.ones(3), *shape, exact)
            np.testing.assert_allclose(found, slow(ones, beam, np.ones(3), shape), atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_back_projections_are_adjoints(seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(3, 20, 3))
    shape = tuple(int(n) for n in rng.integers(2, 20, 2))
    x, y = rng.random(size).astype(np.float32), rng.random(shape).astype(np.float32)
    spacing = rng.uniform(0.4, 0.9, 3)
    turning, free = (
        gantry_beam(rng.uniform(0, 360), shape, 0.9, spacing=spacing, size=size),
        any_beam(rng, shape, spacing, size),
    )
    pairs = [(_core.project_columns(x, turning, spacing, *shape), _core.backproject_columns(y, turning, spacing, size))]
    for exact in (False, True):
        for beam in (turning, free):
            projected = _core.project_rays(x, beam, spacing, *shape, exact)
            pairs.append((projected, _core.backproject_rays(y, beam, spacing, size, exact)))
    for projected, back in pairs:
        left, right = np.vdot(projected.astype(np.float64), y), np.vdot(x, back.astype(np.float64))
        assert left == pytest.approx(right, rel=1e-6, abs=1e-9)


def test_adjoints_hold_on_every_instruction_set(level):
    rng, shape = np.random.default_rng(level), (40, 31)
    y = rng.random(shape).astype(np.float32)
    for degrees in (0, 45, 100):
        beam = gantry_beam(degrees, shape, 0.6)
        left = np.vdot(_core.project_columns(VOLUME, beam, SPACING, *shape).astype(np.float64), y)
        right = np.vdot(VOLUME, _core.backproject_columns(y, beam, SPACING, SIZE).astype(np.float64))
        assert left == pytest.approx(right, rel=1e-6)


def test_back_projection_of_one_pixel_is_the_weights_of_its_ray():
    shape = (6, 7)
    beam = gantry_beam(25, shape, 2.0)
    image = np.zeros(shape, np.float32)
    image[4, 2] = 1
    weights = _core.backproject_columns(image, beam, SPACING, SIZE)
    for voxel in [tuple(np.argwhere(weights)[n]) for n in (0, 20, -1)]:
        one = np.zeros(SIZE, np.float32)
        one[voxel] = 1
        assert _core.project_columns(one, beam, SPACING, *shape)[4, 2] == pytest.approx(weights[voxel], rel=1e-5)
    assert weights.sum() == pytest.approx(_core.project_columns(np.ones(SIZE, np.float32), beam, SPACING, *shape)[4, 2])


def test_bytes_are_projected_as_their_float32_values(level):
    small, shape = (VOLUME * 255).astype(np.uint8), (30, 31)
    beam = gantry_beam(33, shape)
    np.testing.assert_array_equal(
        _core.project_columns(small, beam, SPACING, *shape),
        _core.project_columns(small.astype(np.float32), beam, SPACING, *shape),
    )
    for exact in (False, True):  # the compiler may fuse other steps
        np.testing.assert_allclose(
            _core.project_rays(small, beam, SPACING, *shape, exact),
            _core.project_rays(small.astype(np.float32), beam, SPACING, *shape, exact),
            rtol=1e-6,
        )


def test_one_thread_and_two_give_the_same_bits():
    shape = (33, 50)
    beam, image = gantry_beam(50, shape, 0.7), np.random.default_rng(0).random(shape).astype(np.float32)
    before, results = _core.threads(), []
    try:
        for n in (1, 2):
            _core.threads(n)
            results.append(
                [
                    _core.project_columns(VOLUME, beam, SPACING, *shape),
                    _core.backproject_columns(image, beam, SPACING, SIZE),
                    _core.view_gradient(VOLUME, image, beam, SPACING),
                    *(_core.project_rays(VOLUME, beam, SPACING, *shape, exact) for exact in (False, True)),
                    *(_core.backproject_rays(image, beam, SPACING, SIZE, exact) for exact in (False, True)),
                ]
            )
    finally:
        _core.threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def ellipsoid(n):
    """An ellipsoid on n^3 voxels of a 16 mm cube: each voxel's share of it, and the integral along any ray."""
    half, inverse = np.array([5.0, 4.0, 6.0]), np.diag(1 / np.array([5.0, 4.0, 6.0]))
    fine = (np.arange(3 * n) + 0.5) / (3 * n) * 16 - 8
    inside = sum((fine.reshape([-1 if a == b else 1 for b in range(3)]) / half[a]) ** 2 for a in range(3)) <= 1
    share = inside.reshape(n, 3, n, 3, n, 3).mean(axis=(1, 3, 5)).astype(np.float32)

    def integral(source, pixels):
        d = pixels - source
        length = np.linalg.norm(d, axis=-1)
        a, s = d / length[..., None] @ inverse, source @ inverse
        along, square = a @ s, (a**2).sum(axis=-1)
        return 2 * np.sqrt(np.maximum(along**2 - square * (s @ s - 1), 0)) / square

    return share, integral


@pytest.mark.parametrize("degrees", [0, 30])
def test_an_ellipsoid_s_integrals_are_met_to_joseph_s_error_which_falls_with_the_voxels(degrees):
    errors, shape = [], (80, 80)
    for n in (32, 64):
        share, integral = ellipsoid(n)
        spacing = np.full(3, 16 / n)
        beam = gantry_beam(degrees, shape, 0.4, (120.0, 60.0), spacing, (n, n, n))
        beam[:2] -= [0.3, -0.2, 0.1]
        source, pixels = ends(beam, shape)
        middle = (n - 1) / 2
        true = integral((source - middle) * spacing, (pixels - middle) * spacing)
        found = _core.project_columns(share, beam, spacing, *shape)
        errors.append(np.sqrt(np.mean((found - true) ** 2)) / true.max())
    # RMSE over the largest integral: staircase of the voxels, not the integrator, so about as 1 / n.
    assert errors[0] < 0.02
    assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize("seed", range(4))
def test_the_derivative_of_the_view_is_that_of_small_steps(seed):
    rng, shape, size = np.random.default_rng(seed), (11, 12), (22, 20, 21)
    x, y, z = np.indices(size) / 21 - 0.5
    smooth = np.exp(-40 * (x**2 + y**2 + z**2)) + 0.3 * np.exp(-60 * ((x - 0.1) ** 2 + y**2 + (z + 0.1) ** 2))
    smooth = smooth.astype(np.float32)
    spacing = np.array([0.5, 0.6, 0.55])
    beam = any_beam(rng, shape, spacing, size) if seed else gantry_beam(35, shape, 1.0, spacing=spacing, size=size)
    weights = rng.random(shape).astype(np.float32)
    found = _core.view_gradient(smooth, weights, beam, spacing)

    def value(b):
        return np.vdot(slow_joseph(smooth, b, spacing, shape), weights)

    for place in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[place] = 2e-4 if place[0] < 2 else 2e-5
        numeric = (value(beam + step) - value(beam - step)) / (2 * step[place])
        assert found[place] == pytest.approx(numeric, rel=2e-2, abs=2e-3 * np.abs(found[place[0]]).max())


def test_a_slow_fill_and_the_silhouette_agree_and_leave_no_cracks():
    rng = np.random.default_rng(0)
    points = rng.uniform(-4, 24, (40, 2))
    faces = rng.integers(0, 40, (30, 3)).astype(np.int32)
    found = _core.silhouette(points, faces, 20, 22)
    rows, cols = np.indices((20, 22))
    expected = np.zeros((20, 22), bool)
    for a, b, c in points[faces]:
        sides = [(q[0] - p[0]) * (cols - p[1]) - (q[1] - p[1]) * (rows - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        expected |= np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)
    degenerate = [len(set(face)) < 3 for face in faces.tolist()]
    assert not any(degenerate)
    np.testing.assert_array_equal(found.astype(bool), expected)
    # A square cut into slivers from an inner point, through pixel centres.
    rim = np.array(
        [(0, c) for c in range(10)]
        + [(r, 10) for r in range(10)]
        + [(10, 10 - c) for c in range(10)]
        + [(10 - r, 0) for r in range(10)],
        float,
    )
    fan = np.array([(0, n + 1, (n + 1) % 40 + 1) for n in range(40)], np.int32)
    assert _core.silhouette(np.vstack([[3.7, 5.1], rim]), fan, 11, 11).all()


def test_what_cannot_be_projected_is_refused():
    beam, shape = gantry_beam(0, (4, 4)), (4, 4)
    with pytest.raises(TypeError, match="volume: expected dtype float32 or uint8"):
        _core.project_columns(VOLUME.astype(np.float64), beam, SPACING, *shape)
    with pytest.raises(TypeError, match="volume: must be C-contiguous"):
        _core.project_rays(VOLUME.T, beam, SPACING, *shape, False)
    tilted = beam.copy()
    tilted[3, 0] = 0.1
    with pytest.raises(ValueError, match="columns must run along k"):
        _core.project_columns(VOLUME, tilted, SPACING, *shape)
    with pytest.raises(ValueError, match="more along k than across"):
        _core.project_columns(VOLUME, beam, SPACING, 400, 4)
    beam[0, 0] = np.nan
    with pytest.raises(ValueError, match="view: NaN"):
        _core.project_rays(VOLUME, beam, SPACING, *shape, False)
