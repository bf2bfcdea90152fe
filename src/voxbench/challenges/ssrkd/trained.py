"""Trained networks of SSR-KD (torch) as functions of space: which bone a point of the world lies in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.geometry import scaled, seed_scale
from voxbench.challenges.ssrkd.learning import load_stage
from voxbench.challenges.ssrkd.learning_data import MULTIPLE
from voxbench.challenges.ssrkd.learning_points import Look, within
from voxbench.challenges.ssrkd.learning_segment import find_shadows
from voxbench.challenges.ssrkd.learning_student import enter_radiographs, logits_on_radiographs
from voxbench.challenges.ssrkd.learning_teacher import enter_ct, logits_in_ct
from voxbench.challenges.ssrkd.processed import Frame, case_grid, halved
from voxbench.challenges.ssrkd.stages import Stage
from voxbench.errors import InputError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.geometry.projection import View
from voxbench.training.weights import FILE
from voxbench.types import AnyArray, Points

AIR_HU = -1024.0
SURE = 10.0
"""By how much background wins where nothing was seen."""
SAME_PIXEL = 0.02
"""Pixel sizes may differ from those that were learned from by this share."""


@dataclass(frozen=True, eq=False)
class Occupancy:
    """A network that has looked at something, and can be asked about points.

    Attributes:
        low: Corner of the box where it can be asked, world mm; points beyond are background.
        high: The opposite corner.
        shadows: What was found on two radiographs, uint8 (2, rows, columns); None from a CT.
        card: Of the weights.
    """

    low: np.ndarray
    high: np.ndarray
    shadows: AnyArray | None
    card: dict[str, Any]
    _places: Callable[[Points], AnyArray]
    _ask: Callable[[AnyArray], AnyArray]

    def margins(self, points: Points) -> AnyArray:
        """Logits of background, patella, femur, fibula and tibia.

        Args:
            points: World points, mm, (n, 3).

        Returns:
            float32 (n, 5); the largest says where a point lies, and by how much.
        """
        places = self._places(np.asarray(points, np.float64))
        seen = within(places)
        found = np.zeros((len(seen), len(BONES) + 1), np.float32)
        found[:, 0] = SURE
        if seen.any():
            found[seen] = self._ask(places[..., seen, :])
        return found


def trained_from_radiographs(
    weights: Path, radiographs: Sequence[AnyArray] | AnyArray, views: Sequence[View]
) -> Occupancy:
    """Bones from a frontal and a lateral radiograph.

    Args:
        weights: ``--out`` of ``voxbench train ssrkd``, with segment/ and student/ in it.
        radiographs: Line integrals of a CT clipped to -400 to 500 HU and scaled to 0 to 1, over metres, as
            ``projs.npz`` holds them; frontal first; row 0 on top.
        views: Where source and detector stood.

    Raises:
        FileReadError: Weights are missing or damaged.
        InputError: They are of something else, or the radiographs are not as those that were learned from.
    """
    if len(radiographs) != 2 or len(views) != 2:
        raise InputError(f"two radiographs with their views are needed; got {len(radiographs)} and {len(views)}")
    (segmenter, _), (student, card) = (load_stage(weights / stage, stage) for stage in _from_radiographs())
    for image, view in zip(radiographs, views, strict=True):
        _require_learned(np.shape(image), view, card)
    stack = np.stack([np.asarray(image, np.float32) for image in radiographs])
    shadows = find_shadows(segmenter, stack)
    look = Look((0, 1), (0, stack.shape[1]))
    device = next(student.parameters()).device
    with torch.no_grad():
        maps = student.encode(torch.from_numpy(enter_radiographs(look, stack, shadows))[None].to(device))
    low, high = _box_of(views)

    def ask(pixels: AnyArray) -> AnyArray:
        return logits_on_radiographs(student, maps, pixels)

    return Occupancy(low, high, shadows, card, lambda points: look.pixels(points, views), ask)


def trained_from_ct(weights: Path, volume: Volume) -> Occupancy:
    """Bones from a CT, by the teacher.

    Args:
        weights: ``--out`` of ``voxbench train ssrkd``, with teacher/ in it; that folder; or its weights.
        volume: HU; what lies further from its middle than the cube that was learned from is left out.

    Raises:
        FileReadError: Weights are missing or damaged.
        InputError: They are of something else.
    """
    within_run = weights / "teacher"
    pair, card = load_stage(within_run if (within_run / FILE).is_file() else weights, "teacher")
    teacher = pair.a
    grid = _cube(volume, card)
    large = resample(volume, grid, outside=AIR_HU)
    small = halved(scaled(large).array).T
    stored = Frame.of(grid).world_from_stored.inverse()
    with torch.no_grad():
        device = next(teacher.parameters()).device
        maps = teacher.encode(torch.from_numpy(enter_ct(small)[None]).to(device))
    half = np.array(card["field_mm"]).max() / 2
    return Occupancy(
        grid.centre - half, grid.centre + half, None, card, stored, lambda places: logits_in_ct(teacher, maps, places)
    )


def as_learned(line_integrals: AnyArray) -> AnyArray:
    """Integrals over mm of a CT of 0 to 255 (``geometry.scaled``) as the networks take them."""
    return seed_scale(line_integrals)


def _from_radiographs() -> tuple[Stage, Stage]:
    return "segment", "student"


def _cube(volume: Volume, card: dict[str, Any]) -> Grid:
    """Twice as fine as what the teacher learned from, about the middle of a volume."""
    at_origin = case_grid(2 * card["ct"][0], float(card["field_mm"][0]))
    return Grid(at_origin.shape, _shifted(at_origin.world_from_voxel, volume.grid.centre))


def _shifted(world_from_voxel: Affine, by: np.ndarray) -> Affine:
    return Affine.from_parts(world_from_voxel.linear, world_from_voxel.matrix[:3, 3] + by, "world", "voxel")


def _box_of(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """A cube about the place where the views meet, as large as what they see there."""
    middles = np.array([view.centre for view in views])
    towards = np.array([(v.centre - v.source) / np.linalg.norm(v.centre - v.source) for v in views])
    across = np.eye(3) - towards[:, :, None] * towards[:, None, :]
    meeting = np.linalg.solve(across.sum(axis=0), (across @ middles[:, :, None]).sum(axis=0)[:, 0])
    sizes = [
        side * pixel / view.magnification((meeting[0], meeting[1], meeting[2]))
        for view in views
        for side, pixel in zip(view.shape, view.pixel_mm, strict=True)
    ]
    half = max(sizes) / 2
    return meeting - half, meeting + half


def _require_learned(shape: tuple[int, ...], view: View, card: dict[str, Any]) -> None:
    """Refuse radiographs whose pixels are not those of the training."""
    if shape != view.shape:
        raise InputError(
            f"a radiograph has not the pixels of its view\n  radiograph  {shape}\n  view        {view.shape}"
        )
    if len(shape) != 2 or any(side % MULTIPLE for side in shape):
        raise InputError(f"sides of radiographs must be multiples of {MULTIPLE}; got {' x '.join(map(str, shape))}")
    ratio = np.array(view.pixel_mm) / card["pixel_mm"]
    if np.abs(np.log(ratio)).max() > SAME_PIXEL:
        raise InputError(
            "the network learned from pixels of another size; bring the radiographs to it\n"
            f"  learned  {card['pixel_mm'][0]:.4g} x {card['pixel_mm'][1]:.4g} mm\n"
            f"  given    {view.pixel_mm[0]:.4g} x {view.pixel_mm[1]:.4g} mm"
        )
