"""A knee that needs nothing fetched."""

from __future__ import annotations

import pytest

from voxbench.geometry.shapes import ShapeModel
from voxbench.simulate.phantoms.knee_shapes import analytic_knee


@pytest.fixture(scope="session")
def model() -> ShapeModel:
    """The knee of formulas, coarse."""
    return analytic_knee(5.0)
