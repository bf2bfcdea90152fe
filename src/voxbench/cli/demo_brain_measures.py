"""What ``voxbench demo`` measures: likeness, tissue overlap, regularity, inverse consistency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from voxbench.geometry import Affine, DisplacementField, Grid, Volume
    from voxbench.tasks.registration import Registration

STAGES = ("as scanned", "affine", "deformable")
GREY, WHITE = 1, 2
"""Ids of the tissues in the label maps compared; cerebrospinal fluid and the rest are 0."""


@dataclass(frozen=True, eq=False)
class Images:
    """What the demo starts from.

    Attributes:
        template: The MNI152 brain, fixed.
        tissue: Its grey (1) and white (2) matter: where either is more likely than not.
        head: One person's head, moving.
        files: Where they came from.
    """

    template: Volume
    tissue: np.ndarray
    head: Volume
    files: dict[str, Path]

    @property
    def brain(self) -> np.ndarray:
        """True in the template's brain."""
        return self.template.array > 0


@dataclass(frozen=True, eq=False)
class Finished:
    """What the demo ends with.

    Attributes:
        brain: The head without its skull.
        registration: Of that brain to the template.
        wall: Seconds on the clock, affine and skull-stripping included.
        cpu: Seconds of all cores.
    """

    brain: Volume
    registration: Registration
    wall: float
    cpu: float


@dataclass(frozen=True)
class Row:
    """One quantity at every stage.

    Attributes:
        name: What was measured.
        values: At each of STAGES.
        unit: Of the values.
        note: How to read it.
    """

    name: str
    values: tuple[float, float, float]
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Measured:
    """What the demo reports.

    Attributes:
        stages: Rows of the table before and after.
        ndv: Non-diffeomorphic volume of the field in the brain, %.
        folded: Voxels with a Jacobian determinant of zero or less.
        inconsistency: Mean of |u(y + v(y)) + v(y)| over the moving brain, in voxels of the fixed grid.
    """

    stages: tuple[Row, ...]
    ndv: float
    folded: int
    inconsistency: float


def measure(images: Images, finished: Finished) -> Measured:
    """Likeness, tissue overlap, regularity and inverse consistency."""
    from voxbench.metrics import diffeomorphism

    result = finished.registration
    grid = images.template.grid
    limits = tissue_limits(finished.brain)
    maps: tuple[Affine | DisplacementField | None, ...] = (None, result.affine, result.displacement)
    each = [_stage(images, finished.brain, through, limits) for through in maps]
    names = (
        ("NCC", "1 where one image is a brighter or steeper copy of the other; within the template's brain"),
        ("Dice, grey matter", "template's map against three intensity classes of the warped brain"),
        ("Dice, white matter", "likewise"),
    )
    rows = tuple(Row(name, (each[0][n], each[1][n], each[2][n]), note=note) for n, (name, note) in enumerate(names))
    regularity = diffeomorphism(result.displacement.in_voxels(), images.brain)
    return Measured(rows, regularity.volume_percent, regularity.folded, _inconsistency(finished, grid))


def _stage(
    images: Images, brain: Volume, through: Affine | DisplacementField | None, limits: tuple[float, float]
) -> tuple[float, float, float]:
    """NCC, Dice of grey matter and Dice of white matter of the brain laid onto the template through a map."""
    import numpy as np

    from voxbench.geometry import resample
    from voxbench.metrics import overlap
    from voxbench.metrics.image import normalized_cross_correlation

    warped = resample(brain, images.template.grid, through=through).array
    tissue = (np.digitize(warped, limits) * images.brain).astype(np.uint8)
    grey, white = overlap(images.tissue, tissue, (GREY, WHITE)).dice
    return normalized_cross_correlation(images.template.array, warped, images.brain), float(grey), float(white)


def tissue_limits(brain: Volume) -> tuple[float, float]:
    """Two grey values that split a T1 brain into cerebrospinal fluid, grey and white matter: Otsu's criterion.

    References:
        N. Otsu, IEEE Trans. Systems, Man, and Cybernetics 9:62-66, 1979, doi:10.1109/TSMC.1979.4310076
    """
    import numpy as np
    from skimage.filters import threshold_multiotsu

    inside = brain.array[brain.array != 0]
    low, high = np.percentile(inside, (0.5, 99.5))
    first, second = threshold_multiotsu(np.clip(inside, low, high), classes=3)
    return float(first), float(second)


def _inconsistency(finished: Finished, fixed: Grid) -> float:
    """Mean distance between a voxel of the moving brain and where it ends up there and back, voxels of ``fixed``."""
    import numpy as np

    from voxbench.geometry.compose import compose

    moving, result = finished.brain, finished.registration
    there_and_back = compose([result.inverse, result.displacement], onto=moving.grid)
    voxels = there_and_back.array[moving.array != 0] @ fixed.voxel_from_world.linear.T
    return float(np.linalg.norm(voxels, axis=-1).mean())
