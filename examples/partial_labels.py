"""What "nobody said" does to a Dice: three nodes, one of them drawn, all of them found."""

import numpy as np

DRAWN, NOBODY_SAID = 1, 255
i, j = np.indices((60, 60))
nodes = [(i - a) ** 2 + (j - b) ** 2 <= 5**2 for a, b in ((15, 15), (40, 20), (30, 45))]
found = np.any(nodes, axis=0)

naive = nodes[0].astype(np.uint8)  # all else is background, say the labels
honest = np.full(found.shape, NOBODY_SAID, np.uint8)
honest[nodes[0]] = DRAWN
shell = ((i - 15) ** 2 + (j - 15) ** 2 <= 8**2) & ~nodes[0]
honest[shell] = 0  # readers draw whole nodes: what surrounds one is none


def dice(labels: np.ndarray) -> float:
    """Over the voxels of which something is known."""
    known = labels != NOBODY_SAID
    truth, given = labels[known] == DRAWN, found[known]
    return 2 * float((truth & given).sum()) / float(truth.sum() + given.sum())


print(f"Dice of a network that finds all three: {dice(naive):.2f} if the rest is background, {dice(honest):.2f} if not")
assert dice(naive) < 0.6 < dice(honest)
