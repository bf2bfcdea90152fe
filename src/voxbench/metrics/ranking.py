"""Who is best: ranks of methods by one scheme or another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from voxbench.errors import InputError
from voxbench.metrics.scores import MethodScores

Scheme = Literal["casewise", "lnq2023", "mean-relative"]
"""How ranks come about.

- ``casewise``: methods are ranked in every case, ties sharing their average rank, NaN coming last; the ranks are
  averaged over the cases, then over the metrics ("rank, then aggregate").
- ``lnq2023``: the same with the best rank for ties, after NaN was replaced by the worst value of all methods and cases.
- ``mean-relative``: the means over the cases are ranked, ties sharing the best rank, a mean that is NaN coming last;
  the ranks are averaged over the metrics ("aggregate, then rank", as on grand-challenge.org; SPIDER says it does so).
"""
DECIMALS = 9
"""Mean ranks closer than this are one: what is left is the order of summation."""


@dataclass(frozen=True)
class Ranking:
    """Methods in their order.

    Attributes:
        scheme: How it came about.
        methods: Their names, as they were handed in.
        parts: Mean rank in every metric.
        scores: Mean of the parts; 1 is best in everything.
        ranks: Ranks of the scores; methods of one score share the best rank (1, 2, 2, 4).
    """

    scheme: Scheme
    methods: tuple[str, ...]
    parts: Float64[np.ndarray, "metrics methods"]
    scores: Float64[np.ndarray, " methods"]
    ranks: Int64[np.ndarray, " methods"]

    @property
    def order(self) -> tuple[str, ...]:
        """Names, the best first; those of one rank as they were handed in."""
        return tuple(self.methods[place] for place in np.argsort(self.ranks, kind="stable"))


def case_ranks(
    losses: Float64[np.ndarray, "methods cases"], ties: Literal["average", "best"] = "average"
) -> Float64[np.ndarray, "methods cases"]:
    """Ranks of the methods in every case, 1 for the smallest loss; NaN is worse than every number.

    Args:
        losses: Less is better.
        ties: What equal values get: the average of their ranks (1, 2.5, 2.5, 4) or the best (1, 2, 2, 4).
    """
    undefined = np.isnan(losses)
    ranks = np.empty_like(losses)
    for row, (own, lost) in enumerate(zip(losses, undefined, strict=True)):
        smaller = (losses < own) | (lost & ~undefined)
        equal = (losses == own) | (lost & undefined)
        shared = (equal.sum(0) - 1) / 2 if ties == "average" else 0.0
        ranks[row] = 1 + smaller.sum(0) + shared
    return ranks


def rank_methods(scores: Sequence[MethodScores], scheme: Scheme = "casewise") -> Ranking:
    """Rank methods over all metrics, each of the same weight.

    Args:
        scores: One table per metric; the same methods in all of them, the cases may differ.
        scheme: How.

    Raises:
        InputError: There is no table, or they are of different methods.
        NotFiniteError: ``lnq2023`` and a metric with nothing but NaN.
    """
    require_same_methods(scores)
    return ranking_of([prepared(table, scheme) for table in scores], scheme, scores[0].methods)


def prepared(scores: MethodScores, scheme: Scheme) -> Float64[np.ndarray, "methods cases"]:
    """What a scheme averages over the cases: ranks, or the losses themselves.

    Raises:
        NotFiniteError: ``lnq2023`` and nothing but NaN.
    """
    if scheme == "mean-relative":
        return scores.losses
    return case_ranks(scores.filled.losses, "best") if scheme == "lnq2023" else case_ranks(scores.losses)


def ranking_of(per_case: Sequence[np.ndarray], scheme: Scheme, methods: tuple[str, ...]) -> Ranking:
    """The ranking from what `prepared` gave for each metric, or from some of its columns."""
    with np.errstate(invalid="ignore"):  # infinities of both signs: NaN, which comes last
        parts = np.stack([values.mean(1) for values in per_case])
    if scheme == "mean-relative":
        parts = np.stack([_ranks(part) for part in parts]).astype(np.float64)
    means = parts.mean(0)
    return Ranking(scheme, methods, parts, means, _ranks(np.round(means, DECIMALS)))


def require_same_methods(scores: Sequence[MethodScores]) -> None:
    """Refuse tables that cannot be ranked together.

    Raises:
        InputError: There is none, or they are of different methods.
    """
    if not scores:
        raise InputError("nothing to rank: no metric")
    for table in scores[1:]:
        if table.methods != scores[0].methods:
            raise InputError(
                "metrics of different methods cannot be ranked together\n"
                f"  {scores[0].metric.name}  {', '.join(scores[0].methods)}\n"
                f"  {table.metric.name}  {', '.join(table.methods)}"
            )


def _ranks(losses: Float64[np.ndarray, " methods"]) -> Int64[np.ndarray, " methods"]:
    """1 + how many are better; NaN last."""
    return case_ranks(losses[:, None], "best")[:, 0].astype(np.int64)
