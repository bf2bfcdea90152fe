"""A knee's frame, joints, contact and inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import marching_cubes

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Affine, Grid, Mesh, voxelise
from voxbench.geometry.articulation import FLEXION_CENTRE, LANDMARKS, PARAMETERS, Articulation, KneePose
from voxbench.geometry.contact import approach, separation
from voxbench.geometry.inside import inside
from voxbench.geometry.knee_frame import knee_frame
from voxbench.geometry.seating import Gaps, pose_meshes, seated_pose
from voxbench.geometry.shapes import ShapeModel
from voxbench.simulate.phantoms.knee_shapes import analytic_knee

MODEL = analytic_knee(5.0)
JOINTS = {side: Articulation.of(MODEL.on(side)) for side in ("left", "right")}
BONES = ("patella", "femur", "fibula", "tibia")
poses = st.builds(
    lambda values: KneePose.from_values(np.array(values)),
    st.lists(st.floats(-40, 40), min_size=len(PARAMETERS), max_size=len(PARAMETERS)),
)


def ball(radius: float, centre: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    n = 30
    at = np.linspace(-1.2, 1.2, n)
    x, y, z = np.meshgrid(at, at, at, indexing="ij")
    vertices, faces, _, _ = marching_cubes(1 - np.sqrt(x**2 + y**2 + z**2), 0.0, gradient_direction="ascent")
    vertices = vertices * (2.4 / (n - 1)) - 1.2
    vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return Mesh(vertices * radius + np.array(centre), faces)


@settings(max_examples=20, deadline=None)
@given(poses, st.sampled_from(["left", "right"]))
def test_every_bone_is_carried_by_a_rigid_map(pose: KneePose, side: str) -> None:
    for bone, world_from_model in JOINTS[side].maps(pose).items():
        assert bone in BONES
        np.testing.assert_allclose(world_from_model.linear.T @ world_from_model.linear, np.eye(3), atol=1e-12)
        assert np.linalg.det(world_from_model.linear) == pytest.approx(1)
        assert world_from_model.name == "world_from_model"


@settings(max_examples=20, deadline=None)
@given(poses, st.sampled_from(["left", "right"]))
def test_derivatives_are_those_of_small_steps(pose: KneePose, side: str) -> None:
    joints, h = JOINTS[side], 1e-4
    derivatives = joints.derivatives(pose)
    for index, name in enumerate(PARAMETERS):
        ahead = joints.maps(replace(pose, **{name: getattr(pose, name) + h}))
        behind = joints.maps(replace(pose, **{name: getattr(pose, name) - h}))
        for bone in BONES:
            slope = (ahead[bone].matrix - behind[bone].matrix) / (2 * h)
            np.testing.assert_allclose(derivatives[bone][index], slope, atol=1e-7, err_msg=f"{name} {bone}")


def test_the_zero_pose_leaves_all_where_it_is_and_values_go_there_and_back() -> None:
    for matrix in JOINTS["left"].maps(KneePose()).values():
        np.testing.assert_array_equal(matrix.matrix, np.eye(4))
    pose = KneePose(flexion=3.0, z=-2.0)
    assert KneePose.from_values(pose.values) == pose


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_parameter_moves_what_its_name_says(side: str) -> None:
    joints, out = JOINTS[side], (1.0 if side == "right" else -1.0)
    foot, toes = np.array([0, 0, -300.0]), np.array([0, 100.0, -300.0])

    def moved(bone: str, point: np.ndarray, **values: float) -> np.ndarray:
        return joints.maps(KneePose(**values))[bone](point) - point

    assert moved("tibia", foot, flexion=20.0)[1] < -80  # back
    assert moved("tibia", foot, varus=5.0)[0] * out < -20  # to the middle
    assert (moved("tibia", toes, rotation=5.0) - moved("tibia", foot, rotation=5.0))[0] * out > 8  # toes out
    np.testing.assert_allclose(moved("tibia", foot, gap=2.0), [0, 0, -2], atol=1e-12)
    np.testing.assert_allclose(moved("fibula", foot, gap=2.0), [0, 0, -2], atol=1e-12)
    np.testing.assert_allclose(moved("tibia", foot, glide=2.0), [0, 2, 0], atol=1e-12)
    np.testing.assert_allclose(moved("patella", foot, patella_gap=2.0), [0, 2, 0], atol=1e-12)
    np.testing.assert_allclose(moved("patella", foot, patella_height=2.0), [0, 0, 2], atol=1e-12)
    assert moved("fibula", foot, fibula_gap=2.0)[0] * out > 1
    centre = MODEL.on(side).landmarks["patella centre"]
    assert moved("patella", centre + np.array([20 * out, 0, 0]), patella_tilt=10.0)[1] < -3  # outer edge back
    assert moved("patella", centre, flexion=20.0)[2] < -5  # glides down
    np.testing.assert_allclose(moved("femur", foot, flexion=20, varus=3, gap=2, patella_gap=3), 0, atol=1e-12)
    for bone in BONES:
        np.testing.assert_allclose(moved(bone, foot, x=1.0, y=2.0, z=3.0), [1, 2, 3], atol=1e-12)


def test_a_left_knee_moves_as_the_mirror_image_of_a_right_one() -> None:
    pose = KneePose(
        flexion=12, varus=3, rotation=-4, gap=2, glide=1, patella_gap=2, patella_height=3, patella_tilt=5, fibula_gap=1
    )
    right, left = (pose_meshes(MODEL.on(side).sample([1.0, -1.0]), JOINTS[side], pose) for side in ("right", "left"))
    for bone in BONES:
        np.testing.assert_allclose(left[bone].vertices, right[bone].vertices * [-1, 1, 1], atol=1e-10)


def test_without_landmarks_nothing_can_be_moved() -> None:
    with pytest.raises(InputError, match="lacks flexion centre, joint centre"):
        Articulation.of(replace(MODEL, landmarks={}))


def test_two_balls_are_apart_by_their_centres_less_their_radii() -> None:
    assert separation(ball(10), ball(7, (20, 5, 0))) == pytest.approx(np.hypot(20, 5) - 17, abs=0.05)


@pytest.mark.parametrize(("start", "off"), [(30.0, 0.0), (12.0, 0.0), (0.0, 4.0), (60.0, 6.0)])
def test_an_approach_ends_at_the_gap_wherever_it_begins(start: float, off: float) -> None:
    moving, fixed = ball(10, (start, off, 0)), ball(7)
    ahead = approach(moving, fixed, (-2, 0, 0), 1.5)
    assert start - ahead == pytest.approx(np.sqrt(18.5**2 - off**2), abs=0.08)


def test_an_approach_that_passes_by_is_refused() -> None:
    with pytest.raises(InputError, match="do not come within 1 mm"):
        approach(ball(5, (0, 30, 0)), ball(5), (1, 0, 0), 1.0)


def test_seated_bones_stand_at_their_gaps() -> None:
    gaps = Gaps(tibia=5.0, patella=3.0, fibula=1.0)
    bones, pose = MODEL.sample([1.0, 0.5, -1.0]), KneePose(flexion=15.0, varus=2.0, yaw=30.0, x=5.0)
    seated = seated_pose(bones, JOINTS["right"], pose, gaps)
    posed = pose_meshes(bones, JOINTS["right"], seated)
    assert separation(posed["femur"], posed["tibia"]) == pytest.approx(5.0, abs=0.02)
    assert separation(posed["femur"], posed["patella"]) == pytest.approx(3.0, abs=0.02)
    assert separation(posed["fibula"], posed["tibia"]) == pytest.approx(1.0, abs=0.02)
    same = replace(seated, gap=pose.gap, patella_gap=pose.patella_gap, fibula_gap=pose.fibula_gap)
    assert same == pose


def test_a_knee_bent_onto_its_patella_is_refused() -> None:
    shapes = replace(MODEL, landmarks=dict(MODEL.landmarks))
    with pytest.raises(InputError, match=r"patella and tibia are .* apart in this pose; flex the knee less"):
        seated_pose(shapes.sample([]), JOINTS["right"], KneePose(patella_height=-45.0), Gaps())


def vertices_of(model: ShapeModel, world_from_model: Affine) -> dict[str, np.ndarray]:
    return {bone: world_from_model(mesh.vertices) for bone, mesh in model.sample([]).items()}


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_frame_of_a_knee_does_not_depend_on_where_it_lies(side: str) -> None:
    own = MODEL.on(side)
    here = knee_frame(vertices_of(own, Affine.identity("world", "model")), side)
    tilt = JOINTS[side].maps(KneePose(pitch=35, roll=-20, yaw=140, x=100, y=-40, z=300))["femur"]
    there = knee_frame(vertices_of(own, tilt), side)
    assert (there.model_from_world @ tilt).close_to(here.model_from_world.renamed("model", "model"), 1e-6)
    for name in LANDMARKS:
        np.testing.assert_allclose(there.landmarks[name], here.landmarks[name], atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_frame_of_the_knee_of_formulas_is_near_its_own(side: str) -> None:
    own = MODEL.on(side)
    frame = knee_frame(vertices_of(own, Affine.identity("world", "model")), side)
    angle = np.degrees(np.arccos((np.trace(frame.model_from_world.linear) - 1) / 2))
    assert angle < 4
    assert np.linalg.norm(frame.landmarks[FLEXION_CENTRE] - own.landmarks[FLEXION_CENTRE]) < 5


def test_a_knee_without_shafts_has_no_frame() -> None:
    short = {bone: mesh.vertices[np.abs(mesh.vertices[:, 2]) < 60] for bone, mesh in MODEL.sample([]).items()}
    with pytest.raises(EmptyShapeError, match="shows no shaft; 80 mm are needed"):
        knee_frame(short, "right")


def test_inside_is_what_voxelise_says_for_voxel_centres() -> None:
    mesh = MODEL.sample([])["femur"]
    grid = Grid.from_parts((23, 21, 30), (4.1, 3.7, 4.3), (-44.21, -35.17, -8.31))
    centres = grid.world_from_voxel(np.indices(grid.shape).reshape(3, -1).T.astype(float))
    found = inside(mesh, centres).reshape(grid.shape)
    assert found.sum() > 500
    np.testing.assert_array_equal(found, voxelise(mesh, grid))


def test_inside_a_box_is_exact_even_above_its_edges_and_corners() -> None:
    corners = np.array([[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    box = Mesh(corners, np.array([f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))]))
    points = np.array(
        [[1, 1, 1], [0.5, 0.5, 0.1], [1, 1, 3], [1, 1, -1], [-1, 1, 1], [3, 1, 1], [1.5, 0.5, 1.9]], float
    )
    np.testing.assert_array_equal(inside(box, points), [True, True, False, False, False, False, True])
    assert not inside(box, np.zeros((0, 3))).size
    with pytest.raises(InputError, match="an open surface has no inside"):
        inside(Mesh(corners, box.faces[1:]), points)
