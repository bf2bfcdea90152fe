"""Settings of the shape-model method."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voxbench.config import Config

POSE_SPREAD = {
    "flexion": 15.0,
    "varus": 4.0,
    "rotation": 6.0,
    "gap": 5.0,
    "glide": 3.0,
    "patella_gap": 5.0,
    "patella_height": 6.0,
    "patella_tilt": 6.0,
    "fibula_gap": 2.0,
    "pitch": 10.0,
    "roll": 10.0,
    "yaw": 10.0,
    "x": 40.0,
    "y": 40.0,
    "z": 40.0,
}
"""Standard deviations of the prior of `KneePose`, degrees and mm; wide for how a leg lies, narrow for joints."""


class Level(Config):
    """One pass of coarse to fine; lengths at the bone, mm."""

    blur_mm: float = Field(default=..., gt=0, description="Width of the radiographs' blur.")
    reach_mm: float = Field(default=..., gt=0, description="How far from the contour edges are searched for.")
    trust_mm: float = Field(default=..., gt=0, description="Error of a found edge, standard deviation.")
    stiffness: float = Field(default=1.0, gt=0, description="How many times the prior counts.")
    rounds: int = Field(default=..., ge=1, le=100, description="Gauss-Newton steps.")
    starts: int = Field(default=1, ge=1, le=100, description="How many of the best starts come this far.")
    search: bool = Field(default=False, description="Look for the patella up and down before the first round.")
    free: bool = Field(default=False, description="Bones deform freely too, see free_form.")


LEVELS = (
    Level(blur_mm=1.5, reach_mm=15.0, trust_mm=3.0, stiffness=100, rounds=6, starts=12),
    Level(blur_mm=1.5, reach_mm=10.0, trust_mm=2.0, stiffness=20, rounds=8, starts=5, search=True),
    Level(blur_mm=1.5, reach_mm=7.0, trust_mm=1.5, stiffness=4, rounds=8, starts=3, search=True),
    Level(blur_mm=1.2, reach_mm=4.0, trust_mm=0.8, rounds=8, starts=2, search=True),
    Level(blur_mm=1.0, reach_mm=4.0, trust_mm=0.6, rounds=6, starts=1, free=True),
    Level(blur_mm=0.7, reach_mm=2.0, trust_mm=0.4, rounds=6, starts=1, free=True),
)
FREE_FORM = ((0.7, 8.0), (0.85, 22.0))
"""What 25 people's model cannot say about another: across the surface 1.0 to 1.2 mm, as alike at a distance as these
two squared exponentials together (of 13 of the 26 people, each from the other 25)."""


class ReconstructionConfig(Config):
    """How a knee is fitted to radiographs."""

    side: Literal["auto", "left", "right"] = Field(default="auto", description="Which leg.")
    levels: tuple[Level, ...] = Field(default=LEVELS, min_length=1, description="Coarse to fine.")
    correlation_mm: float = Field(
        default=4.0, gt=0, description="Edges nearer to each other than this along a contour err alike."
    )
    free_form: tuple[tuple[float, float], ...] = Field(
        default=FREE_FORM, min_length=1, description="Amplitudes and lengths of the free deformations' covariance, mm."
    )
    free_modes: int = Field(default=60, ge=1, le=1000, description="Free deformations of each bone.")
    search_mm: float = Field(
        default=40.0, ge=0, le=200, description="How far from where the views meet the knee may be."
    )
    sizes: tuple[float, ...] = Field(
        default=(-1.5, 0.0, 1.5), min_length=1, description="First coefficient of the starts, standard deviations."
    )
    flexions: tuple[float, ...] = Field(
        default=(0.0, 15.0, 30.0), min_length=1, description="Bending of the starts, degrees."
    )
