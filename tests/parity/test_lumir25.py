"""LUMIR25's four numbers over 500 random small pairs, against definitions written anew for this test.

Only the table of the elements' areas is ours; tests/metrics/test_surface.py holds it against DeepMind's package.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from voxbench.challenges.lumir25 import scoring
from voxbench.metrics.surface_elements import element_areas

IDS = [0, 1, 2, 3, 4, 9]
PAIRS = 500


def random_pair(seed):
    """Labels that may be absent, lost by the warp, one voxel, or at the border; a field that folds here and there."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(4, 11, 3))
    smoothness = rng.uniform(0, 1.5)

    def blobs(count):
        noise = [ndimage.gaussian_filter(rng.standard_normal(shape), smoothness) for _ in range(count)]
        return np.argmax(noise, axis=0).astype(np.int16)

    fixed, moving = blobs(rng.integers(1, 6)), blobs(rng.integers(1, 6))
    for labels in (fixed, moving):
        if rng.random() < 0.5:
            labels[tuple(rng.integers(0, n) for n in shape)] = 9
        if rng.random() < 0.3:
            labels[labels == rng.integers(0, 5)] = rng.integers(0, 5)
        if rng.random() < 0.2:
            labels[0, 0, 0] = labels[-1, -1, -1] = 4
    scale = rng.choice([0.0, 0.3, 1.0, 3.0, 30.0], p=[0.1, 0.3, 0.3, 0.2, 0.1])
    field = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), 1.0) for _ in range(3)]) * scale
    return fixed, moving, field.astype(rng.choice([np.float32, np.float64])), rng.random(shape) < 0.8


def slow_warp(labels, field):
    places = np.indices(labels.shape) + field.astype(np.float64)
    return ndimage.map_coordinates(labels.astype(np.float64), places, order=0)


def slow_surface(mask, areas):
    padded = np.pad(mask, 1).astype(int)
    codes = np.zeros([n + 1 for n in mask.shape], int)
    for bit, (a, b, c) in zip(range(7, -1, -1), itertools.product((0, 1), repeat=3), strict=True):
        codes += padded[a : a + codes.shape[0], b : b + codes.shape[1], c : c + codes.shape[2]] << bit
    cells = np.argwhere((codes > 0) & (codes < 255))
    return cells, areas[codes[tuple(cells.T)]]


def slow_hd95(one, other, areas):
    sides = slow_surface(one, areas), slow_surface(other, areas)
    worst = 0.0
    for (cells, weights), (others, _) in (sides, sides[::-1]):
        nearest = cdist(cells, others).min(axis=1)
        order = np.array(sorted(range(len(cells)), key=lambda n: (nearest[n], weights[n])))
        share = np.cumsum(weights[order]) / np.sum(weights[order])
        worst = max(worst, nearest[order][min(np.searchsorted(share, 0.95), len(order) - 1)])
    return worst


def slow_ndv(field, mask):
    transform = field.astype(np.float64) + np.indices(mask.shape)
    inner = tuple(slice(1, n - 1) for n in mask.shape)
    here = transform[(slice(None), *inner)]

    def difference(*offset):
        box = (slice(1 + o, n - 1 + o) for o, n in zip(offset, mask.shape, strict=True))
        return transform[(slice(None), *box)] - here

    triples = [
        [i * difference(i, 0, 0), j * difference(0, j, 0), k * difference(0, 0, k)]
        for i, j, k in itertools.product((1, -1), repeat=3)
    ]
    triples.append([difference(-1, -1, 0), difference(-1, 0, -1), difference(0, -1, -1)])
    triples.append([difference(1, 1, 0), difference(0, 1, 1), difference(1, 0, 1)])
    volume = sum(
        0.5 * np.maximum(-np.linalg.det(np.moveaxis(np.stack(columns), (0, 1), (-1, -2))), 0) / 6 for columns in triples
    )
    count = mask[inner].sum()
    return float(volume[mask[inner]].sum() / count * 100) if count else float("nan")


def slow_tre(fixed, warped):
    errors = []
    for label in np.unique(fixed)[1:]:
        if not (warped == label).any():
            return float("nan")
        ends = [np.argwhere(labels == label).mean(axis=0) for labels in (fixed, warped)]
        errors.append(np.linalg.norm(ends[0] - ends[1]))
    return float(np.mean(errors)) if errors else float("nan")


def test_500_random_pairs_have_the_numbers_of_the_definitions():
    areas = np.array(element_areas((1.0, 1.0, 1.0)))
    seen = dict.fromkeys(("undefined", "lost", "one voxel", "folded", "border"), 0)
    for seed in range(PAIRS):
        fixed, moving, field, mask = random_pair(seed)
        labels = scoring.WarpedLabels(fixed, moving, field)
        warped = slow_warp(moving, field)
        assert np.array_equal(labels.warped, warped)
        dice = scoring.official_dice(labels, IDS)["detailed"]
        hd95 = scoring.official_hd95(labels, IDS)["detailed"]
        for place, label in enumerate(IDS):
            one, other = fixed == label, warped == label
            if not one.any() or not (moving == label).any():
                assert np.isnan(dice[place])
                assert np.isnan(hd95[place])
                seen["undefined"] += 1
                continue
            assert abs(dice[place] - 2 * (one & other).sum() / (one.sum() + other.sum())) <= 1e-12
            if not other.any():
                assert (dice[place], hd95[place]) == (0.0, np.inf)
                seen["lost"] += 1
                continue
            seen["one voxel"] += one.sum() == 1 or other.sum() == 1
            seen["border"] += bool(one[0].any() and one[-1].any())
            assert abs(hd95[place] - slow_hd95(one, other, areas)) <= 1e-12
        ndv, slow = scoring.official_ndv(field, mask.astype(np.float32))[0]["mean"], slow_ndv(field, mask)
        assert ndv == pytest.approx(slow, rel=1e-12, abs=1e-15, nan_ok=True)
        seen["folded"] += slow > 0
        assert scoring.official_tre(labels)["mean"] == pytest.approx(slow_tre(fixed, warped), abs=1e-9, nan_ok=True)
    # The odd cases are in there, each many times.
    assert min(seen.values()) > 50, seen
