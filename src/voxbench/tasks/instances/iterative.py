"""Vertebrae one after the other, from below: a patch moves until it is centred on the next one that is not remembered.

N. Lessmann et al., Medical Image Analysis 53:142-155, 2019, doi:10.1016/j.media.2019.02.005. What looks at a patch may
be any function; no torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxbench.geometry.spine_labels import MOST
from voxbench.tasks.instances.iterative_config import IisConfig
from voxbench.types import AnyArray, Image, Mask, Triple

OUTSIDE = -1000 / 4096
"""The grey value outside of the image, where 0 is its 5 % value and 1 its 95 % value."""

Places = Sequence[int] | AnyArray
"""A whole number per axis."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network says of a patch.

    Attributes:
        masks: Probabilities of the next vertebra, the disc below it, the canal, (3, i, j, k).
        complete: Probability that the vertebra is seen whole.
        label: Its number, counted from above: 25 less that from below; near 0 where there is none.
    """

    masks: AnyArray
    complete: float
    label: float


Look = Callable[[AnyArray], Seen]
"""Takes a patch (3, i, j, k), float32: grey values, and where vertebrae and discs were found before."""


@dataclass(frozen=True, eq=False)
class Found:
    """One vertebra and the disc below it.

    Attributes:
        low: Where the patch begins, voxels of the working grid; it may lie outside.
        vertebra: Its probability, (i, j, k) of the patch; 0 but in it and next to it.
        disc: Likewise.
        complete: Whether it is seen whole.
        label: The number that the network gave it, see `Seen`.
    """

    low: tuple[int, int, int]
    vertebra: AnyArray
    disc: AnyArray
    complete: bool
    label: float


@dataclass(frozen=True, eq=False)
class Traversal:
    """What was found on the way.

    Attributes:
        found: Vertebrae, the lowest first.
        canal: Its probability on the working grid, the largest of what was seen around all vertebrae.
        looks: How many patches were looked at.
    """

    found: tuple[Found, ...]
    canal: AnyArray
    looks: int


def grey(image: AnyArray, limits: AnyArray | None = None) -> AnyArray:
    """Grey values from 0 to 1, float32: 0 at the 5 % value and below, 1 at the 95 % value and above.

    Args:
        image: Of any shape.
        limits: Those two values; of the image if None.
    """
    low, high = np.percentile(np.asarray(image, np.float32), (5, 95)) if limits is None else limits
    return np.clip((np.asarray(image, np.float32) - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def cut(array: Any, low: Places, shape: Places, outside: float = 0.0) -> AnyArray:
    """A box of an array that may reach beyond it.

    Args:
        array: (i, j, k), or what is read in boxes like one.
        low: Where the box begins.
        shape: Of the box.
        outside: Value beyond the array.
    """
    there, here = overlap(low, shape, array.shape)
    inside = np.asarray(array[there])
    out = np.full(tuple(shape), outside, inside.dtype)
    out[here] = inside
    return out


def traverse(
    image: Image, spacing: Triple | AnyArray, look: Look, settings: IisConfig, tell: Callable[[str], None] | None = None
) -> Traversal:
    """Find vertebrae from below.

    The patch starts at the corner of the lowest voxels and goes through the image by half its size, left to right, back
    to front, upwards, until there is a vertebra. Then it moves to the middle of what it sees, until it hardly moves;
    what it sees is kept and remembered, and the next is looked for from there. It ends where nothing new is seen. If
    fewer than ``settings.enough`` were found, the search goes on behind the first of them, and the longest chain stays:
    something in the sacrum may look like a vertebra.

    Args:
        image: Grey values on the working grid, axes as RAS+, see `grey`.
        spacing: mm.
        look: The network.
        settings: When it moves and when it ends.
        tell: Told of every vertebra, a line each.
    """
    walk = _Walk(image, float(np.prod(np.asarray(spacing, np.float64))), look, settings)
    longest: list[Found] = []
    for first in walk.firsts():
        found = _chain(walk, first, settings, tell)
        longest = max(longest, found, key=len)
        if len(longest) >= settings.enough:
            break
    return Traversal(tuple(longest), walk.canal, walk.looks)


def _chain(walk: _Walk, first: _Sight, settings: IisConfig, tell: Callable[[str], None] | None) -> list[Found]:
    """From one vertebra to the next, until there is none."""
    found: list[Found] = []
    there: _Sight | None = first
    while there is not None and there.label >= settings.least_label and len(found) < MOST:
        found.append(walk.keep(there))
        if tell is not None:
            tell(f"vertebra {len(found)} at {there.low}, label {there.label:.2f}")
        there = walk.settled(there.low)
    return found


@dataclass(frozen=True, eq=False)
class _Sight:
    """A patch that was looked at, and what is new in it.

    Attributes:
        low: Where it begins.
        masks: As in `Seen`, without what is remembered or outside.
        vertebra: Voxels of the new vertebra, small pieces left out.
        complete: As in `Seen`.
        label: Likewise.
        volume: Of those voxels, mm^3.
    """

    low: tuple[int, int, int]
    masks: AnyArray
    vertebra: Mask
    complete: float
    label: float
    volume: float

    @property
    def middle(self) -> AnyArray:
        """Of the box around the vertebra, voxels of the image."""
        places = np.argwhere(self.vertebra)
        return (places.min(axis=0) + places.max(axis=0) + 1) // 2 + self.low


class _Walk:
    """A patch on its way through an image."""

    def __init__(self, image: Image, voxel_mm3: float, look: Look, settings: IisConfig) -> None:
        self.image, self.voxel_mm3, self.look, self.settings = image, voxel_mm3, look, settings
        self.patch = np.asarray(settings.patch)
        self.vertebrae = np.zeros(image.shape, bool)
        self.discs = np.zeros(image.shape, bool)
        self.canal = np.zeros(image.shape, np.float32)
        self.looks = 0

    def firsts(self) -> Iterator[_Sight]:
        """Where a chain may begin: what is new as the patch goes through the image, settled."""
        for low in self._places():
            seen = self._see(low)
            if seen.volume >= self.settings.search_mm3 and seen.label >= self.settings.search_label:
                there = self.settled(low, seen)
                if there is not None and there.label >= self.settings.least_label:
                    yield there

    def settled(self, low: tuple[int, int, int], seen: _Sight | None = None) -> _Sight | None:
        """What is seen from where the patch no longer moves; None where it loses the trail."""
        before = low
        for _ in range(self.settings.moves):
            seen = self._see(low) if seen is None else seen
            if seen.volume < self.settings.new_mm3:
                return None
            wanted = seen.middle - self.patch // 2
            if np.abs(wanted - low).max() <= self.settings.moved:
                return seen
            before, low, seen = low, _three(wanted), None
        there = self._see(_three((np.asarray(before) + low) // 2))
        return there if there.volume >= self.settings.new_mm3 else None

    def keep(self, there: _Sight) -> Found:
        """Remember a vertebra and its disc."""
        vertebra = _with_border(there.vertebra, there.masks[0])
        disc = _with_border(_largest(there.masks[1] > 0.5), there.masks[1])
        box, part = self._boxes(there.low)
        self.vertebrae[box] |= vertebra[part] > 0.5
        self.discs[box] |= disc[part] > 0.5
        self.canal[box] = np.maximum(self.canal[box], there.masks[2][part])
        return Found(there.low, vertebra, disc, there.complete > 0.5, there.label)

    def _places(self) -> Iterator[tuple[int, int, int]]:
        """Where patches begin: x first, z last."""
        half = [max(1, int(p) // 2) for p in self.patch]
        i, j, k = (range(0, max(1, n - h), h) for n, h in zip(self.image.shape, half, strict=True))
        return ((x, y, z) for z in k for y in j for x in i)

    def _see(self, low: tuple[int, int, int]) -> _Sight:
        self.looks += 1
        before = [cut(memory, low, self.patch) for memory in (self.vertebrae, self.discs)]
        seen = self.look(np.stack([cut(self.image, low, self.patch, OUTSIDE), *before]).astype(np.float32))
        inside = np.zeros(tuple(self.patch), bool)
        inside[self._boxes(low)[1]] = True
        masks = np.asarray(seen.masks, np.float32) * inside
        masks[0][before[0]] = 0
        masks[1][before[1]] = 0
        vertebra = _pieces(masks[0] > 0.5, inside, self.settings.fragment_mm3 / self.voxel_mm3)
        volume = float(vertebra.sum()) * self.voxel_mm3
        return _Sight(low, masks, vertebra, seen.complete, seen.label, volume)

    def _boxes(self, low: tuple[int, int, int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Where a patch lies in the image, and the image in the patch."""
        return overlap(low, self.patch, self.image.shape)


