"""Partial labels as readers leave them: a few index nodes drawn, the others not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxbench.errors import InputError

ONE_IN_FIVE = 0.2
"""Of LNQ 2023's training cases: about one node out of five is drawn."""
HASTE = 0.35
"""Standard deviation of the logarithm of size by which a reader's order differs from that of size."""


def index_nodes(
    sizes: Sequence[float], rng: np.random.Generator, share: float = ONE_IN_FIVE, haste: float = HASTE
) -> tuple[int, ...]:
    """Which nodes a reader of a trial would measure: the largest ones, more or less.

    Trials follow a few index lesions, chosen for their size and for being easy to measure. The order is by size times a
    random factor; how many of it are taken is ``share`` of all, rounded up or down at random so that the mean holds,
    but at least one.

    Args:
        sizes: Of the nodes (short axes, say), any unit; above 0.
        rng: Source of randomness.
        share: Of nodes that are drawn, 0 to 1.
        haste: 0 takes exactly the largest; large values take any.

    Returns:
        Indices into ``sizes``, ascending; none if there are no nodes.

    Raises:
        InputError: A size is not above 0, or the share not between 0 and 1.
    """
    values = np.asarray(sizes, np.float64)
    if values.size and not (values > 0).all():
        raise InputError(f"sizes of nodes must be above 0; the smallest is {values.min():g}")
    if not 0 <= share <= 1:
        raise InputError(f"the share of nodes that are drawn lies between 0 and 1; got {share:g}")
    noise, fraction = rng.standard_normal(values.size), rng.random()
    if not values.size:
        return ()
    count = min(values.size, max(1, int(np.floor(share * values.size + fraction))))
    order = np.argsort(-(np.log(values) + haste * noise), kind="stable")
    return tuple(sorted(int(place) for place in order[:count]))
