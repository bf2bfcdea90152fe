"""MR images of any contrast from label maps.

Every label has a mean and a spread of intensity; the picture is then blurred, shaded by a bias field and made noisy.
The idea of drawing contrasts at random, so that nothing downstream can rely on one, is that of SynthSeg.

References:
    B. Billot et al., Medical Image Analysis 86:102789, 2023, doi:10.1016/j.media.2023.102789
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from pydantic import Field

from voxbench import _core
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import LabelMap, Volume
from voxbench.simulate.fields import smooth_noise

ContrastName = Literal["t1", "t2", "inverted", "random"]
WHITE_LEVEL = 255.0
"""Images lie in [0, 255]."""

TISSUES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        # name: T1 mean, T2 mean, spread
        "white": (200.0, 80.0, 5.0),
        "cortex": (130.0, 135.0, 8.0),
        "deep grey": (155.0, 115.0, 6.0),
        "pallidum": (178.0, 85.0, 6.0),
        "brainstem": (180.0, 95.0, 8.0),
        "fluid": (45.0, 235.0, 6.0),
        "vessel": (70.0, 60.0, 10.0),
        "bone": (25.0, 20.0, 6.0),
        "fat and skin": (220.0, 150.0, 20.0),
        "other": (110.0, 110.0, 12.0),
    }
)
"""Typical brightness of tissues on a scale to 255; mean in T1, mean in T2, standard deviation within."""

FREESURFER_TISSUE: Mapping[int, str] = MappingProxyType(
    dict[int, str]()
    | dict.fromkeys((2, 41, 7, 46, 77, 85, 251, 252, 253, 254, 255), "white")
    | dict.fromkeys((3, 42, 8, 47, 17, 53, 18, 54), "cortex")
    | dict.fromkeys((10, 49, 11, 50, 12, 51, 26, 58), "deep grey")
    | dict.fromkeys((13, 52), "pallidum")
    | dict.fromkeys((16, 28, 60), "brainstem")
    | dict.fromkeys((4, 43, 5, 44, 14, 15, 24, 72, 31, 63), "fluid")
    | dict.fromkeys((30, 62), "vessel")
    | dict.fromkeys((165,), "bone")
    | dict.fromkeys((258,), "fat and skin")
)
"""Tissue of FreeSurfer's label ids; any other id is ``other``."""

FREESURFER_SIDES: Mapping[int, int] = MappingProxyType(
    {41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18, 58: 26, 60: 28, 62: 30}
)
"""Right-hand structures and their left-hand twins, which look alike."""


@dataclass(frozen=True)
class Contrast:
    """How bright each label is.

    Attributes:
        name: What it is called.
        means: Mean intensity by label id, in (0, 255].
        spreads: Standard deviation within a label, by label id.
    """

    name: str
    means: Mapping[int, float]
    spreads: Mapping[int, float]

    def __post_init__(self) -> None:
        """Freeze, and refuse ids that have one but not the other."""
        if set(self.means) != set(self.spreads):
            raise InputError(f"contrast {self.name}: means and spreads name different labels")
        object.__setattr__(self, "means", MappingProxyType(dict(self.means)))
        object.__setattr__(self, "spreads", MappingProxyType(dict(self.spreads)))


class Scanner(Config):
    """What the scanner adds to the tissue's own brightness."""

    blur_mm: float = Field(default=0.5, ge=0, description="Standard deviation of the point spread, mm.")
    bias: float = Field(default=0.1, ge=0, le=1, description="Standard deviation of the logarithm of the bias field.")
    bias_smoothness_mm: float = Field(default=40.0, gt=0, description="Smoothness of the bias field, mm.")
    noise: float = Field(default=4.0, ge=0, description="Standard deviation of the noise of each of the two channels.")
    texture: bool = Field(
        default=True, description="Draw each voxel about its label's mean, with the contrast's spread."
    )


