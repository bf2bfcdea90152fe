"""What was found along a spine but is not of it: far away from the rest, or a small piece below the lowest vertebra."""

from __future__ import annotations

import numpy as np

APART = 2.6
"""Neighbours further apart than this many usual distances are not of one spine: two in a row would have been missed."""
CRUMB = 0.07
"""Less than this share of the median size is a crumb (as among discs), which joins nothing across a gap."""
ENOUGH = 3
"""With fewer there is no usual distance."""


def belonging(heights: np.ndarray, sizes: np.ndarray, least_share: float) -> np.ndarray:
    """Which structures of a kind are of the spine.

    Crumbs go first, but at the top. Where neighbours stand too far apart, the part with the larger sum of sizes stays.
    Of that part the lowest go while they are small: it is there that pieces of the sacrum are found, and there that the
    numbers begin. A vertebra that the image's lower end cuts to less than the share goes too.

    Args:
        heights: Of n structures along the spine, upwards, mm.
        sizes: Their volumes.
        least_share: Smallest size of the lowest, of the median one; 0 keeps all.

    Returns:
        (n,), true where one stays.
    """
    keep = np.ones(len(heights), bool)
    if len(heights) < ENOUGH:
        return keep
    order = np.argsort(heights, kind="stable")
    keep[order[:-1]] = sizes[order[:-1]] >= CRUMB * np.median(sizes)
    order = order[keep[order]]
    if len(order) < ENOUGH:
        return keep
    gaps = np.diff(heights[order])
    run = np.concatenate([[0], np.cumsum(gaps > APART * np.median(gaps))])
    keep[order] = run == np.bincount(run, sizes[order]).argmax()
    enough = least_share * np.median(sizes[keep])
    for one in order[keep[order]]:
        if sizes[one] >= enough:
            break
        keep[one] = False
    return keep


def within(heights: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of some structures stand between others of a spine, or at most one usual distance outside of them.

    Args:
        heights: Of n structures, mm.
        others: Of those that belong; with fewer than `ENOUGH` nothing can be said.
    """
    if len(others) < ENOUGH:
        return np.ones(len(heights), bool)
    usual = float(np.median(np.diff(np.sort(others))))
    return (heights > others.min() - usual) & (heights < others.max() + usual)
