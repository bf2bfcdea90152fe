"""Patches of cases, drawn by step: the same step gives the same patches, whatever went before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.tasks.segmentation.augment import Augmentation, turned, turning, varied
from voxbench.tasks.segmentation.cases import Sample
from voxbench.tasks.segmentation.fingerprint import IGNORED
from voxbench.tasks.segmentation.mapped import Mapped
from voxbench.tasks.segmentation.plan import Plan
from voxbench.types import AnyArray

_CENTRES = 5_000
Render = Callable[[AnyArray, tuple[float, float, float], np.random.Generator], AnyArray]
"""Label ids of a patch and its spacing (mm) to an image of it, float32."""
Draw = Callable[[AnyArray, dict[int, AnyArray], tuple[float, float, float]], AnyArray]
"""Label ids of a patch, the points that go with them (in voxels of it) and its spacing to maps (m, i, j, k), NaN where
there is nothing to learn."""
Parts = tuple[AnyArray, AnyArray, AnyArray]
"""Image (1, i, j, k), labels (i, j, k) and maps (m, i, j, k)."""


@dataclass(frozen=True)
class Drawing:
    """How patches are drawn.

    Attributes:
        foreground: Share of patches centred on a class, drawn first, so that rare ones are seen as often.
        augmentation: How they are varied.
        seed: Decides all draws.
        render: Makes images from labels; None: there are only real ones.
        rendered: Share of patches that show a made image; all of those of a case without one.
        maps: Makes maps of a patch when it has been turned and mirrored; None: there are those of the case, if any.
    """

    foreground: float = 0.7
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    render: Render | None = None
    rendered: float = 0.0
    maps: Draw | None = None


class SegmentationPatches:
    """Where batches come from.

    Attributes:
        samples: The cases.
        plan: Patch, classes, maps, axes that may be mirrored.
        drawing: How patches are drawn.
    """

    def __init__(self, samples: Sequence[Sample], plan: Plan, drawing: Drawing) -> None:
        """Find where foreground patches may be centred.

        Raises:
            EmptyShapeError: There is no case, or one without an image and no way to make one.
        """
        if not samples:
            raise EmptyShapeError("there is no case to learn from")
        bare = [sample.name for sample in samples if sample.image is None]
        if bare and drawing.render is None:
            raise EmptyShapeError(f"{', '.join(bare)}: no image, and nothing that makes one from labels")
        self.samples, self.plan, self.drawing = samples, plan, drawing
        self._centres = [_centres(sample.labels, drawing.seed) for sample in samples]

    def batch(self, step: int, rows: Sequence[int]) -> tuple[np.ndarray, ...]:
        """Some patches of a step.

        Args:
            step: Which step.
            rows: Which of its patches.

        Returns:
            Images (n, 1, i, j, k) float32, labels (n, i, j, k) uint8, which classes are told of (n, classes) bool, a
            number between 0 and 1 per patch for what the losses draw, and maps (n, m, i, j, k) float32.
        """
        parts, told, chances = [], [], []
        for row in rows:
            rng = np.random.default_rng((self.drawing.seed, step, row))
            chances.append(rng.random())
            which = int(rng.integers(len(self.samples)))
            sample = self.samples[which]
            told.append(sample.annotated or (True,) * self.plan.classes)
            parts.append(self._one(sample, self._centres[which], rng))
        images, labels, maps = (np.stack(arrays) for arrays in zip(*parts, strict=True))
        return images, labels, np.asarray(told, bool), np.asarray(chances, np.float32), maps

    def _one(self, sample: Sample, centres: dict[int, AnyArray], rng: np.random.Generator) -> Parts:
        augmentation, patch = self.drawing.augmentation, np.asarray(self.plan.patch)
        matrix = turning(augmentation, np.asarray(sample.spacing), rng)
        region = patch if matrix is None else np.ceil(np.abs(matrix) @ patch).astype(int) + 2
        low = _low(sample.labels.shape, patch, centres if rng.random() < self.drawing.foreground else {}, rng)
        low = low - (region - patch) // 2
        image, labels, maps = self._cut(sample, low, region, rng)
        ids = _box(sample.ids, low, region, 0) if sample.ids is not None and self.drawing.maps is not None else None
        if matrix is not None:
            shape = self.plan.patch
            image, labels = turned(image, matrix, shape, False), turned(labels, matrix, shape, True)
            maps = np.stack([turned(m, matrix, shape, False) for m in maps]) if len(maps) else np.zeros((0, *shape))
            ids = None if ids is None else turned(ids, matrix, shape, True)
        axes = tuple(axis for axis in self.plan.mirror if rng.random() < augmentation.mirror)
        image, labels = np.flip(image, axes), np.flip(labels, axes)
        image = varied(np.ascontiguousarray(image), augmentation, rng)
        maps = np.flip(maps, tuple(axis + 1 for axis in axes))
        if ids is not None and self.drawing.maps is not None:
            points = _moved(sample.points, (low, region, patch), np.eye(3) if matrix is None else matrix, axes)
            maps = self.drawing.maps(np.ascontiguousarray(np.flip(ids, axes)), points, sample.spacing)
        return image[None], np.ascontiguousarray(labels), np.ascontiguousarray(maps, np.float32)

    def _cut(self, sample: Sample, low: AnyArray, region: AnyArray, rng: np.random.Generator) -> Parts:
        """A box of the case: beyond its borders the image and maps go on as at the border, labels are not known."""
        labels = _box(sample.labels, low, region, IGNORED)
        made = self.drawing.render is not None and (sample.image is None or rng.random() < self.drawing.rendered)
        if made:
            assert self.drawing.render is not None
            ids = sample.labels if sample.ids is None else sample.ids
            image = self.drawing.render(_box(ids, low, region, None), sample.spacing, rng)
        else:
            assert sample.image is not None
            image = _box(sample.image, low, region, None)
        maps = (
            []
            if sample.maps is None
            else [_box(part, low, region, None) for part in (sample.maps[n] for n in range(len(sample.maps)))]
        )
        stacked = np.stack(maps) if maps else np.zeros((0, *region), np.float32)
        return np.asarray(image, np.float32), labels, np.asarray(stacked, np.float32)


def _box(array: AnyArray | Mapped, low: AnyArray, size: AnyArray, outside: int | None) -> AnyArray:
    """A box that may reach beyond the array: filled with a value there, or with that of the border (None)."""
    high = low + size
    first, last = np.clip(low, 0, np.asarray(array.shape) - 1), np.clip(high, 1, array.shape)
    inside = np.asarray(array[tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))])
    pads = [(int(f - a), int(b - z)) for a, f, z, b in zip(low, first, last, high, strict=True)]
    if not any(before or after for before, after in pads):
        return inside
    return np.pad(inside, pads, "edge") if outside is None else np.pad(inside, pads, constant_values=outside)


def _moved(
    points: Mapping[int, AnyArray], box: tuple[AnyArray, AnyArray, AnyArray], matrix: AnyArray, axes: tuple[int, ...]
) -> dict[int, AnyArray]:
    """Where points of the case lie in a patch.

    Args:
        points: In voxels of the case.
        box: Where the region begins that was cut out, its edges, and those of the patch.
        matrix: From voxels of the patch to those of the region, about the middle of both.
        axes: Along which the patch was mirrored then.
    """
    low, region, patch = box
    back = np.linalg.inv(matrix)
    found = {}
    for label, point in points.items():
        place = back @ (point - low - (region - 1) / 2) + (patch - 1) / 2
        for axis in axes:
            place[axis] = patch[axis] - 1 - place[axis]
        found[label] = place
    return found


def _low(shape: tuple[int, ...], patch: AnyArray, centres: dict[int, AnyArray], rng: np.random.Generator) -> AnyArray:
    """Where a patch begins; a case shorter than the patch lies somewhere inside it."""
    room = np.asarray(shape) - patch
    least, most = np.minimum(room, 0), np.maximum(room, 0)
    if centres:
        some = centres[sorted(centres)[rng.integers(len(centres))]]
        wanted = some[rng.integers(len(some))] - patch // 2 + rng.integers(-(patch // 4), patch // 4 + 1)
        return np.where(room < 0, rng.integers(least, 1), np.clip(wanted, 0, most))
    return rng.integers(least, most + 1)


def _centres(labels: AnyArray | Mapped, seed: int) -> dict[int, AnyArray]:
    """Some voxels of each class, (n, 3)."""
    array = np.asarray(labels)
    flat = np.flatnonzero((array > 0) & (array != IGNORED))
    classes = array.ravel()[flat]
    found = {}
    for label in np.unique(classes).tolist():
        some = flat[classes == label]
        if some.size > _CENTRES:
            some = np.random.default_rng((seed, label)).choice(some, _CENTRES, replace=False)
        found[label] = np.stack(np.unravel_index(some, array.shape), axis=1)
    return found