def overlap(low: Places, patch: Places, shape: Places) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a patch that begins at ``low`` lies in an image of a shape, and the image in the patch."""
    first = [min(max(0, a), n) for a, n in zip(low, shape, strict=True)]
    last = [min(max(f, a + p), n) for f, a, p, n in zip(first, low, patch, shape, strict=True)]
    image = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return image, tuple(slice(int(s.start - a), int(s.stop - a)) for s, a in zip(image, low, strict=True))


def _three(values: AnyArray) -> tuple[int, int, int]:
    i, j, k = (int(v) for v in values)
    return i, j, k


def _pieces(mask: AnyArray, inside: AnyArray, least: float) -> AnyArray:
    """A mask without small pieces; those that reach the end of the image belong together."""
    import cc3d

    if not mask.any():
        return mask
    pieces, count = cc3d.connected_components(mask, connectivity=26, return_N=True)
    pieces = np.asarray(pieces)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    ends = np.unique(pieces[_rim(inside) & mask])
    sizes[ends] = sizes[ends].sum()
    sizes[0] = 0
    return (sizes >= least)[pieces] & mask


def _rim(inside: AnyArray) -> AnyArray:
    """Voxels of the image next to what is outside of it but in the patch."""
    if inside.all():
        return np.zeros_like(inside)
    from scipy.ndimage import binary_erosion

    return inside & np.logical_not(binary_erosion(inside, border_value=1))


def _with_border(mask: AnyArray, probabilities: AnyArray) -> AnyArray:
    """Probabilities in a mask and next to it, so that its border lies where they are a half; 0 elsewhere."""
    from scipy.ndimage import binary_dilation

    return np.where(binary_dilation(mask, np.ones((3, 3, 3), bool)), probabilities, 0)


def _largest(mask: AnyArray) -> AnyArray:
    """The largest piece of a mask, voxels that share a corner included."""
    import cc3d

    return np.asarray(cc3d.largest_k(mask, k=1, connectivity=26)) > 0 if mask.any() else mask
