"""Patches to learn one vertebra at a time from: what is remembered goes in, the next vertebra comes out; no torch.

The same step gives the same patches, whatever went before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry.spine_labels import CANAL, DISC, MOST, PARTIAL
from voxbench.tasks.instances.iterative import OUTSIDE, cut, grey, overlap
from voxbench.tasks.instances.iterative_config import IisConfig
from voxbench.tasks.instances.iterative_labels import from_above
from voxbench.types import AnyArray

Render = Callable[[AnyArray, tuple[float, float, float], np.random.Generator], AnyArray]
"""Label ids of a patch and its spacing (mm) to an image of it, float32."""
WHOLE = 0.98
"""A vertebra is seen whole if this share of it is in the patch."""
_TRIES = 100
_NOISE = 140 / 4096


@dataclass(frozen=True, eq=False)
class Spine:
    """One series on the working grid, axes as RAS+; arrays may be anything that is read in boxes like one.

    Attributes:
        name: Its name.
        ids: (i, j, k) uint8, numbers as in ``geometry.spine_labels``.
        image: (i, j, k); None where images are only made from labels.
        spacing: mm.
        told: Whether vertebrae, discs, canal are drawn (or known to be nowhere).
    """

    name: str
    ids: Any
    image: Any = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    told: tuple[bool, bool, bool] = (True, True, True)


@dataclass(frozen=True)
class Making:
    """Images made from labels.

    Attributes:
        render: Makes one; None: there are only real ones.
        share: Of patches that show a made one.
    """

    render: Render | None = None
    share: float = 0.0


@dataclass(frozen=True, eq=False)
class _Known:
    """What is looked up of a spine once.

    Attributes:
        boxes: First voxel and the one after the last of every vertebra, by number, (2, 3).
        sizes: Voxels of each.
        whole: Numbers of those that the image does not cut.
        limits: Grey values that become 0 and 1.
    """

    boxes: Mapping[int, AnyArray]
    sizes: Mapping[int, int]
    whole: frozenset[int]
    limits: AnyArray | None = None


@dataclass(frozen=True, eq=False)
class _Patch:
    """A patch before it is varied.

    Attributes:
        image: Grey values.
        ids: Labels, 0 outside.
        target: The vertebra to find; 0 for none.
    """

    image: AnyArray
    ids: AnyArray
    target: int


class IterativePatches:
    """Where batches come from.

    Attributes:
        spines: The series.
        settings: Sizes, shares, variation.
        making: Images made from labels.
        seed: Decides all draws.
    """

    def __init__(
        self, spines: Sequence[Spine], settings: IisConfig, making: Making = Making(), *, seed: int = 0
    ) -> None:
        """Find the vertebrae.

        Raises:
            EmptyShapeError: There is no series, one without vertebrae, or one without an image and no way to make one.
        """
        if not spines:
            raise EmptyShapeError("there is no series to learn from")
        bare = [spine.name for spine in spines if spine.image is None]
        if bare and making.render is None:
            raise EmptyShapeError(f"{', '.join(bare)}: no image, and nothing that makes one from labels")
        self.spines, self.settings, self.making, self.seed = tuple(spines), settings, making, seed
        self._known = [_look_up(spine) for spine in spines]
        empty = [spine.name for spine, known in zip(spines, self._known, strict=True) if not known.boxes]
        if empty:
            raise EmptyShapeError(f"{', '.join(empty)}: no vertebrae are labelled, so none can be followed")

    def batch(self, step: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Some patches of a step.

        Args:
            step: Which step.
            rows: Which of its patches.

        Returns:
            Inputs (n, 3, i, j, k) float32, masks of the next vertebra, the disc below it and the canal (n, 3, i, j, k)
            uint8, how much each of those voxels counts (the same shape) float32, 0 for kinds that are not told of, and
            (n, 2) float32: whether the vertebra is complete, and its label.
        """
        parts = [self._one(np.random.default_rng((self.seed, step, row))) for row in rows]
        inputs, masks, weights, words = (np.stack(arrays) for arrays in zip(*parts, strict=True))
        return inputs, masks, weights, words

    def _one(self, rng: np.random.Generator) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
        which = int(rng.integers(len(self.spines)))
        spine, known = self.spines[which], self._known[which]
        patch = _varied(self._drawn(spine, known, rng), self.settings, rng)
        vertebrae, discs, canal = kinds_of(patch.ids)
        there = vertebrae == patch.target
        if patch.target:
            before = (vertebrae > 0) & (vertebrae < patch.target), (discs > 0) & (discs < patch.target)
            masks = np.stack([there, discs == patch.target, canal])
        else:
            before = vertebrae > 0, discs > 0
            masks = np.stack([np.zeros_like(canal), np.zeros_like(canal), canal])
        seen = int(there.sum()) if patch.target else 0
        complete = patch.target in known.whole and seen >= WHOLE * known.sizes[patch.target]
        label = from_above(patch.target) if patch.target else 0
        told = np.asarray(spine.told, np.float32)[:, None, None, None]
        weights = np.stack([border_weights(mask, self.settings) for mask in masks]) * told
        inputs = np.stack([patch.image, *before]).astype(np.float32)
        return inputs, masks.astype(np.uint8), weights.astype(np.float32), np.array([complete, label], np.float32)

    def _drawn(self, spine: Spine, known: _Known, rng: np.random.Generator) -> _Patch:
        """A place, and what is to be found there."""
        size = np.asarray(self.settings.patch)
        if rng.random() < self.settings.nothing:
            middle = [rng.integers(n) for n in spine.ids.shape]
            return self._cut(spine, known, (np.asarray(middle) - size // 2, 0), rng)
        target = sorted(known.boxes)[rng.integers(len(known.boxes))]
        first, last = known.boxes[target] + np.array([[-self.settings.beyond], [self.settings.beyond]])
        least = min(self.settings.least_seen_mm3 / float(np.prod(spine.spacing)), 0.5 * known.sizes[target])
        low = first - size // 2
        for _ in range(_TRIES):
            low = rng.integers(first, last) - size // 2
            if (kinds_of(cut(spine.ids, low, size))[0] == target).sum() >= least:
                break
        return self._cut(spine, known, (low, target), rng)

    def _cut(self, spine: Spine, known: _Known, place: tuple[AnyArray, int], rng: np.random.Generator) -> _Patch:
        """A box of the series; the image is made from its labels where that is drawn."""
        low, target = place
        size = np.asarray(self.settings.patch)
        ids = cut(spine.ids, low, size)
        if self.making.render is not None and (spine.image is None or rng.random() < self.making.share):
            inside = np.zeros(tuple(size), bool)
            inside[overlap(low, size, spine.ids.shape)[1]] = True
            image = np.where(inside, grey(self.making.render(ids, spine.spacing, rng)), np.float32(OUTSIDE))
        else:
            edge = np.full(3, np.inf) if known.limits is None else known.limits
            image = grey(cut(spine.image, low, size, np.nan), edge)
            image = np.where(np.isnan(image), np.float32(OUTSIDE), image)
        return _Patch(image.astype(np.float32), ids, target)


def kinds_of(ids: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Of every voxel the number of its vertebra, that of its disc (uint8, 0 for none), and whether it is canal."""
    return _VERTEBRAE[ids], _DISCS[ids], ids == CANAL


_VERTEBRAE, _DISCS = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
for _base, _table in ((0, _VERTEBRAE), (PARTIAL, _VERTEBRAE), (DISC, _DISCS)):
    _table[_base + 1 : _base + MOST + 1] = np.arange(1, MOST + 1)


def border_weights(mask: AnyArray, settings: IisConfig) -> AnyArray:
    """How much voxels count: 1, and more near the border of a structure, (i, j, k) float32."""
    import edt

    if not mask.any():
        return np.ones(mask.shape, np.float32)
    flat = np.ascontiguousarray(mask, np.uint8)
    away = edt.edt(flat) + edt.edt(np.ascontiguousarray(1 - flat))  # one of both is 0
    return (1 + settings.border_weight * np.exp(-((away / settings.border_voxels) ** 2))).astype(np.float32)


def _look_up(spine: Spine) -> _Known:
    from scipy.ndimage import find_objects

    ids = np.asarray(spine.ids)
    vertebrae = kinds_of(ids)[0]
    boxes = {
        number: np.array([[s.start for s in box], [s.stop for s in box]])
        for number, box in enumerate(find_objects(vertebrae), 1)
        if box is not None
    }
    sizes = np.bincount(vertebrae.ravel(), minlength=MOST + 1)
    ends = {int(n) for n in np.unique(np.concatenate([vertebrae[..., 0].ravel(), vertebrae[..., -1].ravel()]))}
    partial = {int(n) - PARTIAL for n in np.unique(ids) if PARTIAL < n <= PARTIAL + MOST}
    whole = frozenset(boxes) - ends - partial
    limits = None if spine.image is None else np.percentile(np.asarray(spine.image, np.float32), (5, 95))
    return _Known(boxes, {number: int(sizes[number]) for number in boxes}, whole, limits)


def _varied(patch: _Patch, settings: IisConfig, rng: np.random.Generator) -> _Patch:
    """Bent, noisy, blurred, cut off, mirrored."""
    from scipy.ndimage import gaussian_filter

    chances = rng.random(5)
    image, ids = patch.image, patch.ids
    outside = image == np.float32(OUTSIDE)
    if chances[0] < settings.elastic:
        image, ids, outside = _bent((image, ids, outside), settings, rng)
    if chances[1] < settings.noise:
        image = image + np.float32(rng.uniform(0, _NOISE)) * rng.standard_normal(image.shape, np.float32)
    width = abs(rng.standard_normal()) / 2
    if chances[2] < settings.blur and width > 0.1:
        image = gaussian_filter(image, width, mode="nearest")
    image = np.where(outside, np.float32(OUTSIDE), image)
    if chances[3] < settings.crop:
        image, ids = _cropped(image, ids, rng)
    if chances[4] < settings.mirror:
        image, ids = image[::-1], ids[::-1]
    return _Patch(image, ids, patch.target)


def _bent(
    arrays: tuple[AnyArray, AnyArray, AnyArray], settings: IisConfig, rng: np.random.Generator
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Image, labels and what lies outside, moved by a smooth random field."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    shape = arrays[0].shape
    places = np.indices(shape, np.float32)
    for axis in range(3):
        way = gaussian_filter(rng.standard_normal(shape, np.float32), settings.elastic_width, mode="nearest")
        places[axis] += way * np.float32(settings.elastic_voxels / max(float(np.abs(way).max()), 1e-9))
    nearest = tuple(np.clip(np.rint(p), 0, n - 1).astype(np.intp) for p, n in zip(places, shape, strict=True))
    image = map_coordinates(arrays[0], places, order=1, mode="nearest")
    return image, arrays[1][nearest], arrays[2][nearest]


def _cropped(image: AnyArray, ids: AnyArray, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
    """Up to half of the patch, at the top or at the bottom, becomes outside."""
    image, ids = image.copy(), ids.copy()
    depth = int(rng.integers(1, image.shape[2] // 2 + 1))
    gone = slice(-depth, None) if rng.random() < 0.5 else slice(0, depth)
    image[..., gone], ids[..., gone] = OUTSIDE, 0
    return image, ids
