"""Toy cases: balls of some kinds in noise, 32 voxels cubed. Tests that need torch are left out without it."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from voxbench.tasks.segmentation import Plan, Sample

collect_ignore = [] if find_spec("torch") else ["test_predict.py", "test_learning.py", "test_rounds.py"]


def ball_case(seed, size=32, classes=2):
    """A bright ball (class 1) and, with three classes, a dark one (class 2)."""
    rng = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    labels = np.zeros((size,) * 3, np.uint8)
    image = rng.standard_normal(labels.shape).astype(np.float32) * 0.5
    for label in range(1, classes):
        centre, radius = rng.uniform(9, size - 9, 3), rng.uniform(5, 8)
        inside = ((at - centre) ** 2).sum(-1) <= radius**2
        labels[inside] = label
        image[inside] += 2 if label == 1 else -2
    return image, labels


@pytest.fixture
def samples():
    """Makes cases of some seeds."""

    def make(seeds, classes=2, **changes):
        made = []
        for seed in seeds:
            image, labels = ball_case(seed, classes=classes)
            made.append(Sample(**({"name": f"ball {seed}", "labels": labels, "image": image} | changes)))
        return tuple(made)

    return make


@pytest.fixture
def small_plan():
    """Makes a plan for them, with changes."""

    def make(**changes):
        values = {
            "spacing": (1.0, 1.0, 1.0),
            "patch": (16, 16, 16),
            "features": (6, 12),
            "kernels": ((3, 3, 3), (3, 3, 3)),
            "strides": ((1, 1, 1), (2, 2, 2)),
            "blocks": (1, 1),
            "batch": 2,
        }
        return Plan(**(values | changes))

    return make
