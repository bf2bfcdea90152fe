"""How much a ranking hangs on the choice of cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from voxbench.metrics.ranking import Ranking, Scheme, prepared, rank_methods, ranking_of
from voxbench.metrics.scores import MethodScores


@dataclass(frozen=True)
class RankStability:
    """Rankings of resampled cases.

    Attributes:
        ranking: The ranking of all cases.
        ranks: Ranks in each resampling.
        taus: Kendall's tau-b of each resampling's ranks to those of all cases; NaN where all methods share one rank.
    """

    ranking: Ranking
    ranks: Int64[np.ndarray, "resamples methods"]
    taus: Float64[np.ndarray, " resamples"]

    @property
    def shares(self) -> Float64[np.ndarray, "methods methods"]:
        """Share of the resamplings in which a method (row) has a rank (column, from 1); rows sum to 1."""
        places = np.arange(1, len(self.ranking.methods) + 1)
        return (self.ranks[:, :, None] == places).mean(0)

    @property
    def tau(self) -> float:
        """Mean of the taus that are defined; NaN if none is."""
        defined = self.taus[~np.isnan(self.taus)]
        return float(defined.mean()) if defined.size else float("nan")

    def intervals(self, level: float = 0.95) -> Int64[np.ndarray, "methods 2"]:
        """Lowest and highest rank once the tails are cut; ``level`` is what stays."""
        tails = (1 - level) / 2
        return np.quantile(self.ranks, (tails, 1 - tails), axis=0, method="inverted_cdf").T.astype(np.int64)


def rank_stability(
    scores: Sequence[MethodScores], rng: np.random.Generator, scheme: Scheme = "casewise", resamples: int = 1000
) -> RankStability:
    """Rank again and again with cases drawn with replacement.

    A case is drawn with all its metrics. Cases that have different metrics are drawn apart, as many of each kind as
    there are, so that no metric is ever without cases.

    Args:
        scores: One table per metric, of the same methods.
        rng: Where the draws come from.
        scheme: How methods are ranked.
        resamples: How many times.

    Raises:
        InputError: The tables cannot be ranked together.
        NotFiniteError: ``lnq2023`` and a metric with nothing but NaN.

    References:
        M. Wiesenfarth et al., Scientific Reports 11:2369, 2021, doi:10.1038/s41598-021-82017-6
    """
    whole = rank_methods(scores, scheme)
    per_case = [prepared(table, scheme) for table in scores]
    ranks = np.empty((resamples, len(whole.methods)), np.int64)
    for row, draws in zip(ranks, _draws(scores, rng, resamples), strict=True):
        drawn = [values[:, draw] for values, draw in zip(per_case, draws, strict=True)]
        row[:] = ranking_of(drawn, scheme, whole.methods).ranks
    return RankStability(whole, ranks, kendall_taus(ranks, whole.ranks))


def kendall_taus(
    ranks: Int64[np.ndarray, "resamples methods"], reference: Int64[np.ndarray, " methods"]
) -> Float64[np.ndarray, " resamples"]:
    """Kendall's tau-b of each row to a reference; NaN where either has only ties, or there is one method.

    References:
        M. G. Kendall, Biometrika 33:239-251, 1945, doi:10.1093/biomet/33.3.239
    """
    first, second = np.triu_indices(len(reference), 1)
    theirs = np.sign(reference[first] - reference[second])
    ours = np.sign(ranks[:, first] - ranks[:, second])
    untied = np.sqrt(np.abs(ours).sum(1) * float(np.abs(theirs).sum()))
    agreement = (ours @ theirs).astype(np.float64)
    return np.divide(agreement, untied, out=np.full(len(ranks), np.nan), where=untied > 0)


def _draws(scores: Sequence[MethodScores], rng: np.random.Generator, resamples: int) -> Iterator[list[np.ndarray]]:
    """For each resampling, the columns drawn of each table."""
    cases = list(dict.fromkeys(case for table in scores for case in table.cases))
    column = np.full((len(scores), len(cases)), -1)
    for row, table in zip(column, scores, strict=True):
        places = {case: place for place, case in enumerate(table.cases)}
        row[:] = [places.get(case, -1) for case in cases]
    kinds = np.unique(column >= 0, axis=1, return_inverse=True)[1].ravel()
    groups = [np.flatnonzero(kinds == kind) for kind in range(kinds.max() + 1)]
    for _ in range(resamples):
        drawn = np.concatenate([group[rng.integers(0, len(group), len(group))] for group in groups])
        yield [row[drawn][row[drawn] >= 0] for row in column]
