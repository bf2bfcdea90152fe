"""How much the data fix a voxel."""

from __future__ import annotations

import numpy as np

from voxbench.tasks.superresolution.solver import Problem, conjugate_gradients

WINDOW = 2.0
"""Voxels: standard deviation of the window over which probes are averaged."""


def probe(shape: tuple[int, int, int], start: tuple[int, int, int], seed: int) -> np.ndarray:
    """Signs +1 and -1, the same for a voxel whichever box it is asked for in."""
    axes = [np.arange(n, dtype=np.uint64) + np.uint64(s) for n, s in zip(shape, start, strict=True)]
    code = (
        (axes[0][:, None, None] << np.uint64(42)) ^ (axes[1][None, :, None] << np.uint64(21)) ^ axes[2][None, None, :]
    )
    code = code + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        code = (code ^ (code >> np.uint64(shift))) * np.uint64(factor)
    return np.where((code >> np.uint64(63)).astype(bool), np.float32(1), np.float32(-1))


def leverage(problem: Problem, volume: np.ndarray, start: tuple[int, int, int], probes: int, steps: int) -> np.ndarray:
    """Share of a voxel's value that is fixed by the data, 0 (the prior alone) to 1 (the data alone).

    At the solution the estimate answers to a small change of the true volume by R = H^-1 A' W A, H = A' W A + D' C D
    (C: curvature of the prior there). Its diagonal is the local leverage; its sum the effective number of parameters
    the data determine. It is estimated by random signs z, E[z * (R z)] = diag R, averaged over a Gaussian window of 2
    voxels, the equations solved by a few steps of conjugate gradients. Observations four voxels apart along each axis
    without noise cannot give more than 1/64 on average: read it relative to its largest value.

    References:
        C. Bekas, E. Kokiopoulou, Y. Saad, Appl. Numer. Math. 57:1214-1229, 2007, doi:10.1016/j.apnum.2007.01.003
        A. Tarantola, Inverse Problem Theory, SIAM 2005, doi:10.1137/1.9780898717921 (resolution operator)
    """
    from scipy.ndimage import gaussian_filter

    curvature = problem.prior.curvature(volume)
    total = np.zeros_like(volume)
    for index in range(probes):
        signs = probe(problem.shape, start, index)
        seen = np.zeros_like(volume)
        for observation in problem.observations:
            observation.add_normal(signs, seen)
        total += signs * conjugate_gradients(problem, seen, curvature, steps)
    smooth = gaussian_filter(total / np.float32(probes), WINDOW, mode="nearest")
    return np.clip(smooth, 0, 1)