ORDINARY = Scanner()
"""What most images look like."""
PERFECT = Scanner(blur_mm=0, bias=0, noise=0, texture=False)
"""A scanner that shows every label's mean and nothing else."""


def contrast(
    name: ContrastName,
    ids: Sequence[int],
    rng: np.random.Generator | None = None,
    tissues: Mapping[int, str] = FREESURFER_TISSUE,
) -> Contrast:
    """A contrast for some labels.

    ``inverted`` is T1 turned about its middle grey. ``random`` draws a mean for every structure,
    left and right alike.

    Args:
        name: Which contrast.
        ids: Label ids; background is left out.
        rng: Source of randomness; only ``random`` needs one.
        tissues: Tissue (a key of ``TISSUES``) by label id.

    Raises:
        InputError: ``random`` without a generator.
    """
    present = [int(i) for i in ids if i != 0]
    kinds = {i: TISSUES[tissues.get(i, "other")] for i in present}
    spreads = {i: kind[2] for i, kind in kinds.items()}
    if name == "random":
        if rng is None:
            raise InputError("a random contrast needs a random generator: contrast('random', ids, rng)")
        twins = sorted({FREESURFER_SIDES.get(i, i) for i in present})
        drawn = dict(zip(twins, rng.uniform(25, 230, len(twins)), strict=True))
        return Contrast(name, {i: float(drawn[FREESURFER_SIDES.get(i, i)]) for i in present}, spreads)
    column = 1 if name == "t2" else 0
    means = {i: kind[column] for i, kind in kinds.items()}
    if name == "inverted":
        means = {i: WHITE_LEVEL - mean for i, mean in means.items()}
    return Contrast(name, means, spreads)


def render(labels: LabelMap, look: Contrast, rng: np.random.Generator, scanner: Scanner = ORDINARY) -> Volume:
    """An MR image of a label map, as if skull-stripped: background is exactly 0, everything else above it.

    Args:
        labels: What is where.
        look: Brightness of every label present.
        rng: Source of randomness.
        scanner: Blur, bias field and noise; ``PERFECT`` adds none.

    Returns:
        float32 in [0, 255] on the labels' grid.

    Raises:
        InputError: Some labels have no brightness.
    """
    missing = set(labels.ids) - set(look.means)
    if missing:
        raise InputError(f"contrast {look.name} has no brightness for label {', '.join(map(str, sorted(missing)))}")
    inside = labels.mask()
    image = _by_label(labels.array, look.means)
    if scanner.texture:
        image += _by_label(labels.array, look.spreads) * rng.standard_normal(image.shape, dtype=np.float32)
    if scanner.blur_mm > 0:
        image = _blurred_inside(image, inside, scanner.blur_mm / labels.grid.spacing)
    if scanner.bias > 0:
        image *= np.exp(scanner.bias * smooth_noise(labels.grid, rng, scanner.bias_smoothness_mm))
    if scanner.noise > 0:
        real, imaginary = (rng.standard_normal(image.shape, dtype=np.float32) * scanner.noise for _ in range(2))
        image = np.hypot(image + real, imaginary)
    return Volume(np.where(inside, np.clip(image, 1.0, WHITE_LEVEL), 0).astype(np.float32), labels.grid)


def _by_label(array: np.ndarray, values: Mapping[int, float]) -> np.ndarray:
    """The value of each voxel's label; 0 for background."""
    table = np.zeros(int(array.max()) + 1, np.float32)
    for label, value in values.items():
        if 0 < label < table.size:
            table[label] = value
    return table[array]


def _blurred_inside(image: np.ndarray, inside: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Gaussian blur in which the background, being no tissue, takes no part."""
    weight = inside.astype(np.float32)
    both = np.stack([image * weight, weight])
    _core.gaussian(both, np.minimum(sigma, 18).astype(np.float32), False)
    return both[0] / np.maximum(both[1], 1e-6)
