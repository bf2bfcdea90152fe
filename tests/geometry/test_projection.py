"""Views: what falls on which pixel, and the way back; presets; line integrals in any orientation of the voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from voxbench.errors import InputError
from voxbench.geometry import (
    Affine,
    Device,
    Grid,
    Mesh,
    View,
    Volume,
    back_project,
    c_arm,
    gantry,
    line_integrals,
    silhouette,
    voxelise,
)
from voxbench.geometry.line_integrals import plan
from voxbench.geometry.projection import anatomical_frame, voxel_frame

DEVICE = Device(
    source_to_detector_mm=1000, source_to_isocentre_mm=800, rows=61, cols=80, pixel_mm=(2.0, 2.5), offset_mm=(3, -4)
)
PLAIN = DEVICE.model_copy(update={"offset_mm": (0.0, 0.0)})


def any_view(seed: int) -> View:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    source = rng.normal(size=3) * 100
    centre = source + axes[2] * rng.uniform(300, 1500) + axes[:2].T @ rng.normal(size=2) * 50
    return View(
        source, centre, axes[0], axes[1], (rng.uniform(0.1, 3), rng.uniform(0.1, 3)), (int(rng.integers(1, 900)), 512)
    )


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_points_project_to_the_pixel_whose_ray_holds_them(seed):
    view, rng = any_view(seed), np.random.default_rng(seed)
    pixels = rng.uniform(-100, 700, (20, 2))
    points = view.source + rng.uniform(50, 3000, (20, 1)) * view.rays(pixels)
    np.testing.assert_allclose(view.project(points), pixels, rtol=0, atol=1e-9)
    np.testing.assert_allclose(view.project(view.pixel_points(pixels)), pixels, rtol=0, atol=1e-9)
    lines = np.concatenate([points, np.ones((20, 1))], axis=1) @ view.pixels_from_world.T
    np.testing.assert_allclose(lines[:, :2] / lines[:, 2:], pixels, rtol=0, atol=1e-8)
    np.testing.assert_allclose(lines[:, 2], (points - view.source) @ view.normal, rtol=1e-9)


def test_whole_numbers_are_pixel_centres_and_the_middle_lies_between_pixels_of_an_even_number():
    view = gantry(0, PLAIN)
    np.testing.assert_allclose(view.project(np.zeros(3)), (30, 39.5), rtol=0, atol=1e-9)
    np.testing.assert_allclose(view.pixel_points(np.array([0.0, 0.0])), view.first_pixel, rtol=0, atol=1e-9)
    beside = view.first_pixel + 2.0 * view.down + 2.5 * view.right
    np.testing.assert_allclose(view.project(beside), (1, 1), rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        view.beam[1] + 7 * view.beam[2] + 5 * view.beam[3], view.pixel_points(np.array([5.0, 7.0]))
    )
    edge = view.pixel_points(np.array([[-0.5, 3], [-0.51, 3], [60.49, 3], [60.51, 3], [9, 79.49], [9, 79.51]]))
    assert view.sees(edge).tolist() == [True, False, True, False, True, False]


def test_a_frontal_view_hangs_as_radiologists_have_it_and_90_degrees_is_lateral():
    frontal, lateral = gantry(0, PLAIN), gantry(90, PLAIN)
    np.testing.assert_allclose(frontal.source, (0, 800, 0), atol=1e-12)  # in front of the patient
    np.testing.assert_allclose(lateral.source, (-800, 0, 0), atol=1e-12)  # at the patient's left
    head, left, back = (frontal.project(np.array(p)) - (30, 39.5) for p in ([0.0, 0, 8], [-8.0, 0, 0], [0.0, -8, 0]))
    np.testing.assert_allclose(head, (-5, 0), atol=1e-12)  # 8 mm, magnified by 1.25, pixels of 2 mm
    np.testing.assert_allclose(left, (0, 4), atol=1e-12)
    np.testing.assert_allclose(back, (0, 0), atol=1e-12)
    assert (lateral.project(np.array([0.0, -8, 0])) - (30, 39.5))[1] == pytest.approx(4)
    assert frontal.magnification((0, 0, 0)) == pytest.approx(1.25) == PLAIN.magnification


def test_the_seed_s_formula_for_points_gives_the_same_pixels():
    # Rotate by minus the angle about z, magnify by DSD / (DSO - x), rows against z.
    for degrees in (0, 30, 90, 270, 201.5):
        rng, turn = np.random.default_rng(0), np.radians(degrees)
        points = rng.uniform(-60, 60, (50, 3))
        x = points[:, 0] * np.cos(turn) + points[:, 1] * np.sin(turn)
        y = -points[:, 0] * np.sin(turn) + points[:, 1] * np.cos(turn)
        scale = 1000 / (800 - x)
        expected = np.stack([30 - points[:, 2] * scale / 2.0, 39.5 + y * scale / 2.5], axis=1)
        found = gantry(degrees, PLAIN, Affine.identity("world", "gantry")).project(points)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_a_shifted_detector_moves_the_principal_point_against_the_shift():
    np.testing.assert_allclose(gantry(50, DEVICE).principal_point, (30 - 3 / 2.0, 39.5 + 4 / 2.5), rtol=0, atol=1e-9)
    np.testing.assert_allclose(gantry(50, DEVICE).project(np.zeros(3)), (28.5, 41.1), rtol=0, atol=1e-9)


def test_a_c_arm_s_angles_turn_the_detector_to_the_left_and_to_the_head():
    view = c_arm(0)
    assert view.centre[1] > 0 > view.source[1]
    assert c_arm(90).centre[0] < -100  # the patient's left
    assert c_arm(0, 90).centre[2] > 100  # the head
    for primary, secondary in ((0, 0), (30, 20), (-40, 10), (90, -25)):
        view = c_arm(primary, secondary, isocentre=(5, 6, 7))
        np.testing.assert_allclose(view.project(np.array([5.0, 6, 7])), (479.5, 479.5), rtol=0, atol=1e-9)
        np.testing.assert_allclose(np.cross(view.right, view.down), -view.normal, atol=1e-12)  # seen from the detector
        assert view.down[2] < 0


def test_a_rigid_motion_of_all_changes_no_pixel():
    view, rng = any_view(3), np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    motion = Affine.from_parts(turn, rng.normal(size=3) * 30)
    points = view.source + rng.uniform(100, 900, (9, 1)) * view.rays(rng.uniform(0, 500, (9, 2)))
    np.testing.assert_allclose(view.moved(motion).project(motion(points)), view.project(points), rtol=0, atol=1e-8)
    with pytest.raises(InputError, match="not a rigid motion"):
        view.moved(Affine.from_parts(np.diag([1, 1, 1.1]), np.zeros(3)))


def test_points_beside_and_behind_the_source_fall_nowhere():
    view = gantry(0, PLAIN)
    found = view.project(np.array([[0.0, 900, 0], [0, 800, 5], [0, 0, 0]]))
    assert np.isnan(found).all(axis=1).tolist() == [True, True, False]
    assert not view.sees(np.array([0.0, 900, 0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"right": (1.0, 0, 0.1)}, "unit vectors at a right angle"),
        ({"source": (0.0, -200, 0)}, "in the plane of the detector"),
        ({"source": (np.nan, 0, 0)}, "source is three finite numbers"),
        ({"pixel_mm": (0.0, 1.0)}, "a size above 0"),
        ({"shape": (0, 4)}, "a size above 0"),
    ],
)
def test_what_is_no_camera_is_refused(change, said):
    parts = {"source": (0.0, 800, 0), "centre": (0.0, -200, 0), "right": (-1.0, 0, 0), "down": (0.0, 0, -1)}
    parts |= {"pixel_mm": (1.0, 1.0), "shape": (4, 5)}
    with pytest.raises(InputError, match=said):
        View(**{k: np.array(v) if k not in ("pixel_mm", "shape") else v for k, v in (parts | change).items()})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source_to_detector_mm": 1.0, "source_to_isocentre_mm": 0.8}, "metres: give mm, 1000"),
        ({"source_to_detector_mm": 1e6, "source_to_isocentre_mm": 8e5}, "micrometres: give mm, 1000"),
        ({"pixel_mm": (0.002, 0.002)}, "metres: give mm, 2"),
        ({"pixel_mm": (300.0, 300.0)}, "micrometres: give mm, 0.3"),
        ({"source_to_isocentre_mm": 1200}, "between source and detector"),
    ],
)
def test_lengths_in_another_unit_are_recognised(change, said):
    with pytest.raises(ValidationError, match=said):
        Device.model_validate(DEVICE.model_dump() | change)


DIRECTIONS = {
    "RAS": np.eye(3),
    "LPS": np.diag([-1.0, -1, 1]),
    "RAI": np.diag([1.0, 1, -1]),
    "SAR": np.eye(3)[::-1],
    "ASL": np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]]),
}


def smooth(points):
    x, y, z = np.moveaxis(points, -1, 0)
    return np.exp(-((x - 4) ** 2 / 70 + y**2 / 50 + (z + 3) ** 2 / 60))


def head(orientation: str, spacing: float = 2.0) -> Volume:
    """One and the same smooth object, its voxels in any order."""
    direction = DIRECTIONS[orientation]
    shape = (round(70 / spacing),) * 3
    origin = -direction @ ((np.array(shape) - 1) / 2 * spacing)
    grid = Grid.from_parts(shape, (spacing,) * 3, origin, direction)
    return Volume(smooth(grid.world_from_voxel(np.stack(np.indices(shape), -1).astype(float))).astype(np.float32), grid)


@pytest.mark.parametrize("orientation", DIRECTIONS)
@pytest.mark.parametrize("degrees", [0, 40])
def test_the_order_of_the_voxels_changes_no_radiograph(orientation, degrees):
    views = [gantry(degrees, DEVICE), c_arm(20, 30, PLAIN)]
    for reference, found in zip(
        line_integrals(head("RAS"), views), line_integrals(head(orientation), views), strict=True
    ):
        np.testing.assert_allclose(found, reference, rtol=0, atol=2e-4 * reference.max())


def test_turning_the_volume_is_turning_the_view_the_other_way():
    about_z = Affine.from_parts(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))  # from anterior to right
    volume = head("RAS")
    turned = Volume(volume.array, Grid(volume.grid.shape, about_z @ volume.grid.world_from_voxel))
    view = gantry(30, DEVICE)
    np.testing.assert_allclose(
        line_integrals(turned, [view.moved(about_z)])[0], line_integrals(volume, [view])[0], rtol=0, atol=1e-4
    )


def test_a_turned_gantry_is_separable_in_every_order_and_so_is_a_detector_on_its_side():
    for orientation in DIRECTIONS:
        grid = head(orientation).grid
        view = gantry(40, DEVICE)
        assert plan(grid, view.beam, view.shape).separable
    aside = View(view.source, view.centre, view.down, view.right, view.pixel_mm[::-1], view.shape[::-1])
    own = plan(grid, aside.beam, aside.shape)
    assert own.separable
    assert own.swapped
    volume = head("ASL")
    image = line_integrals(volume, [view])[0]
    np.testing.assert_allclose(line_integrals(volume, [aside])[0], image.T, rtol=0, atol=1e-5 * image.max())
    assert not plan(grid, c_arm(20, 30, PLAIN).beam, (61, 80)).separable


@pytest.mark.parametrize("method", ["joseph", "siddon"])
@pytest.mark.parametrize("orientation", ["LPS", "ASL"])
def test_back_projection_is_the_adjoint_in_every_order(method, orientation):
    volume, rng = head(orientation), np.random.default_rng(0)
    for view in (gantry(25, DEVICE), c_arm(10, 35, PLAIN)):
        image = rng.random(view.shape).astype(np.float32)
        projected = line_integrals(volume, [view], method)[0].astype(np.float64)
        back = back_project(image, view, volume.grid, method).array.astype(np.float64)
        assert np.vdot(projected, image) == pytest.approx(np.vdot(volume.array.astype(np.float64), back), rel=1e-5)


def test_the_error_on_a_smooth_object_falls_with_the_square_of_the_voxels():
    view = gantry(30, DEVICE)
    rows, cols = np.indices(view.shape)
    rays = view.rays(np.stack([rows, cols], -1).astype(float))
    true = np.sum([smooth(view.source + t * rays) for t in np.arange(740, 860, 0.5)], axis=0) * 0.5
    error = {}
    for method in ("joseph", "siddon"):
        for spacing in (2.0, 1.0):
            found = line_integrals(head("RAS", spacing), [view], method)[0]
            error[method, spacing] = np.abs(found - true).max() / true.max()
    assert error["joseph", 2.0] < 0.025
    assert error["joseph", 1.0] < 0.32 * error["joseph", 2.0]
    assert error["siddon", 1.0] < 0.04


def test_a_constant_volume_gives_the_chord_through_its_box():
    grid = Grid.from_parts((9, 12, 7), (3.0, 2.0, 4.0), (-12.0, -11.0, -12.0))
    half = np.array(grid.shape) * grid.spacing / 2
    for view in (gantry(0, DEVICE), gantry(37, DEVICE), c_arm(25, 40, PLAIN)):
        rows, cols = np.indices(view.shape)
        rays = view.rays(np.stack([rows, cols], -1).astype(float))
        with np.errstate(divide="ignore"):
            faces = np.stack([(side * half - view.source) / rays for side in (-1, 1)])
        chord = np.maximum(0, faces.max(axis=0).min(axis=-1) - faces.min(axis=0).max(axis=-1))
        ones = Volume(np.ones(grid.shape, np.uint8), grid)
        for method in ("joseph", "siddon"):
            found = line_integrals(ones, [view], method)[0]
            np.testing.assert_allclose(found, chord, rtol=0, atol=2e-5 * chord.max())


def test_a_source_within_the_volume_is_refused():
    near = Device(source_to_detector_mm=150, source_to_isocentre_mm=20, rows=5, cols=5, pixel_mm=(1, 1))
    with pytest.raises(InputError, match="source lies inside the volume"):
        line_integrals(head("RAS"), [gantry(0, near)])


def ball(radius: float = 14.0, centre=(3.0, -4.0, 5.0)) -> Mesh:
    """A sphere of triangles."""
    from skimage.measure import marching_cubes

    n = 33
    index = np.indices((n, n, n)) - n // 2
    field = np.sqrt((index**2).sum(axis=0))
    vertices, faces, _, _ = marching_cubes(field, 12.0, gradient_direction="ascent")
    return Mesh((vertices - n // 2) / 12 * radius + centre, faces)


def test_a_silhouette_is_what_the_rays_meet():
    mesh, view = ball(), c_arm(30, 20, PLAIN)
    found = silhouette(mesh, view)
    grid = Grid.from_parts((60, 60, 60), (0.6,) * 3, (-14.7, -21.7, -12.7))
    inside = Volume(voxelise(mesh, grid).astype(np.uint8), grid)
    thick = line_integrals(inside, [view])[0]
    assert found[thick > 2.5].all()
    assert not found[thick == 0].any()
    assert found.sum() == pytest.approx((thick > 0.3).sum(), rel=0.1)
    # The cone that holds a sphere: pixels whose ray passes the centre within the radius, up to the facets.
    rows, cols = np.indices(view.shape)
    rays = view.rays(np.stack([rows, cols], -1).astype(float))
    distance = np.linalg.norm(np.cross(rays, np.array([3.0, -4, 5]) - view.source), axis=-1)
    assert found[distance < 13.8].all()
    assert not found[distance > 14.02].any()


def test_a_mesh_behind_the_source_is_refused():
    with pytest.raises(InputError, match="beside or behind the X-ray source"):
        silhouette(ball(centre=(0.0, 900.0, 0.0)), gantry(0, PLAIN))


def test_frames_put_the_isocentre_where_they_say():
    grid = head("ASL").grid
    np.testing.assert_allclose(voxel_frame(grid).offset, grid.centre)
    np.testing.assert_allclose(gantry(0, PLAIN, voxel_frame(grid)).source, grid.centre + 800 * grid.direction[:, 0])
    np.testing.assert_allclose(gantry(0, PLAIN, anatomical_frame((1, 2, 3))).source, (1, 802, 3))
    with pytest.raises(InputError, match="number of degrees"):
        gantry(float("nan"), PLAIN)
