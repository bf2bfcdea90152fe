"""The two images of a linear registration in the roles they play, and the settings they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.geometry import Affine, Grid, Volume
from voxbench.tasks.registration.linear_images import Content, GreyScale, Source, pyramid
from voxbench.tasks.registration.linear_models import Model, Pose
from voxbench.tasks.registration.linear_starts import affine_of, pose_of
from voxbench.tasks.registration.similarity import STIFFNESS, Metric, Points, Region, Similarity, View
from voxbench.types import Mask

COARSEST = 10.0
"""Voxels of the coarsest level in the content's radius."""


class LinearConfig(Config):
    """Rigid or affine registration."""

    model: Model = Field(default="affine", description="Which motions are allowed; none: only compare at the start.")
    metric: Metric = Field(
        default="ncc",
        description="ncc: squared local correlation, of either sign; nmi: normalised mutual information of all points.",
    )
    search: Literal["anywhere", "near", "start"] = Field(
        default="anywhere",
        description="Starts: any rotation; those a patient may have against the headers; the headers alone.",
    )
    samples: int = Field(default=80_000, ge=1000, description="Points sampled on the finest level at most.")
    bins: int = Field(default=32, ge=8, le=128, description="Histogram bins of either image.")
    levels: int = Field(default=3, ge=1, le=5, description="Resolutions at most, from a tenth of the content's radius.")
    iterations: int = Field(default=60, ge=1, description="Optimiser steps on a level at most.")
    seed: int = Field(default=0, ge=0, description="Of the sampled points.")


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two images on all levels.

    Attributes:
        views: Level in mm to view, coarsest first.
        content: Where there is something.
        grid: Of the original image.
        room: Volume in which the image counts, mm^3.
    """

    views: dict[float, View]
    content: Content
    grid: Grid
    room: float

    @staticmethod
    def of(source: Source, levels: tuple[float, ...], bins: int) -> Side:
        """The pyramid and the grey scale of one image."""
        images = pyramid(source.finest, levels)
        scale = GreyScale.of(source.look, source.content.neighbourhood, bins)
        views = {level: View.of(images[level], scale, source.mask_on(images[level].grid)) for level in levels}
        share = 1.0 if source.mask is None else float(source.mask.mean())
        return Side(views, source.content, source.grid, share * source.grid.size * source.grid.voxel_volume)


@dataclass(frozen=True, eq=False)
class Pair:
    """The two images in the roles they play here.

    Attributes:
        sampled: The one whose points are taken: that with the smaller content.
        read: The other one.
        swapped: Whether the moving image is the sampled one.
    """

    sampled: Side
    read: Side
    swapped: bool

    @staticmethod
    def of(fixed: Volume, moving: Volume, masks: tuple[Mask | None, Mask | None], config: LinearConfig) -> Pair:
        """Prepare both images and give them their roles; a mask on one image alone makes it the sampled one."""
        finest = finest_level(fixed.grid, moving.grid)
        sources = [
            Source.of(volume, mask, finest, name)
            for volume, mask, name in zip((fixed, moving), masks, ("fixed image", "moving image"), strict=True)
        ]
        swapped = sources[1].content.volume < sources[0].content.volume
        if (masks[0] is None) != (masks[1] is None):
            swapped = masks[0] is None
        levels = levels_between(sources[swapped].content.radius / COARSEST, finest, config.levels)
        sides = [Side.of(source, levels, config.bins) for source in sources]
        return Pair(sides[swapped], sides[not swapped], swapped)

    def similarity(self, level: float, metric: Metric, config: LinearConfig, most: int = 10**9) -> Similarity:
        """The metric on one level, as a function of the pose; ``most``: points at most, if fewer than configured."""
        rng = np.random.default_rng(config.seed)
        scatter = Points.scattered if metric == "nmi" else Points.blocks
        view, content = self.sampled.views[level], self.sampled.content
        outline = not content.part_of(self.read.content)
        points = scatter(view, Region(content, outline), min(most, config.samples), rng)
        around = float(content.neighbourhood.sum()) * content.grid.voxel_volume
        reachable = min(1.0, self.read.room / around)
        stiffness = 0.0 if level == min(self.read.views) else STIFFNESS[metric]
        return Similarity(metric, points, self.read.views[level], config.bins, reachable, stiffness)

    def to_pose(self, moving_from_fixed: Affine) -> Pose:
        """The pose of a map, about the centre of the sampled content."""
        map_ = moving_from_fixed.inverse() if self.swapped else moving_from_fixed
        return pose_of(map_, self.sampled.content.centre)

    def to_map(self, pose: Pose) -> Affine:
        """moving_from_fixed of a pose."""
        map_ = affine_of(pose, self.sampled.content.centre)
        return map_.inverse() if self.swapped else map_


def finest_level(fixed: Grid, moving: Grid) -> float:
    """Spacing of the finest level, mm: 1/128 of the smaller box, but no finer than the coarser image's voxels."""
    boxes = [(g.size * g.voxel_volume) ** (1 / 3) for g in (fixed, moving)]
    return max(min(boxes) / 128, *(g.voxel_volume ** (1 / 3) for g in (fixed, moving)))


def levels_between(coarsest: float, finest: float, count: int) -> tuple[float, ...]:
    """Spacings of the levels, mm, coarsest first, at equal ratios of at least 1.3."""
    span = max(1.0, coarsest / finest)
    steps = min(count - 1, int(np.log(span) / np.log(1.3)))
    return tuple(float(finest * span ** (n / max(1, steps))) for n in range(steps, -1, -1))
