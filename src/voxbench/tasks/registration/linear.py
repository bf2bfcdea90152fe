"""Rigid and affine registration: many starts ranked on a coarse level, the best ones followed to the finest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry import Affine, Volume
from voxbench.tasks.registration.descent import descend
from voxbench.tasks.registration.linear_models import Model, Motion, Pose
from voxbench.tasks.registration.linear_pair import LinearConfig, Pair
from voxbench.tasks.registration.linear_starts import (
    around,
    candidates,
    distance_mm,
    distinct,
    near_headers,
)
from voxbench.tasks.registration.similarity import Similarity
from voxbench.types import Mask

FAR_MARGIN = 0.1
"""Share of the metric by which a rotation no patient makes must beat the best one a patient may have."""
LEAST_OVERLAP = 0.02
"""Share of the points below which two images have nothing to do with each other."""
RANKING_POINTS = 4096
"""Points by which starts are ranked."""
SAME = 0.05
"""A motion below this, in voxels of the finest level, is no reason to leave the start."""


__all__ = ["LinearConfig", "LinearResult", "register_linear"]


@dataclass(frozen=True, eq=False)
class LinearResult:
    """What linear registration found.

    Attributes:
        affine: moving_from_fixed on world points.
        metric: The metric there, on the finest level.
        initial: The metric at the start (the image headers, unless another was given), on the same points.
        starts: Number of starts that were scored.
        evaluations: Number of times metric and gradient were computed.
    """

    affine: Affine
    metric: float
    initial: float
    starts: int
    evaluations: int


def register_linear(
    fixed: Volume,
    moving: Volume,
    config: LinearConfig = LinearConfig(),
    *,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    start: Affine | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> LinearResult:
    """Bring two images together by one linear motion.

    The image with the smaller content is sampled at jittered points in and around that content, and read in the other
    one, so that a brain finds its place in a head and a slab in a body whichever of the two is fixed.

    Args:
        fixed: The image that stays.
        moving: The image that goes; any grid, any contrast.
        config: Settings.
        fixed_mask: Where the fixed image counts, on its grid.
        moving_mask: Where the moving image counts, on its grid.
        start: The only start, instead of the headers and the search.
        progress: Called with the name of a level and the metric reached there.

    Returns:
        The motion, never worse in the metric than the start itself.

    Raises:
        NotFiniteError: An image holds NaN or infinity.
        EmptyShapeError: An image is constant, a mask empty, or the images do not overlap at the start given.
        GridMismatchError: A mask has another shape than its image.
    """
    fixed.require_usable("fixed image")
    moving.require_usable("moving image")
    pair = Pair.of(fixed, moving, (fixed_mask, moving_mask), config)
    search = Search(pair, config, progress or (lambda _level, _metric: None))
    return search.run(start)


class Search:
    """One run: it counts what it evaluates."""

    def __init__(self, pair: Pair, config: LinearConfig, progress: Callable[[str, float], None]) -> None:
        self.pair = pair
        self.config = config
        self.progress = progress
        self.starts = 1
        self.evaluations = 0

    def run(self, start: Affine | None) -> LinearResult:
        """Rank, refine, and compare with the start on the finest level."""
        first = self.pair.to_pose(start or Affine.identity())
        levels = list(self.pair.sampled.views)
        finest = self.pair.similarity(levels[-1], self.config.metric, self.config)
        if self.config.model == "none":
            return self._result(first, first, finest)
        poses = self._coarsest(first, levels[0], only_start=start is not None or self.config.search == "start")
        for level in levels[1:-1]:
            similarity = self.pair.similarity(level, self.config.metric, self.config, self.config.samples // 2)
            poses = self._branched(poses, level) if len(poses) > 1 else poses
            poses = self._narrowed([self._refined(p, similarity, self.config.model) for p in poses], similarity, 1)
            self.progress(f"{level:.3g} mm", similarity.value(poses[0]))
        best = self._refined(poses[0], finest, self.config.model) if len(levels) > 1 else poses[0]
        self.progress(f"{levels[-1]:.3g} mm", finest.value(best))
        near = distance_mm(best, first, self.pair.sampled.content.radius) < SAME * levels[-1]
        if near or finest.cost(first)[0] <= finest.cost(best)[0]:
            best = first
        return self._result(best, first, finest)

    def _coarsest(self, first: Pose, level: float, *, only_start: bool) -> list[Pose]:
        """The few best poses of the coarsest level."""
        similarity = self.pair.similarity(level, self.config.metric, self.config)
        poses, kept = first[None], [0]
        if not only_start:
            poses, kept = self._ranked(level)
        elif similarity.overlap(first) < LEAST_OVERLAP:
            raise EmptyShapeError(
                f"the images do not overlap at the start: {100 * similarity.overlap(first):.2g} % of the points of one "
                "lie inside the other\n  give another start, or let the search look for one"
            )
        self.starts = len(poses)
        simple: Model = "rigid" if self.config.model in ("similarity", "affine") else self.config.model
        refined = [self._refined(poses[k], similarity, simple) for k in kept]
        if simple != self.config.model:
            refined += [self._refined(p, similarity, "similarity") for p in self._narrowed(refined, similarity, 8)]
        if max(similarity.overlap(p) for p in refined) < LEAST_OVERLAP:
            raise EmptyShapeError("the images do not overlap anywhere a start was tried; are the masks right?")
        refined = self._narrowed(refined, similarity, 12)
        self.progress(f"{level:.3g} mm", similarity.value(refined[0]))
        return refined

    def _ranked(self, level: float) -> tuple[np.ndarray, list[int]]:
        """All starts, and the indices of those that either metric finds worth refining; the headers' own among them."""
        sides = [(s.grid, s.content) for s in (self.pair.sampled, self.pair.read)]
        poses = candidates(sides[0], sides[1], self.config.model, self.config.search == "anywhere")
        near = near_headers(poses)
        radius = self.pair.sampled.content.radius
        kept = [0]
        for metric in ("nmi", "ncc"):
            scores = self.pair.similarity(level, metric, self.config, RANKING_POINTS).rank(poses)
            for group, count in ((near, 6), (~near, 5)):
                index = np.flatnonzero(group)
                kept += [int(index[k]) for k in distinct(poses[index], scores[index], radius, 0.2 * radius, count)]
        return poses, list(dict.fromkeys(kept))

    def _branched(self, poses: list[Pose], level: float) -> list[Pose]:
        """The best among poses and their neighbours: what looked best from afar may be a ridge beside the summit."""
        ranking = self.pair.similarity(level, self.config.metric, self.config, RANKING_POINTS)
        radius = self.pair.sampled.content.radius
        more = np.concatenate([around(p, radius, self.config.model) for p in poses])
        return [more[k] for k in distinct(more, self._scores(more, ranking.rank(more)), radius, 0.1 * radius, 8)]

    def _refined(self, pose: Pose, similarity: Similarity, model: Model) -> Pose:
        """The nearest optimum of the metric."""
        motion = Motion(model, pose, self.pair.sampled.content.radius)
        level = float(similarity.read.image.grid.voxel_volume ** (1 / 3))
        gradient = motion.pull(np.zeros(motion.size), similarity.cost(pose)[1])
        factor = 0.5 * level / max(float(np.linalg.norm(gradient)), 1e-4)

        def scaled(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            self.evaluations += 1
            cost, by_pose = similarity.cost(motion.pose(parameters))
            return factor * cost, factor * motion.pull(parameters, by_pose)

        return motion.pose(descend(scaled, np.zeros(motion.size), self.config.iterations, 0.2 * motion.radius))

    def _narrowed(self, poses: list[Pose], similarity: Similarity, count: int) -> list[Pose]:
        """The best distinct poses; unlikely rotations must be clearly better."""
        values = np.array([-similarity.cost(p)[0] - (similarity.metric == "nmi") for p in poses])
        radius = self.pair.sampled.content.radius
        scores = self._scores(np.stack(poses), values)
        return [poses[k] for k in distinct(np.stack(poses), scores, radius, 0.05 * radius, count)]

    @staticmethod
    def _scores(poses: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values of poses, less where the rotation is an unlikely one."""
        return np.where(near_headers(poses), values, values - FAR_MARGIN * np.abs(values))

    def _result(self, pose: Pose, first: Pose, finest: Similarity) -> LinearResult:
        return LinearResult(
            self.pair.to_map(pose), finest.value(pose), finest.value(first), self.starts, self.evaluations
        )
