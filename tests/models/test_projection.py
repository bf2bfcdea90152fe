"""The projector under torch: values of the core, gradients checked against small steps."""

import numpy as np
import pytest
import torch

from voxbench.errors import DimensionError
from voxbench.geometry import Device, Grid, Volume, gantry, line_integrals
from voxbench.models.projection import posed, project

DEVICE = Device(source_to_detector_mm=200, source_to_isocentre_mm=150, rows=14, cols=15, pixel_mm=(2.1, 2.0))
GRID = Grid.from_parts((22, 23, 21), (1.5, 1.4, 1.6), (-15.7, -15.4, -16.1))


def smooth():
    """An object that is 0 at the faces of its grid."""
    x, y, z = np.moveaxis(GRID.world_from_voxel(np.stack(np.indices(GRID.shape), -1).astype(float)), -1, 0)
    return (np.exp(-(x**2 + 2 * y**2 + z**2) / 24) + 0.5 * np.exp(-((x - 3) ** 2 + y**2 + z**2) / 12)).astype(
        np.float32
    )


def test_values_are_those_of_the_core():
    view, array = gantry(30, DEVICE), smooth()
    image = project(torch.from_numpy(array), torch.from_numpy(view.beam), GRID, view.shape)
    np.testing.assert_array_equal(image.numpy(), line_integrals(Volume(array, GRID), [view])[0])


@pytest.mark.parametrize("degrees", [0, 30])
def test_the_gradient_of_the_volume_is_the_adjoint(degrees):
    view = gantry(degrees, DEVICE)
    volume = torch.rand(GRID.shape, requires_grad=True)
    weights = torch.rand(view.shape)
    image = project(volume, torch.from_numpy(view.beam), GRID, view.shape)
    (image * weights).sum().backward()
    assert volume.grad is not None
    # The projection is linear: <grad, x> is the value itself.
    value = float((image.detach().double() * weights).sum())
    assert float((volume.grad.double() * volume.detach().double()).sum()) == pytest.approx(value, rel=1e-5)


def test_the_gradient_of_a_pose_is_that_of_small_steps():
    array, view = torch.from_numpy(smooth()), gantry(30, DEVICE)
    beam, about = torch.from_numpy(view.beam), torch.zeros(3, dtype=torch.float64)
    target = project(array, beam, GRID, view.shape)

    def loss(pose):
        image = project(array, posed(beam, pose[:3], pose[3:], about), GRID, view.shape)
        return ((image - target).double() ** 2).sum()

    pose = torch.tensor([0.05, -0.03, 0.04, 0.8, -0.6, 0.7], dtype=torch.float64, requires_grad=True)
    loss(pose).backward()
    assert pose.grad is not None
    numeric = []
    for n in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[n] = 1e-3
        numeric.append(float(loss(pose.detach() + step) - loss(pose.detach() - step)) / 2e-3)
    np.testing.assert_allclose(pose.grad.numpy(), numeric, rtol=0.02, atol=0.01 * np.abs(numeric).max())


def test_descent_on_the_pose_finds_it_again():
    array, view = torch.from_numpy(smooth()), gantry(30, DEVICE)
    beam, about = torch.from_numpy(view.beam), torch.zeros(3, dtype=torch.float64)
    target = project(array, beam, GRID, view.shape)
    shift = torch.tensor([1.0, -1.5, 1.2], dtype=torch.float64, requires_grad=True)
    still = torch.zeros(3, dtype=torch.float64)
    optimiser = torch.optim.Adam([shift], lr=0.1)
    for _ in range(120):
        optimiser.zero_grad()
        image = project(array, posed(beam, still, shift, about), GRID, view.shape)
        ((image - target) ** 2).mean().backward()
        optimiser.step()
    # Along the central ray a shift hardly shows (magnification 1.33): the components across it come back.
    across = torch.from_numpy(np.stack([view.right, view.down]))
    assert float((across @ shift.detach()).norm()) < 0.02


def test_a_volume_of_another_shape_is_refused():
    view = gantry(0, DEVICE)
    with pytest.raises(DimensionError, match="beam of"):
        project(torch.zeros(3, 4, 5), torch.from_numpy(view.beam), GRID, view.shape)
