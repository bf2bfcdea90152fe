"""A knee of formulas, and two radiographs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from voxbench.challenges.ssrkd.geometry import CONSISTENT
from voxbench.geometry import Grid
from voxbench.geometry.projection import View, gantry
from voxbench.geometry.shapes import ShapeModel
from voxbench.simulate.knees import Knee, KneeVariation, random_knee
from voxbench.simulate.phantoms.knee import knee_phantom
from voxbench.simulate.phantoms.knee_shapes import analytic_knee
from voxbench.simulate.radiograph import PhotonNoise, measured, radiographs
from voxbench.tasks.reconstruction import Radiograph

DEVICE = CONSISTENT.model_copy(update={"rows": 320, "cols": 320, "pixel_mm": (0.92, 0.92)})


@dataclass(frozen=True)
class Seen:
    """A knee and its radiographs.

    Attributes:
        model: The shape model it was drawn from.
        knee: The truth.
        radiographs: Frontal and lateral.
    """

    model: ShapeModel
    knee: Knee
    radiographs: tuple[Radiograph, Radiograph]


def view(angle: float) -> View:
    """A view of 320 x 320 pixels."""
    return gantry(angle, DEVICE)


@pytest.fixture(scope="session")
def seen() -> Seen:
    """A left knee bent by some degrees; the CT has voxels of 1.6 mm."""
    model = analytic_knee(4.0)
    rng = np.random.default_rng(11)
    knee = random_knee(model, rng, KneeVariation(side="left"))
    grid = Grid.from_parts((112, 112, 160), (1.6, 1.6, 1.6), (-88.8, -88.8, -127.2))
    views = (view(0), view(90))
    images = radiographs(knee_phantom(knee.bones, grid, rng).ct, views)
    one, other = (
        Radiograph(measured(image, PhotonNoise(), rng), own) for image, own in zip(images, views, strict=True)
    )
    return Seen(model, knee, (one, other))
