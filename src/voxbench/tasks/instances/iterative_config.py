"""Settings of iterative instance segmentation; `PRESETS` has the published ones and a laptop's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from voxbench.config import Config
from voxbench.io.tables import read_settings

Three = tuple[int, int, int]
IisPreset = Literal["paper", "laptop"]
HALVINGS = 8
"""Edges of a patch must be multiples of this."""


class IisConfig(Config):
    """How vertebrae are learned, found and told apart one by one. The defaults are the published settings for MRI.

    Axes are x, y, z of the world (RAS+). Volumes were published as counts of voxels of 0.72 mm^3; here they are mm^3.
    """

    spacing: tuple[float, float, float] = Field(default=(2.0, 0.6, 0.6), description="Of the working grid, mm.")
    patch: Three = Field(default=(64, 192, 192), description="What the network sees at once, voxels.")
    width: int = Field(default=50, ge=1, description="Features at every resolution; 84 were published beside 50.")

    nothing: float = Field(default=1 / 3, ge=0, le=1, description="Share of patches in which there is none to find.")
    least_seen_mm3: float = Field(default=720.0, ge=0, description="Of a vertebra in a patch it is learned from.")
    beyond: int = Field(default=0, ge=0, description="Patches are centred this far beyond a vertebra's box, voxels.")
    border_weight: float = Field(default=8.0, ge=0, description="What voxels on a structure's border count more.")
    border_voxels: float = Field(default=6.0, gt=0, description="How far from the border that falls off.")
    voxel_weight: float = Field(default=1.0, gt=0, description="In the loss, of the sum over voxels.")
    l1_weight: float = Field(default=10.0, ge=0, description="Of the label's absolute error.")
    square_weight: float = Field(default=1.0, ge=0, description="Of the label's squared error.")

    elastic: float = Field(default=0.5, ge=0, le=1, description="Share of patches bent.")
    elastic_voxels: float = Field(default=2.5, ge=0, description="By at most this.")
    elastic_width: float = Field(default=10.0, gt=0, description="Deviation of the Gaussian that smooths the bending.")
    noise: float = Field(default=0.25, ge=0, le=1, description="Share with noise, of deviation up to 0.034.")
    blur: float = Field(default=0.25, ge=0, le=1, description="Share blurred, by |N(0, 1)| / 2 voxels.")
    crop: float = Field(default=0.05, ge=0, le=1, description="Share of which the top or the bottom is cut off.")
    mirror: float = Field(default=0.0, ge=0, le=1, description="Share with left and right changed.")

    search_mm3: float = Field(default=1000.0, gt=0, description="The search has found one with this volume,")
    search_label: float = Field(default=1.5, ge=0, description="and a label of at least this.")
    new_mm3: float = Field(default=100.0, gt=0, description="The next is followed while this much of it is seen.")
    least_label: float = Field(default=0.75, ge=0, description="The next is one if its label is at least this.")
    enough: int = Field(default=5, ge=1, description="With fewer vertebrae in a row the search goes on.")
    moved: int = Field(default=2, ge=0, description="A patch that moves no farther has arrived, voxels.")
    moves: int = Field(default=10, ge=1, description="Moves after which it stays between the last two places.")
    fragment_mm3: float = Field(default=72.0, ge=0, description="Smaller pieces of a vertebra are left out.")
    mark_partial: bool = Field(default=True, description="Add 100 to vertebrae that the network says are cut.")

    @model_validator(mode="after")
    def _fits(self) -> IisConfig:
        if any(n % HALVINGS or n < HALVINGS for n in self.patch):
            raise ValueError(f"patch must be multiples of {HALVINGS}; got {self.patch}")
        if any(s <= 0 for s in self.spacing):
            raise ValueError(f"spacing must be above 0; got {self.spacing}")
        return self

    def __str__(self) -> str:
        """As a person would describe it."""
        spacing = " x ".join(f"{s:.3g}" for s in self.spacing)
        patch = " x ".join(str(n) for n in self.patch)
        extent = " x ".join(f"{s * n:.0f}" for s, n in zip(self.spacing, self.patch, strict=True))
        return f"one by one; voxels {spacing} mm, patch {patch} ({extent} mm), width {self.width}"


PRESETS: dict[IisPreset, IisConfig] = {
    "paper": IisConfig(enough=1),
    "laptop": IisConfig(
        spacing=(1.8, 1.8, 1.8),
        patch=(48, 64, 48),
        width=16,
        beyond=8,
        border_voxels=2.0,
        voxel_weight=1e-3,
        l1_weight=0.1,
        square_weight=0.01,
        elastic_voxels=1.5,
        elastic_width=6.0,
        mirror=0.5,
        new_mm3=1000.0,
        fragment_mm3=200.0,
    ),
}
"""By name; the published ones, and those for two processor cores."""


def iis_toml(settings: IisConfig) -> str:
    """Settings as TOML, to be looked at and edited; `read_iis` reads it."""
    lines = []
    for name, field in IisConfig.model_fields.items():
        value = getattr(settings, name)
        told = (
            str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
        )
        lines.append(f"{name} = {told}  # {field.description}")
    return "\n".join([*lines, ""])


def read_iis(path: Path) -> IisConfig:
    """Settings from TOML.

    Raises:
        InputError: It cannot be read, is not TOML, or holds what makes no settings (named).
    """
    return read_settings(path, IisConfig, "settings of iis")
