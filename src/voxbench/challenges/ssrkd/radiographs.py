"""Radiographs of a case and shadows of its bones, as SSR-KD stores them: ``projs.npz`` and ``bone_mask.npz``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.geometry import CONSISTENT, RELEASED, seed_scale
from voxbench.challenges.ssrkd.processed import Processed
from voxbench.geometry import Affine, Mesh, Volume
from voxbench.geometry.line_integrals import line_integrals
from voxbench.geometry.projection import Device, View, anatomical_frame, gantry
from voxbench.io import atomic
from voxbench.simulate.radiograph import RelativeNoise, measured_relative, shadows

DEVICES = {"consistent": CONSISTENT, "released": RELEASED}
ANGLES = tuple(float(angle) for angle in range(0, 361, 10))
"""The 37 of the organisers; the last is the first once more."""


def device_of(geometry: str, pixels: int) -> Device:
    """One of `DEVICES` with another number of pixels on the same detector."""
    device = DEVICES[geometry]
    step = device.pixel_mm[0] * device.rows / pixels
    return device.model_copy(update={"rows": pixels, "cols": pixels, "pixel_mm": (step, step)})


def views_of(angles: Sequence[float], device: Device, isocentre: np.ndarray) -> tuple[View, ...]:
    """Their views: 0 degrees from the front, 90 from the person's left."""
    frame = Affine.from_parts(anatomical_frame().linear, isocentre, "world", "gantry")
    return tuple(gantry(float(angle), device, frame) for angle in angles)


def write_radiographs(
    case: Processed,
    image: Volume,
    views: tuple[Sequence[float], Sequence[View]],
    noise: RelativeNoise | None,
    rng: np.random.Generator,
) -> None:
    """``projs.npz``: ``projs`` float32 (views, rows, columns), row 0 on top, and ``angles`` in radians.

    Args:
        case: Where to.
        image: The large volume of the case, 0 to 255, in the world.
        views: Their angles in degrees, and the views.
        noise: Theirs, or none.
        rng: Source of the noise.
    """
    angles, beams = views
    stack = np.stack([seed_scale(one) for one in line_integrals(image, beams)])
    if noise is not None:
        stack = measured_relative(stack, noise, rng)
    with atomic(case.radiographs) as temporary:
        np.savez(temporary, projs=stack, angles=np.radians(np.array(angles, float)))


def write_shadows(case: Processed, bones: Mapping[str, Mesh], views: tuple[Sequence[float], Sequence[View]]) -> None:
    """``bone_mask.npz``: ``projs`` uint8 (views, rows, columns), 1 in the shadow of any bone; exact, without noise."""
    angles, beams = views
    masks = shadows([bones[bone] for bone in BONES], beams)
    with atomic(case.shadows) as temporary:
        np.savez_compressed(temporary, projs=masks.astype(np.uint8), angles=np.radians(np.array(angles, float)))
