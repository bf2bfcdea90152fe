"""A chest of boxes: lungs of air in a body, fat between them, a vertebra behind, a node or two in the fat."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume

GRID = Grid.from_parts((40, 28, 24), (8.0, 8.0, 10.0), direction=np.diag([-1.0, -1.0, 1.0]))


def boxes(seed=0, nodes=((20, 14, 12),), unknown=((18, 11, 8),)):
    """The CT and the labels of its first nodes."""
    hu = np.full(GRID.shape, -1000.0, np.float32)
    hu[3:37, 3:25] = 50  # the body
    hu[6:17, 6:22, 4:20] = hu[23:34, 6:22, 4:20] = -850
    hu[17:23, 6:18, 4:20] = -100
    hu[18:22, 18:22, :] = 500
    labels = np.zeros(GRID.shape, np.uint8)
    for x, y, z in (*nodes, *unknown):
        hu[x - 1 : x + 1, y - 1 : y + 1, z - 1 : z + 1] = 60
    for x, y, z in nodes:
        labels[x - 1 : x + 1, y - 1 : y + 1, z - 1 : z + 1] = 1
    noise = np.random.default_rng(seed).normal(0, 5, GRID.shape)
    return Volume((hu + noise).astype(np.float32), GRID), LabelMap(labels, GRID)


@pytest.fixture
def chest():
    """Makes chests."""
    return boxes
