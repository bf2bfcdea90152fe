"""Methods side by side: ranks, means with intervals, significance, and how well the order holds."""

from __future__ import annotations

import io as streams
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.metrics.intervals import Interval, interval_of_defined
from voxbench.metrics.ranking import Scheme
from voxbench.metrics.scores import MethodScores
from voxbench.metrics.significance import PairwiseTests, Test, pairwise_tests
from voxbench.metrics.stability import RankStability, rank_stability

MARKS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


class RankSettings(Config):
    """How methods are ranked and compared."""

    scheme: Scheme = Field(default="casewise", description="How ranks come about.")
    test: Test = Field(default="wilcoxon", description="Paired test of every two methods.")
    bootstrap: int = Field(default=1000, ge=1, le=100_000, description="Resamplings of the cases.")
    seed: int = Field(default=0, ge=0, description="Of all draws.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Of the intervals.")


@dataclass(frozen=True)
class Leaderboard:
    """All there is to say of some methods.

    Attributes:
        settings: How they were compared.
        scores: One table per metric.
        stability: The ranking, and those of resampled cases.
        tests: Of each metric.
        intervals: By metric and method, of the mean of the values that are defined.
    """

    settings: RankSettings
    scores: tuple[MethodScores, ...]
    stability: RankStability
    tests: tuple[PairwiseTests, ...]
    intervals: tuple[tuple[Interval, ...], ...]

    def rows(self) -> list[dict[str, Any]]:
        """A row per method, the best first; the p-value is that of the first method being better."""
        ranking = self.stability.ranking
        bounds = self.stability.intervals(self.settings.level)
        places = [ranking.methods.index(name) for name in ranking.order]
        return [
            {
                "rank": int(ranking.ranks[place]),
                "method": ranking.methods[place],
                "rank_low": int(bounds[place, 0]),
                "rank_high": int(bounds[place, 1]),
                "mean_rank": float(ranking.scores[place]),
                "share_first": float(self.stability.shares[place, 0]),
            }
            | {
                f"{table.metric.name}_{key}": value
                for k, table in enumerate(self.scores)
                for key, value in self._numbers(k, place, places[0]).items()
            }
            for place in places
        ]

    def content(self) -> dict[str, Any]:
        """Content of leaderboard.json."""
        methods = self.stability.ranking.methods
        return {
            "settings": self.settings,
            "leaderboard": self.rows(),
            "rank_shares": dict(zip(methods, self.stability.shares.tolist(), strict=True)),
            "kendall_tau_mean": self.stability.tau,
            "row_better_than_column": {
                test.metric.name: {
                    "methods": list(methods),
                    "unit": test.metric.unit,
                    "better": test.metric.better,
                    "cases": len(table.cases),
                    "p": test.p_values.tolist(),
                    "p_holm": test.adjusted.tolist(),
                }
                for test, table in zip(self.tests, self.scores, strict=True)
            },
        }

    def _numbers(self, metric: int, method: int, first: int) -> dict[str, float | int]:
        """One metric of one method."""
        values = self.scores[metric].values[method]
        known = values[~np.isnan(values)]
        interval = self.intervals[metric][method]
        return {
            "mean": float(known.mean()) if known.size else float("nan"),
            "low": interval.low,
            "high": interval.high,
            "median": float(np.median(known)) if known.size else float("nan"),
            "undefined": values.size - known.size,
            "p_holm": float(self.tests[metric].adjusted[first, method]),
        }


def leaderboard(scores: Sequence[MethodScores], settings: RankSettings) -> Leaderboard:
    """Rank and compare methods.

    Ranks follow the scheme; means and their intervals are of the values that are defined; the tests take NaN as the
    worst value of all methods and cases.

    Raises:
        InputError: The tables cannot be ranked together, or the test cannot take them.
    """
    return Leaderboard(
        settings,
        tuple(scores),
        rank_stability(scores, np.random.default_rng((settings.seed, 0)), settings.scheme, settings.bootstrap),
        tuple(pairwise_tests(table, settings.test, settings.seed) for table in scores),
        tuple(tuple(_interval(values, settings) for values in table.values) for table in scores),
    )


def mark(p_value: float) -> str:
    """Stars: below 0.001, 0.01, 0.05."""
    return next((stars for bound, stars in MARKS if p_value < bound), "")


def stability_png(board: Leaderboard) -> bytes:
    """How often each method has each rank when cases are drawn again; the area of a disc is its share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ranking, shares = board.stability.ranking, board.stability.shares
    places = [ranking.methods.index(name) for name in ranking.order]
    n = len(places)
    figure = Figure(figsize=(1.6 + 0.9 * n, 1.6 + 0.6 * n), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for x, place in enumerate(places):
        low, high = board.stability.intervals(board.settings.level)[place]
        axes.plot([x, x], [low, high], color="0.6", linewidth=1.5, zorder=1)
        axes.scatter([x] * n, range(1, n + 1), s=500 * shares[place], color="#3b6ea5", zorder=2)
        axes.plot(x, ranking.ranks[place], marker="x", color="black", zorder=3)
    axes.set_xticks(range(n), ranking.order, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(range(1, n + 1))
    axes.set_xlim(-0.6, n - 0.4)
    axes.set_ylim(n + 0.6, 0.4)
    axes.set_ylabel("rank")
    axes.set_title(f"{board.settings.bootstrap} resamplings, Kendall tau {board.stability.tau:.2f}", fontsize=9)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench"})
    return picture.getvalue()


def _interval(values: np.ndarray, settings: RankSettings) -> Interval:
    """Of the defined values. All methods see the same draws."""
    return interval_of_defined(values, (settings.seed, 1), settings.level, settings.bootstrap)
