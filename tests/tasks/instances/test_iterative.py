"""One vertebra after the other: with a network that knows the truth, the truth comes back."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.geometry import Grid
from voxbench.geometry.spine_labels import CANAL, DISC
from voxbench.simulate.phantoms.spine import spine_phantom
from voxbench.simulate.phantoms.spine_shape import PLAIN
from voxbench.tasks.instances import PRESETS, Found, IisConfig, Seen, Traversal, label_map, numbers_of, traverse
from voxbench.tasks.instances.iterative import OUTSIDE, cut, grey
from voxbench.tasks.instances.iterative_patches import kinds_of

GRID = Grid.from_parts((20, 62, 80), (4.0, 3.0, 3.0))
SETTINGS = IisConfig(spacing=(4.0, 3.0, 3.0), patch=(24, 40, 40), width=2)


class Knows:
    """Reads the labels, which the image holds, and answers as a perfect network would."""

    def __init__(self, forgets: bool = False, blind: int | None = None) -> None:
        self.forgets, self.blind, self.lows = forgets, blind, 0

    def __call__(self, patch: np.ndarray) -> Seen:
        ids = np.rint(np.clip(patch[0], 0, 1) * 255).astype(np.uint8)
        vertebrae, discs, canal = kinds_of(ids)
        known = set(np.unique(vertebrae[patch[1] > 0.5]).tolist())
        left = sorted(set(np.unique(vertebrae).tolist()) - {0} - (set() if self.forgets else known))
        number = left[0] if left else 0
        if number == 0 or number == self.blind:
            return Seen(np.stack([np.zeros(ids.shape)] * 2 + [canal]), 0.0, 0.0)
        there = vertebrae == number
        whole = not (ids[there] > CANAL).any()
        return Seen(np.stack([there, discs == number, canal]).astype(float), float(whole), 25.0 - number)


def image_of(labels: np.ndarray) -> np.ndarray:
    return (labels / 255).astype(np.float32)


def walk(labels: np.ndarray, look: Knows, settings: IisConfig = SETTINGS) -> Traversal:
    return traverse(image_of(labels), GRID.spacing, look, settings)


@pytest.fixture(scope="module")
def spine() -> np.ndarray:
    return spine_phantom(GRID, 2, PLAIN).labels.array


@pytest.mark.parametrize("seed", range(3))
def test_a_perfect_network_gives_the_instances_and_numbers_back(seed: int):
    labels = spine_phantom(GRID, seed).labels.array
    found = label_map(walk(labels, Knows()), labels.shape)
    top = max(int(n) for n in np.unique(labels) if n > DISC)
    followed = {int(n) for n in np.unique(labels) if n and (n < DISC or (int(n) - DISC) in kinds_of(labels)[0])}
    assert {int(n) for n in np.unique(found)} - {0} == followed
    assert top in followed or top - DISC == kinds_of(labels)[0].max() + 1
    for number in followed:
        same, there = found == number, labels == number
        dice = 2 * (same & there).sum() / (same.sum() + there.sum())
        assert dice > (0.9 if number == CANAL else 0.999), number


def test_memory_keeps_it_from_finding_one_twice(spine: np.ndarray):
    once = walk(spine, Knows())
    total = sum((one.vertebra > 0.5).astype(int).sum() for one in once.found)
    assert total == (kinds_of(spine)[0] > 0).sum()
    again = walk(spine, Knows(forgets=True))  # what is remembered is not new, whatever the network says
    assert len(again.found) == 1


def test_a_lost_trail_ends_it(spine: np.ndarray):
    assert len(walk(spine, Knows(blind=3)).found) == 2
    gap = np.where(kinds_of(spine)[0] >= 3, 0, spine).astype(np.uint8)
    assert len(walk(gap, Knows()).found) == 2
    unsure = Knows()
    traversal = traverse(image_of(spine), GRID.spacing, lambda patch: _labelled(unsure(patch), 0.5), SETTINGS)
    assert not traversal.found
    assert not label_map(traversal, spine.shape).any()


def _labelled(seen: Seen, label: float) -> Seen:
    return Seen(seen.masks, seen.complete, label)


def test_a_patch_that_never_arrives_stops_in_between():
    image = np.zeros((24, 40, 120), np.float32)
    calls = []

    def runs_away(patch: np.ndarray) -> Seen:
        """Sees its vertebra eight voxels above its own middle, or below it, by turns."""
        calls.append(1)
        masks = np.zeros((3, *patch.shape[1:]), np.float32)
        where = 24 if len(calls) % 2 else 8
        masks[0, 8:16, 12:28, where : where + 8] = 1
        return Seen(masks, 1.0, 20.0)

    settings = SETTINGS.model_copy(update={"moves": 4})
    traversal = traverse(image, (4.0, 3.0, 3.0), runs_away, settings)
    assert len(traversal.found) >= 1
    assert traversal.looks < 300


def test_small_pieces_are_left_out_and_those_at_the_end_of_the_image_belong_together():
    labels = np.zeros((20, 40, 60), np.uint8)
    labels[6:14, 10:30, 8:20] = 1
    labels[2, 2, 2] = 1
    found = walk(labels, Knows()).found
    assert (found[0].vertebra > 0).sum() == 8 * 20 * 12
    labels[6:14, 10:30, 8:20], labels[2, 2, 2] = 0, 0
    labels[6:14, 10:30, 50:60] = 1
    labels[3, 5, 59] = 1
    found = walk(labels, Knows()).found
    assert (found[0].vertebra > 0).sum() == 8 * 20 * 10 + 1


def one(label: float, complete: bool = True) -> Found:
    empty = np.zeros((8, 8, 8), np.float32)
    return Found((0, 0, 0), empty, empty, complete, float(label))


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ([24, 23, 22], [1, 2, 3]),
        ([23.6, 23.1, 21.8], [1, 2, 3]),
        ([22, 21, 20], [3, 4, 5]),
        ([23, 22, 21], [1, 2, 3]),  # 2 first is taken for 1
        ([24, 24, 22, 10], [1, 2, 3, 4]),
        ([], []),
    ],
)
def test_numbers_are_those_that_the_chain_agrees_with_best(labels: list[float], numbers: list[int]):
    assert numbers_of([one(label) for label in labels]) == numbers


def test_only_complete_vertebrae_vote_if_there_are_some():
    assert numbers_of([one(22, complete=False), one(23), one(22)]) == [1, 2, 3]
    assert numbers_of([one(22, complete=False), one(21, complete=False)]) == [3, 4]


def test_vertebrae_that_are_cut_are_marked_if_asked(spine: np.ndarray):
    marked = spine_phantom(GRID.cropped((0, 0, 20), (20, 62, 64)), 1, PLAIN).labels.array
    assert 101 in marked
    traversal = walk(marked, Knows())
    assert 101 in label_map(traversal, marked.shape)
    assert not set(np.unique(label_map(traversal, marked.shape, mark_partial=False))) & set(range(101, 126))


def test_boxes_beyond_an_image_and_grey_values():
    array = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    box = cut(array, (-1, 0, 1), (3, 2, 3), OUTSIDE)
    assert (box[0] == np.float32(OUTSIDE)).all()
    np.testing.assert_array_equal(box[1:, :, 0], array[:, :, 1])
    assert (cut(array, (5, 5, 5), (2, 2, 2)) == 0).all()
    values = grey(np.arange(101.0))
    assert (values[5], values[50], values[95]) == (0, pytest.approx(0.5), 1)
    assert grey(np.ones(4)).max() == 0


def test_settings_that_no_network_could_have_are_refused():
    assert PRESETS["paper"].patch == (64, 192, 192)
    for wrong in ({"patch": (60, 64, 64)}, {"spacing": (0.0, 1.0, 1.0)}, {"nothing": 2.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            IisConfig(**wrong)
