"""Is one method better than another, or was it the choice of cases: paired tests, none of them approximate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from voxbench.errors import InputError, NotFiniteError
from voxbench.metrics.scores import MethodScores, Metric

Alternative = Literal["greater", "less", "two-sided"]
"""What is claimed of the differences: above zero, below zero, not about zero."""
Test = Literal["wilcoxon", "permutation"]

ZERO = 1e-12
MOST_PAIRS = 500
ENUMERATED = 16


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test.

    Attributes:
        statistic: Sum of the ranks of the positive differences.
        pairs: Differences that count.
        dropped: Differences of zero.
        p_value: Exact.
    """

    statistic: float
    pairs: int
    dropped: int
    p_value: float


@dataclass(frozen=True)
class PermutationTest:
    """The paired permutation test of the mean difference.

    Attributes:
        mean: Of the differences.
        p_value: Exact, or (b + 1) / (m + 1) where b of m random sign changes gave a mean as extreme.
        exact: Whether all sign changes were looked at.
        permutations: How many were.
    """

    mean: float
    p_value: float
    exact: bool
    permutations: int


@dataclass(frozen=True)
class PairwiseTests:
    """Every method against every other in one metric.

    Attributes:
        metric: Which.
        methods: Their names.
        test: Which test.
        p_values: One-sided, of the row's method being better than the column's; NaN on the diagonal.
        adjusted: The same after Holm's correction for all pairs in both directions.
    """

    metric: Metric
    methods: tuple[str, ...]
    test: Test
    p_values: Float64[np.ndarray, "methods methods"]
    adjusted: Float64[np.ndarray, "methods methods"]


def signed_rank(differences: Float64[np.ndarray, " n"], alternative: Alternative = "greater") -> SignedRank:
    """Wilcoxon's signed-rank test, exact with ties.

    Differences below 1e-12 are dropped; equal magnitudes share their average rank. The p-value is the share of all
    2^n signs that give a rank sum as extreme, counted by dynamic programming over the rank sums.

    Args:
        differences: Of the pairs.
        alternative: What is claimed of them.

    Raises:
        NotFiniteError: One of them is NaN.
        InputError: More than 500 of them are not zero.

    References:
        F. Wilcoxon, Biometrics Bulletin 1:80-83, 1945, doi:10.2307/3001968
    """
    if np.isnan(differences).any():
        raise NotFiniteError(f"{int(np.isnan(differences).sum())} of {differences.size} differences are NaN")
    kept = differences[np.abs(differences) >= ZERO]
    if kept.size > MOST_PAIRS:
        raise InputError(
            f"{kept.size} pairs are more than the exact signed-rank test is made for ({MOST_PAIRS})\n"
            "  take the permutation test"
        )
    doubled = _doubled_ranks(np.abs(kept))
    observed = int(doubled[kept > 0].sum())
    chances = _rank_sum_chances(doubled)
    above, below = float(chances[observed:].sum()), float(chances[: observed + 1].sum())
    return SignedRank(observed / 2, kept.size, differences.size - kept.size, _p_value(above, below, alternative))


def paired_permutation(
    differences: Float64[np.ndarray, " n"],
    rng: np.random.Generator,
    alternative: Alternative = "greater",
    permutations: int = 9999,
) -> PermutationTest:
    """Permutation test of the mean difference: under the null each sign is as likely as the other.

    Up to 16 pairs all signs are enumerated; beyond, signs are drawn.

    Args:
        differences: Of the pairs, one at least.
        rng: Where the signs come from; not used when they are enumerated.
        alternative: What is claimed of the differences.
        permutations: How many are drawn.

    Raises:
        NotFiniteError: One of them is NaN or infinite.

    References:
        B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9:39, 2010, doi:10.2202/1544-6115.1585
    """
    if not np.isfinite(differences).all():
        raise NotFiniteError("some differences are NaN or infinite; the signed-rank test takes infinite ones")
    exact = differences.size <= ENUMERATED
    sums = _all_sums(differences) if exact else _drawn_sums(differences, rng, permutations)
    observed = differences.sum()
    slack = ZERO * np.abs(differences).sum()  # equal sums may differ by the order of summation
    extra = 0 if exact else 1
    above, below = (
        (int(count) + extra) / (sums.size + extra)
        for count in ((sums >= observed - slack).sum(), (sums <= observed + slack).sum())
    )
    if alternative == "two-sided":
        p_value = (int((np.abs(sums) >= abs(observed) - slack).sum()) + extra) / (sums.size + extra)
    else:
        p_value = above if alternative == "greater" else below
    return PermutationTest(float(differences.mean()), p_value, exact, sums.size)


def holm(p_values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Adjusted p-values that hold the family-wise error.

    References:
        S. Holm, Scand. J. Statist. 6:65-70, 1979, https://www.jstor.org/stable/4615733
    """
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(p_values.size, 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def pairwise_tests(scores: MethodScores, test: Test = "wilcoxon", seed: int = 0) -> PairwiseTests:
    """Test every method against every other, NaN replaced by the worst value of all methods and cases.

    Args:
        scores: One metric.
        test: ``wilcoxon`` is `signed_rank`, ``permutation`` is `paired_permutation`.
        seed: Of the drawn permutations; every pair sees the same signs.

    Raises:
        NotFiniteError: There is nothing but NaN; infinite differences in the permutation test.
        InputError: Too many cases for the signed-rank test.
    """
    losses = scores.filled.losses
    n = len(scores.methods)
    p_values = np.full((n, n), np.nan)
    for row in range(n):
        for column in (place for place in range(n) if place != row):
            a, b = losses[row], losses[column]
            differences = np.subtract(b, a, out=np.zeros_like(a), where=a != b)  # equal infinities differ by nothing
            if test == "wilcoxon":
                p_values[row, column] = signed_rank(differences).p_value
            else:
                p_values[row, column] = paired_permutation(differences, np.random.default_rng(seed)).p_value
    others = ~np.eye(n, dtype=bool)
    adjusted = np.full((n, n), np.nan)
    adjusted[others] = holm(p_values[others])
    return PairwiseTests(scores.metric, scores.methods, test, p_values, adjusted)


def _doubled_ranks(magnitudes: np.ndarray) -> np.ndarray:
    """Twice the average ranks, which are whole numbers."""
    unique, inverse, counts = np.unique(magnitudes, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (2 * last - counts + 1)[inverse.ravel()] if unique.size else np.empty(0, np.int64)


def _rank_sum_chances(doubled: np.ndarray) -> np.ndarray:
    """Chance of every doubled sum of positive ranks when all signs are equally likely.

    A sum of non-negative terms, each halved without rounding: relative errors stay near n times 1e-16.
    """
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    for rank in np.sort(doubled):
        chances[rank:] = chances[rank:] + chances[:-rank]
        chances *= 0.5
    return chances


def _p_value(above: float, below: float, alternative: Alternative) -> float:
    """From the chances of as much or more, and of as little or less."""
    if alternative == "two-sided":
        return min(1.0, 2 * min(above, below))
    return min(1.0, above if alternative == "greater" else below)


def _all_sums(differences: np.ndarray) -> np.ndarray:
    """Sums under all signs."""
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate((sums + difference, sums - difference))
    return sums


def _drawn_sums(differences: np.ndarray, rng: np.random.Generator, permutations: int) -> np.ndarray:
    """Sums under random signs, a few hundred at a time."""
    sums = np.empty(permutations)
    for block in np.array_split(sums, -(-permutations // 512)):
        signs = 2.0 * rng.integers(0, 2, (block.size, differences.size)) - 1
        block[:] = signs @ differences
    return sums
