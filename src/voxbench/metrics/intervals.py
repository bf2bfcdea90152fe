"""How well a mean over cases is known: bootstrap confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from voxbench.errors import EmptyShapeError, NotFiniteError

IntervalMethod = Literal["bca", "percentile"]


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean.

    Attributes:
        low: Lower end; NaN where it cannot be known (one case).
        high: Upper end.
        level: Confidence, e.g. 0.95.
        method: How it was found; ``percentile`` in place of ``bca`` where all resampled means lie on one side.
    """

    low: float
    high: float
    level: float
    method: IntervalMethod


def bootstrap_interval(
    values: Float64[np.ndarray, " cases"],
    rng: np.random.Generator,
    method: IntervalMethod = "bca",
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval:
    """Confidence interval of the mean, cases drawn with replacement.

    Args:
        values: Of the cases.
        rng: Where the draws come from.
        method: ``percentile`` takes the quantiles of the resampled means; ``bca`` corrects them for bias and skewness.
        level: Confidence.
        resamples: How many times.

    Raises:
        EmptyShapeError: There are no values.
        NotFiniteError: One of them is NaN or infinite.

    References:
        B. Efron, J. Am. Stat. Assoc. 82:171-185, 1987, doi:10.1080/01621459.1987.10478410
    """
    if not values.size:
        raise EmptyShapeError("a mean of no cases has no interval")
    if not np.isfinite(values).all():
        raise NotFiniteError(f"{int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite")
    if values.size == 1:
        return Interval(float("nan"), float("nan"), level, method)
    if values.min() == values.max():
        return Interval(float(values[0]), float(values[0]), level, method)
    means = values[rng.integers(0, values.size, (resamples, values.size))].mean(1)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    below = ((means < values.mean()).sum() + (means <= values.mean()).sum()) / (2 * means.size)
    if method == "bca" and 0 < below < 1:
        tails = _corrected(tails, values, below)
    elif method == "bca":
        method = "percentile"
    low, high = np.quantile(means, tails)
    return Interval(float(low), float(high), level, method)


def interval_of_defined(
    values: Float64[np.ndarray, " cases"], seed: int | tuple[int, ...], level: float = 0.95, resamples: int = 1000
) -> Interval:
    """BCa interval of the mean of the values that are defined; NaN where there are none, or infinite ones.

    Args:
        values: Of the cases; NaN where undefined.
        seed: Of the draws: as many cases see the same draws, whatever is measured.
        level: Confidence.
        resamples: How many times.
    """
    known = values[~np.isnan(values)]
    if not known.size or not np.isfinite(known).all():
        return Interval(float("nan"), float("nan"), level, "bca")
    return bootstrap_interval(known, np.random.default_rng(seed), level=level, resamples=resamples)


def _corrected(tails: np.ndarray, values: np.ndarray, below: float) -> np.ndarray:
    """Efron's BCa quantiles; the acceleration comes from leaving out one case at a time."""
    from scipy.special import ndtr, ndtri

    bias = ndtri(below)
    pull = values - values.mean()  # the jackknife's deviations, up to a factor that cancels
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    shifted = bias + ndtri(tails)
    return ndtr(bias + shifted / (1 - acceleration * shifted))
