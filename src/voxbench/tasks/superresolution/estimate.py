"""Blur widths of sequences from the sequences themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxbench.geometry import Grid, Volume
from voxbench.tasks.superresolution.observation import LocalObservation, Observation, SequenceBlur, observe
from voxbench.tasks.superresolution.solver import Prior, Problem, descend

IN_PLANE_MM = (0.35, 0.5, 0.7, 0.95, 1.25)
"""Point spreads tried, FWHM: from sharp bone to soft kernels."""
SLICE_MM = (0.5, 1.0)
"""Slice thicknesses tried where the grid does not tell."""
SIDE = 56
"""Voxels of the box in the middle of the volume on which widths are compared."""
HELD_OUT = 0.2
"""Share of the samples that judge, not fit."""


def estimated_blurs(
    observations: Sequence[Volume], onto: Grid, noise: Sequence[float], prior: Prior
) -> tuple[SequenceBlur, ...]:
    """Widths that predict best the samples left out.

    One sequence after another, twice: for every width of a grid the volume is found in a box in its middle from 80 % of
    the samples of all sequences, and the width taken with the least squared residual, over the noise, at the rest.
    Slice thickness is the slice spacing where a sequence lies on its own grid (a thicker slice must be given), else
    chosen likewise. Widths are those of a Gaussian in plane and a box across; a kernel that sharpens has none.
    """
    from itertools import product

    shape = np.minimum(onto.shape, SIDE)
    start = (np.asarray(onto.shape) - shape) // 2
    first = tuple(int(s) for s in start)
    box = (int(shape[0]), int(shape[1]), int(shape[2]))
    options = [_options(v, onto) for v in observations]
    chosen = [o[len(o) // 2] for o in options]
    for _, index in product(range(2), range(len(observations))):
        if len(options[index]) == 1:
            continue
        costs = []
        for option in options[index]:
            tried = [*chosen[:index], option, *chosen[index + 1 :]]
            seen = [observe(v, onto, b, n) for v, b, n in zip(observations, tried, noise, strict=True)]
            costs.append(held_out_cost(seen, (first[0], first[1], first[2]), box, prior))
        chosen[index] = options[index][int(np.argmin(costs))]
    return tuple(chosen)


def _options(volume: Volume, onto: Grid) -> list[SequenceBlur]:
    """Blurs to be tried for a sequence."""
    if volume.grid.same_as(onto, tolerance_mm=0.1 * float(onto.spacing.min())):
        return [SequenceBlur(in_plane=w, slice_thickness=t) for t in SLICE_MM for w in IN_PLANE_MM]
    axis = odd_axis(volume.grid.spacing)
    thickness = float(volume.grid.spacing[axis])
    return [SequenceBlur(in_plane=w, slice_thickness=thickness, slice_axis=axis) for w in IN_PLANE_MM]


def odd_axis(spacing: np.ndarray) -> int:
    """The axis across the slices: the one whose spacing differs from the two equal others, else the last."""
    odd = [a for a in range(3) if np.ptp(np.delete(spacing, a)) < 0.01 * spacing[a]]
    odd = [a for a in odd if abs(spacing[a] - np.delete(spacing, a).mean()) > 0.01 * spacing[a]]
    return odd[0] if len(odd) == 1 else 2


def held_out_cost(
    observations: Sequence[Observation], start: tuple[int, int, int], shape: tuple[int, int, int], prior: Prior
) -> float:
    """Weighted squared residual at samples that took no part in the fit."""
    fit, judge, noise = [], [], []
    for index, observation in enumerate(observations):
        local = observation.within(start, shape)
        if local is None:
            continue
        held = np.random.default_rng(index).random(local.values.shape) < HELD_OUT
        weight = np.broadcast_to(local.weight, held.shape)
        fit.append(LocalObservation(local.operator, local.values, weight * ~held))
        judge.append(weight * held)
        noise.append(observation.noise)
    problem = Problem(tuple(fit), prior, shape)
    volume = problem.start()
    residuals: list[np.ndarray] = []
    for _ in range(3):
        volume, residuals, _ = descend(problem, volume, noise, 4)
    return float(sum(np.sum(j * r.astype(np.float64) ** 2) for j, r in zip(judge, residuals, strict=True)))
