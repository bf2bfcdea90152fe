"""Regularised least squares over one box of the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from voxbench import _core
from voxbench.tasks.superresolution.observation import LocalObservation

AIR_HU = -1024.0
"""Less than air there is nothing."""


@dataclass(frozen=True)
class Prior:
    """Edge-preserving prior: sum over voxels of (sqrt(|gradient|^2 + knee^2) - knee) / scale.

    Attributes:
        scale: HU per voxel: larger trusts the prior less.
        knee: HU per voxel below which the penalty is quadratic and edges are not preserved.
    """

    scale: float
    knee: float

    def value(self, volume: np.ndarray) -> float:
        """The penalty."""
        return _core.edge_penalty(volume, self.knee, self.scale, None)

    def curvature(self, volume: np.ndarray) -> np.ndarray:
        """Weight per voxel of the quadratic that touches the penalty from above at this volume."""
        out = np.empty_like(volume)
        _core.edge_penalty(volume, self.knee, self.scale, out)
        return out


@dataclass(frozen=True, eq=False)
class Step:
    """State after one step.

    Attributes:
        objective: Half the weighted squared residual plus the penalty.
        residual: Root of the mean squared residual over the noise, all samples together; 1 is what noise explains.
    """

    objective: float
    residual: float


@dataclass(frozen=True, eq=False)
class Problem:
    """Half the sum of w (A x - y)^2 over all observations, plus the prior, with x >= floor.

    Attributes:
        observations: Samples in the box.
        prior: Penalty.
        shape: Of the box.
        floor: Least HU, per voxel or of one element.
    """

    observations: tuple[LocalObservation, ...]
    prior: Prior
    shape: tuple[int, int, int]
    floor: np.ndarray = field(default_factory=lambda: np.full((1, 1, 1), AIR_HU, np.float32))

    def start(self) -> np.ndarray:
        """Back-projection of the samples over that of ones: a smooth mean of what was seen."""
        total, cover = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        for seen in self.observations:
            weight = np.broadcast_to(seen.weight, seen.values.shape)
            seen.operator.adjoint(weight * (seen.values - np.float32(AIR_HU)), total)
            seen.operator.adjoint(np.ascontiguousarray(weight), cover)
        least = 1e-3 * max(float(cover.max()), 1e-30)
        return np.maximum(np.maximum(total / np.maximum(cover, least), 0) + np.float32(AIR_HU), self.floor)

    def residuals(self, volume: np.ndarray) -> list[np.ndarray]:
        """A x - y of every observation."""
        return [seen.operator.forward(volume) - seen.values for seen in self.observations]

    def step(self, volume: np.ndarray, residuals: Sequence[np.ndarray], noise: Sequence[float]) -> Step:
        """Objective and residual at a volume."""
        misfit, share, count = 0.0, 0.0, 0
        for seen, residual, sigma in zip(self.observations, residuals, noise, strict=True):
            square = residual.astype(np.float64) ** 2
            misfit += float(np.sum(seen.weight * square))
            used = np.broadcast_to(seen.weight > 0, square.shape)
            share += float(np.sum(square[used])) / sigma**2
            count += int(used.sum())
        return Step(misfit / 2 + self.prior.value(volume), float(np.sqrt(share / max(1, count))))

    def gradient(self, volume: np.ndarray, residuals: Sequence[np.ndarray], curvature: np.ndarray) -> np.ndarray:
        """Of the objective (the quadratic above the prior has the prior's own gradient where it touches)."""
        out = prior_normal(volume, curvature)
        for seen, residual in zip(self.observations, residuals, strict=True):
            seen.operator.adjoint(seen.weight * residual, out)
        return out

    def normal(self, volume: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """A' W A x + D' C D x."""
        out = prior_normal(volume, curvature)
        for seen in self.observations:
            seen.add_normal(volume, out)
        return out


def prior_normal(volume: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """D' C D x with forward differences D and a weight C per voxel."""
    out = np.empty_like(volume)
    _core.edge_normal(volume, curvature, out)
    return out


def conjugate_gradients(problem: Problem, right: np.ndarray, curvature: np.ndarray, count: int) -> np.ndarray:
    """Some steps towards H d = right, H = A' W A + D' C D, from 0; where ``right`` is 0 now, d stays 0."""
    held = (right == 0).view(np.uint8)
    found, left = np.zeros_like(right), right.copy()
    along, square = left.copy(), _core.inner_product(left, left)
    for _ in range(count):
        if square <= 0:
            break
        mapped = problem.normal(along, curvature)
        bend = _core.inner_product(along, mapped)
        if bend <= 0:
            break
        before = square
        square = _core.conjugate_step(before / bend, along, mapped, held, found, left)
        along *= np.float32(square / before)
        along += left
    return found


def descend(
    problem: Problem, volume: np.ndarray, noise: Sequence[float], inner: int
) -> tuple[np.ndarray, list[np.ndarray], Step]:
    """One step that never raises the objective.

    The prior is replaced by the quadratic above it that touches it here; conjugate gradients go towards the minimum of
    the whole among the voxels that the gradient does not hold at the floor; the result is cut off at the floor, and the
    step halved until the objective does not rise.

    References:
        P. Charbonnier et al., IEEE Trans. Image Process. 6:298-311, 1997, doi:10.1109/83.551699 (half-quadratic)
        D. P. Bertsekas, SIAM J. Control Optim. 20:221-246, 1982, doi:10.1137/0320018 (projected Newton steps)
    """
    residuals = problem.residuals(volume)
    here = problem.step(volume, residuals, noise)
    curvature = problem.prior.curvature(volume)
    right = -problem.gradient(volume, residuals, curvature)
    right[(volume <= problem.floor) & (right < 0)] = 0
    direction = conjugate_gradients(problem, right, curvature, inner)
    for _ in range(12):
        ahead = np.maximum(volume + direction, problem.floor)
        residuals = problem.residuals(ahead)
        there = problem.step(ahead, residuals, noise)
        if there.objective <= here.objective:
            return ahead, residuals, there
        direction *= np.float32(0.5)
    return volume, problem.residuals(volume), here
