"""Rendered images show their label map: exactly when the scanner is perfect, within [0, 255] always."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.simulate import PERFECT, Contrast, ContrastName, Scanner, contrast, render
from voxbench.simulate.mri import FREESURFER_SIDES

IDS = (2, 3, 4, 10, 13, 16, 24, 41, 42, 43, 49, 52, 165, 258, 9999)


def blocks(seed: int = 0) -> LabelMap:
    rng = np.random.default_rng(seed)
    coarse = rng.choice((0, *IDS), size=(6, 5, 7))
    return LabelMap(np.kron(coarse, np.ones((4, 4, 4), np.int32)), Grid.from_parts((24, 20, 28), (1.0, 1.5, 2.0)))


@pytest.mark.parametrize("name", get_args(ContrastName))
def test_a_perfect_scanner_shows_every_labels_mean_exactly(name: ContrastName) -> None:
    labels = blocks()
    look = contrast(name, labels.ids, np.random.default_rng(5))
    image = render(labels, look, np.random.default_rng(0), PERFECT)
    expected = np.zeros(labels.array.shape, np.float32)
    for label in labels.ids:
        expected[labels.array == label] = look.means[label]
    assert np.array_equal(image.array, expected)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 1000), st.sampled_from(get_args(ContrastName)), st.floats(0, 2), st.floats(0, 0.5), st.floats(0, 30)
)
def test_images_lie_in_range_and_are_zero_exactly_in_the_background(
    seed: int, name: ContrastName, blur: float, bias: float, noise: float
) -> None:
    labels, rng = blocks(seed), np.random.default_rng(seed)
    scanner = Scanner(blur_mm=blur, bias=bias, noise=noise)
    image = render(labels, contrast(name, labels.ids, rng), rng, scanner)
    assert image.array.dtype == np.float32
    assert image.array.min() >= 0
    assert image.array.max() <= 255
    assert np.array_equal(image.array > 0, labels.mask())


def test_texture_has_the_spread_and_mean_of_its_label() -> None:
    labels = LabelMap(np.ones((40, 40, 40), np.int16), Grid.from_parts((40, 40, 40)))
    look = Contrast("one", {1: 120.0}, {1: 7.0})
    image = render(labels, look, np.random.default_rng(0), Scanner(blur_mm=0, bias=0, noise=0)).array
    assert abs(image.mean() - 120) < 0.2
    assert abs(image.std() - 7) < 0.1


def test_a_seed_gives_one_image() -> None:
    labels = blocks()
    first, again, other = (
        render(labels, contrast("t1", labels.ids), np.random.default_rng(seed)).array for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_inverted_mirrors_t1_and_t2_swaps_fluid_and_white_matter() -> None:
    t1, t2, inverted = (contrast(name, IDS) for name in ("t1", "t2", "inverted"))
    assert all(inverted.means[i] == 255 - t1.means[i] for i in IDS)
    assert t1.means[2] > t1.means[3] > t1.means[4]
    assert t2.means[2] < t2.means[3] < t2.means[4]


def test_left_and_right_look_alike_in_every_contrast() -> None:
    ids = [i for pair in FREESURFER_SIDES.items() for i in pair]
    for name in get_args(ContrastName):
        look = contrast(name, ids, np.random.default_rng(2))
        assert all(look.means[right] == look.means[left] for right, left in FREESURFER_SIDES.items())


def test_what_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(InputError, match="generator"):
        contrast("random", (1, 2))
    with pytest.raises(InputError, match="no brightness for label 9999"):
        render(blocks(), contrast("t1", IDS[:-1]), np.random.default_rng(0))
    with pytest.raises(InputError, match="different labels"):
        Contrast("odd", {1: 2.0}, {2: 1.0})
