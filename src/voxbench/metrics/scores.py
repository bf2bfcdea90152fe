"""What is compared when methods are ranked: one quantity of several methods on the same cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from jaxtyping import Float64

from voxbench.errors import InputError, NotFiniteError

Better = Literal["higher", "lower"]
"""Which way a quantity improves."""


@dataclass(frozen=True)
class Metric:
    """A quantity that can be ranked.

    Attributes:
        name: As in scores.json, e.g. ``"assd"``.
        better: Which way it improves.
        unit: E.g. ``"mm"``; empty for a pure number.
    """

    name: str
    better: Better
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse a direction that does not exist."""
        if self.better not in get_args(Better):
            raise InputError(f"{self.name}: better is {self.better!r}; it is 'higher' or 'lower'")

    def __str__(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class MethodScores:
    """One quantity of several methods on the same cases.

    Attributes:
        metric: What it is.
        methods: Their names.
        cases: Their keys.
        values: Its values; NaN where it is undefined.
    """

    metric: Metric
    methods: tuple[str, ...]
    cases: tuple[str, ...]
    values: Float64[np.ndarray, "methods cases"]

    def __post_init__(self) -> None:
        """Refuse what cannot be ranked.

        Raises:
            InputError: The shape does not fit, a name stands twice, or there is nothing in it.
        """
        names = (("methods", self.methods), ("cases", self.cases))
        for (what, keys), n in zip(names, self.values.shape, strict=True):
            if len(keys) != n or not n:
                raise InputError(f"{self.metric.name}: {len(keys)} {what} are named, the values have {n}")
            if len(set(keys)) != n:
                twice = sorted({key for key in keys if keys.count(key) > 1})
                raise InputError(f"{self.metric.name}: {what} named twice: {', '.join(twice)}")

    @property
    def losses(self) -> Float64[np.ndarray, "methods cases"]:
        """The values turned so that less is better; NaN stays."""
        return self.values if self.metric.better == "lower" else -self.values

    @property
    def filled(self) -> MethodScores:
        """The same with NaN replaced by the worst value that any method has in any case.

        Raises:
            NotFiniteError: There is nothing but NaN.
        """
        undefined = np.isnan(self.values)
        if undefined.all():
            raise NotFiniteError(f"{self.metric.name}: undefined (NaN) for every method in every case; leave it out")
        worst = np.nanmax(self.losses) * (1 if self.metric.better == "lower" else -1)
        return MethodScores(self.metric, self.methods, self.cases, np.where(undefined, worst, self.values))


def better_of(word: object, where: str) -> Better:
    """A direction read from a file.

    Raises:
        InputError: It is neither ``"higher"`` nor ``"lower"``.
    """
    if word not in get_args(Better):
        raise InputError(f"{where}: better is {word!r}; it is 'higher' or 'lower'")
    return cast(Better, word)
