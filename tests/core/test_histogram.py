"""The similarity kernels against slow NumPy, and their gradients against finite differences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates

from voxbench import _core

BINS = 16
LEVELS = range(_core.instruction_set() + 1)


@pytest.fixture(params=LEVELS)
def _each_instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    best = _core.instruction_set()
    _core.set_instruction_set(request.param)
    yield
    _core.set_instruction_set(best)


def scene(seed: int, count: int = 640, shape: tuple[int, int, int] = (9, 11, 7)) -> dict[str, np.ndarray]:
    """Random points, some outside, a random image and a random matrix."""
    rng = np.random.default_rng(seed)
    size = np.array(shape)
    matrix = np.hstack([np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3)), (size[:, None] - 1) / 2])
    return {
        "points": ((rng.uniform(-0.6, 0.6, (count, 3))) * size).astype(np.float32),
        "rows": rng.integers(0, BINS, count).astype(np.uint8),
        "fixed": rng.uniform(0, BINS - 1, count).astype(np.float32),
        "image": rng.uniform(0, BINS - 1, shape).astype(np.float32),
        "mask": rng.uniform(0, 1, shape).astype(np.float32),
        "matrix": matrix,
    }


def read(s: dict[str, np.ndarray], matrix: np.ndarray, masked: bool) -> tuple[np.ndarray, np.ndarray]:
    """Value and weight of every point."""
    x = s["points"].astype(float) @ matrix[:, :3].T + matrix[:, 3]
    size = np.array(s["image"].shape)
    values = map_coordinates(s["image"].astype(float), x.T, order=1, mode="nearest")
    weights = np.prod(np.clip(x + 0.5, 0, 1) * np.clip(size - 0.5 - x, 0, 1), axis=1)
    if masked:
        weights = weights * map_coordinates(s["mask"].astype(float), x.T, order=1, mode="nearest")
    return values, weights


def histogram(s: dict[str, np.ndarray], matrix: np.ndarray, masked: bool) -> np.ndarray:
    """The joint histogram, a column at a time."""
    values, weights = read(s, matrix, masked)
    spline = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    out = np.zeros((BINS, BINS + 3))
    for column in range(BINS + 3):
        share = np.nan_to_num(spline(np.clip(values, 0, BINS - 1) - (column - 1)))
        np.add.at(out[:, column], s["rows"], share * weights)
    return out


def entropy(p: np.ndarray) -> float:
    p = p[p > 0] / p.sum()
    return float(-(p * np.log(p)).sum())


def information(s: dict[str, np.ndarray], matrix: np.ndarray, masked: bool) -> float:
    h = histogram(s, matrix, masked)
    return (entropy(h.sum(axis=0)) + entropy(h.sum(axis=1))) / entropy(h)


def correlation(s: dict[str, np.ndarray], matrix: np.ndarray, masked: bool, block: int, floor: float) -> float:
    """Mean squared correlation of blocks, a block at a time."""
    values, weights = read(s, matrix, masked)
    total = says = 0.0
    for start in range(0, len(values), block):
        f, m, w = (a[start : start + block].astype(float) for a in (s["fixed"], values, weights))
        if w.sum() < 1e-6:
            continue
        c = np.cov(f, m, aweights=w, ddof=0)
        say = w.sum() * f.var() / (f.var() + floor)
        total += say * c[0, 1] ** 2 / ((c[0, 0] + 0.02 * floor) * (c[1, 1] + 0.02 * floor))
        says += say
    return total / says


@pytest.mark.usefixtures("_each_instruction_set")
@pytest.mark.parametrize("masked", [False, True])
def test_joint_histogram_is_the_sum_of_spline_weights_over_points(masked: bool) -> None:
    s = scene(1)
    got = _core.joint_histogram(s["points"], s["rows"], s["image"], s["mask"] if masked else None, s["matrix"], BINS)
    np.testing.assert_allclose(got, histogram(s, s["matrix"], masked), rtol=1e-3, atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    masked=st.booleans(),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
)
def test_similarities_agree_with_numpy_on_any_shape(seed: int, masked: bool, shape: tuple[int, int, int]) -> None:
    s = scene(seed, shape=shape)
    mask = s["mask"] if masked else None
    nmi, overlap, _ = _core.mutual_information(s["points"], s["rows"], s["image"], mask, s["matrix"], BINS)
    assert nmi == pytest.approx(information(s, s["matrix"], masked), rel=1e-4)
    assert overlap == pytest.approx(read(s, s["matrix"], masked)[1].sum(), rel=1e-4, abs=1e-3)
    many, overlaps = _core.mutual_information_many(
        s["points"], s["rows"], s["image"], mask, np.stack([s["matrix"]] * 3), BINS
    )
    np.testing.assert_allclose(many, nmi, rtol=1e-12)
    np.testing.assert_allclose(overlaps, overlap, rtol=1e-12)
    ncc, overlap2, _ = _core.block_correlation(s["points"], s["fixed"], 64, s["image"], mask, s["matrix"], 0.5)
    assert ncc == pytest.approx(correlation(s, s["matrix"], masked, 64, 0.5), rel=2e-3, abs=1e-9)
    assert overlap2 == pytest.approx(overlap, rel=1e-3, abs=1e-3)
    matrices = np.stack([s["matrix"]] * 3)
    many, overlaps = _core.block_correlation_many(s["points"], s["fixed"], 64, s["image"], mask, matrices, 0.5)
    np.testing.assert_allclose(many, ncc, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(overlaps, overlap2, rtol=1e-6)


def smooth_scene(seed: int) -> dict[str, np.ndarray]:
    """A smooth image, so that finite differences meet small kinks."""
    s = scene(seed, count=6400, shape=(13, 12, 11))
    i, j, k = np.meshgrid(*(np.arange(n) for n in s["image"].shape), indexing="ij")
    s["image"] = (7.5 + 5 * np.sin(i / 3.0 + 0.2 * j) + 2 * np.cos(k / 2.5)).astype(np.float32)
    s["mask"] = (0.5 + 0.5 * np.cos((i - 6) / 8)).astype(np.float32)
    s["rows"] = np.clip(read(s, s["matrix"], False)[0] + 0.5, 0, BINS - 1).astype(np.uint8)
    s["fixed"] = (read(s, s["matrix"] - 0.04, False)[0] ** 1.5).astype(np.float32)
    return s


@pytest.mark.usefixtures("_each_instruction_set")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("metric", ["nmi", "ncc"])
def test_gradient_is_the_finite_difference(metric: str, masked: bool) -> None:
    s = smooth_scene(3)
    mask = s["mask"] if masked else None

    def at(matrix: np.ndarray) -> tuple[float, float, np.ndarray]:
        if metric == "nmi":
            return _core.mutual_information(s["points"], s["rows"], s["image"], mask, matrix, BINS)
        return _core.block_correlation(s["points"], s["fixed"], 64, s["image"], mask, matrix, 0.5)

    start = s["matrix"] + 0.03
    gradient = at(start)[2]
    differences = np.empty((2, 3, 4))
    for a in range(3):
        for b in range(4):
            step = 1e-3 if b < 3 else 5e-3
            move = np.zeros((3, 4))
            move[a, b] = step
            up, down = at(start + move), at(start - move)
            differences[:, a, b] = (np.array(up[:2]) - np.array(down[:2])) / (2 * step)
    for got, want in zip(gradient, differences, strict=True):
        np.testing.assert_allclose(got, want, atol=0.01 * np.abs(want).max(), rtol=0.02)


def test_threads_do_not_change_a_bit() -> None:
    s = scene(5, count=64 * 1000)
    results = []
    for n in (1, 2):
        _core.threads(n)
        nmi = _core.mutual_information(s["points"], s["rows"], s["image"], None, s["matrix"], BINS)
        ncc = _core.block_correlation(s["points"], s["fixed"], 64, s["image"], None, s["matrix"], 0.5)
        results.append((*nmi, *ncc))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_points_that_all_fall_outside_carry_no_information() -> None:
    s = scene(6)
    away = s["matrix"] + [[0, 0, 0, 1000.0]] * 3
    nmi, overlap, gradient = _core.mutual_information(s["points"], s["rows"], s["image"], None, away, BINS)
    assert (nmi, overlap) == (1.0, 0.0)
    assert not gradient.any()
    ncc, overlap, gradient = _core.block_correlation(s["points"], s["fixed"], 64, s["image"], None, away, 0.5)
    assert (ncc, overlap) == (0.0, 0.0)
    assert not gradient.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((4, 2), np.float32)}, "expected shape"),
        ({"points": np.zeros((640, 3))}, "expected dtype float32"),
        ({"points": np.zeros((3, 640), np.float32).T}, "C-contiguous"),
        ({"rows": np.zeros(3, np.uint8)}, "lengths differ"),
        ({"rows": np.full(640, BINS, np.uint8)}, "not below"),
        ({"matrix": np.eye(4)}, "expected shape"),
        ({"mask": np.zeros((2, 2, 2), np.float32)}, "shapes differ"),
    ],
)
def test_wrong_arrays_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    s = scene(7) | change
    with pytest.raises((TypeError, ValueError), match=message):
        _core.mutual_information(s["points"], s["rows"], s["image"], s["mask"], s["matrix"], BINS)


def test_points_come_in_whole_blocks() -> None:
    s = scene(8)
    with pytest.raises(ValueError, match="whole blocks"):
        _core.block_correlation(s["points"], s["fixed"], 77, s["image"], None, s["matrix"], 0.5)
