"""Free deformations: a Gaussian process whose covariance can be written down."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry.free_form import with_free_form
from voxbench.geometry.shapes import ShapeModel
from voxbench.simulate.phantoms.knee_shapes import analytic_knee

SCALES = ((0.7, 8.0), (0.85, 22.0))


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return analytic_knee(8.0)


def patella(model: ShapeModel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, normals, and derivatives of the free modes of the patella."""
    free = with_free_form(model, SCALES, count)
    part = model.ranges["patella"]
    first = len(model.modes) + list(model.bones).index("patella") * count
    fields = free.derivative[first : first + count, part]
    lengths = np.linalg.norm(fields, axis=2)
    most = np.argmax(lengths, axis=0)
    rows = np.arange(lengths.shape[1])
    return model.mean[part], fields[most, rows] / lengths[most, rows, None], fields


def test_the_models_own_modes_come_first_unchanged(model: ShapeModel) -> None:
    free = with_free_form(model, SCALES, 10)
    own = len(model.modes)
    np.testing.assert_array_equal(free.derivative[:own], model.derivative)
    assert len(free.modes) == own + 10 * len(model.bones)
    for number, bone in enumerate(model.bones):
        added = free.derivative[own + 10 * number : own + 10 * (number + 1)].copy()
        assert np.abs(added[:, model.ranges[bone]]).max() > 0.1
        added[:, model.ranges[bone]] = 0
        assert not added.any()


def test_all_modes_together_have_the_covariance_asked_for(model: ShapeModel) -> None:
    count = min(400, model.ranges["patella"].stop - model.ranges["patella"].start)
    places, normals, fields = patella(model, count)
    heights = np.einsum("knd,nd->kn", fields, normals)
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    asked = sum(a**2 * np.exp(-(apart**2) / (2 * length**2)) for a, length in SCALES) * (normals @ normals.T)
    np.testing.assert_allclose(heights.T @ heights, asked, atol=0.02)
    np.testing.assert_allclose(fields, heights[:, :, None] * normals, atol=1e-9)


def test_few_modes_have_most_of_the_variance_and_never_more(model: ShapeModel) -> None:
    whole = sum(a**2 for a, _ in SCALES)
    variance = (patella(model, 40)[2] ** 2).sum(axis=(0, 2))
    assert variance.max() <= whole * (1 + 1e-6)
    assert variance.mean() > 0.9 * whole


def test_what_is_far_from_the_joint_stays(model: ShapeModel) -> None:
    free = with_free_form(model, SCALES, 20, within_mm=60.0)
    moved = np.linalg.norm(free.derivative[len(model.modes) :], axis=2).max(axis=0)
    assert moved[np.abs(model.mean[:, 2]) > 160].max() < 1e-3
    assert moved[np.abs(model.mean[:, 2]) < 60].min() > 0.1


@pytest.mark.parametrize(("scales", "count"), [((), 5), (((0.0, 8.0),), 5), (((1.0, -8.0),), 5), (SCALES, 0)])
def test_senseless_scales_are_refused(model: ShapeModel, scales: tuple, count: int) -> None:
    with pytest.raises(InputError, match="positive amplitudes and lengths"):
        with_free_form(model, scales, count)
