"""Every setting of a registration, in one typed value."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from voxbench.config import Config
from voxbench.tasks.registration.convex import ConvexConfig
from voxbench.tasks.registration.deformable import DeformableConfig
from voxbench.tasks.registration.external import ExternalConfig
from voxbench.tasks.registration.linear import LinearConfig

Method = Literal["deformable", "convex", "affine", "rigid", "none", "ants-syn", "greedy", "deeds"]
EXTERNAL = ("ants-syn", "greedy", "deeds")

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"iterations": (60, 40, 6), "symmetric": False, "step": 0.5},
    "accurate": {"iterations": (100, 100, 30), "symmetric": True, "step": 0.35},
}
"""What a preset sets; everything else keeps the default written beside it."""


class RegistrationConfig(Config):
    """Register a moving image to a fixed one."""

    method: Method = Field(
        default="deformable", description="How; the last three run a program that you have installed."
    )
    preset: Literal["fast", "accurate"] = Field(default="accurate", description="fast: about half the time.")
    initial: Literal["auto", "none", "rigid", "affine"] = Field(
        default="auto",
        description="Motion found first; auto: as --linear.model says. Never worse than the headers; none: trust them.",
    )
    start: Literal["none", "convex"] = Field(
        default="none", description="convex: begin from the discrete search, for large deformations."
    )
    threads: int = Field(default=0, ge=0, description="Threads; 0: all cores.")
    seed: int = Field(default=0, ge=0, description="Of everything random; recorded with the result.")
    spacing: float = Field(
        default=0.0, ge=0, description="Voxel size of the finest level, mm; 0: that of the fixed image."
    )
    linear: LinearConfig = LinearConfig()
    deformable: DeformableConfig = DeformableConfig()
    convex: ConvexConfig = ConvexConfig()
    external: ExternalConfig = ExternalConfig()

    @model_validator(mode="before")
    @classmethod
    def _preset_below_what_is_given(cls, given: Any) -> Any:
        """What the preset sets holds unless it is set by hand."""
        if not isinstance(given, dict):
            return given
        chosen = given.get("deformable", {})
        if isinstance(chosen, dict):
            given = given | {"deformable": PRESETS.get(given.get("preset", "accurate"), {}) | chosen}
        return given
