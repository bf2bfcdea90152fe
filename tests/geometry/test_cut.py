"""Cuts by a plane: what is left is closed, and volumes add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from skimage.measure import marching_cubes

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Mesh
from voxbench.geometry.cut import Plane, cut_mesh, cut_section

BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
FACES = np.array([f for a, b, c, d in QUADS for f in ((a, b, c), (a, c, d))])


def surface(depth: np.ndarray) -> Mesh:
    vertices, faces, _, _ = marching_cubes(depth, 0.0, gradient_direction="ascent")
    return Mesh(vertices.astype(float), faces)


def blob() -> Mesh:
    """Not convex, of one piece: a long rod with a bent end."""
    x, y, z = np.indices((24, 26, 40)) - np.array([11.3, 12.2, 19.6])[:, None, None, None]
    rod = 6 - np.hypot(x - 2 * np.sin(z / 6), y) + 2 * np.cos(z / 3)
    return surface(np.minimum(rod, 17 - np.abs(z)))


def prongs() -> Mesh:
    """A fork: a cut across has two outlines."""
    x, y, z = np.indices((30, 14, 30)) - np.array([14.6, 6.4, 14.3])[:, None, None, None]
    arms = 4 - np.hypot(np.abs(x) - 8, y)
    bridge = np.minimum(5 - np.hypot(z + 8, y), 11 - np.abs(x))
    return surface(np.minimum(np.maximum(arms, bridge), 13 - np.abs(z)))


BLOB, PRONGS = blob(), prongs()


def test_a_box_is_cut_to_a_box() -> None:
    left = cut_mesh(Mesh(BOX * [2, 3, 4], FACES), Plane.through((1.5, 0, 0), (5, 0, 0)))
    assert left.is_watertight
    assert left.volume == pytest.approx(1.5 * 3 * 4, rel=1e-12)
    assert left.area == pytest.approx(2 * (1.5 * 3 + 1.5 * 4 + 3 * 4), rel=1e-12)


def test_a_plane_that_misses_changes_nothing() -> None:
    mesh = Mesh(BOX, FACES)
    assert cut_mesh(mesh, Plane.through((2, 0, 0), (1, 0, 0))) is mesh


def test_a_plane_along_a_side_keeps_the_box() -> None:
    left = cut_mesh(Mesh(BOX, FACES), Plane.through((1, 0, 0), (1, 0, 0)))
    assert left.volume == pytest.approx(1, rel=1e-8)
    assert left.is_closed


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(-1, 1) for _ in range(3)]).filter(lambda n: np.hypot(*n[:2]) + abs(n[2]) > 0.2),
    st.floats(0.1, 0.9),
)
@pytest.mark.parametrize("mesh", [BLOB, PRONGS], ids=["one piece", "fork"])
def test_the_two_sides_of_a_cut_are_closed_and_add_up(mesh: Mesh, normal: tuple[float, ...], share: float) -> None:
    """A few planes graze a dimple: the cut then has a hole, which is refused (and tested below)."""
    direction = np.array(normal) / np.linalg.norm(normal)
    reach = mesh.vertices @ direction
    plane = Plane(direction, float(reach.min() + share * np.ptp(reach)))
    try:
        one, other = cut_mesh(mesh, plane), cut_mesh(mesh, Plane(-plane.normal, -plane.offset))
    except InputError as error:
        if "an outline within an outline" in str(error):
            reject()
        raise
    assert one.is_closed
    assert other.is_closed
    assert one.volume > 0
    assert other.volume > 0
    assert one.volume + other.volume == pytest.approx(mesh.volume, rel=1e-7)
    assert plane.heights(one.vertices).max() <= 1e-6


def test_a_cut_with_a_hole_in_it_is_refused() -> None:
    """Through the dimple where the fork's arms meet its bridge."""
    middle = (PRONGS.bounds[0] + PRONGS.bounds[1]) / 2
    direction = np.array([-0.1875, 0.75, 0.3125]) / np.linalg.norm([-0.1875, 0.75, 0.3125])
    with pytest.raises(InputError, match="an outline within an outline"):
        cut_mesh(PRONGS, Plane.through(middle - 0.5 * direction, direction))


def test_a_fork_across_the_prongs_gets_two_lids() -> None:
    left = cut_mesh(PRONGS, Plane(np.array([0, 0, 1.0]), 20.25))
    assert left.is_watertight
    a, b, c = left.corners
    lid = np.abs((a + b + c)[:, 2] / 3 - 20.25) < 1e-9
    assert left.face_areas[lid].sum() == pytest.approx(2 * np.pi * 16, rel=0.03)


def test_a_recipe_serves_other_shapes_of_the_same_vertices() -> None:
    section = cut_section(BLOB, Plane(np.array([0, 0, 1.0]), 22.0))
    larger = Mesh(section.of(BLOB.vertices * 1.5), section.faces)
    assert larger.is_watertight
    assert larger.volume == pytest.approx(1.5**3 * Mesh(section.of(BLOB.vertices), section.faces).volume, rel=1e-12)
    assert larger.vertices[:, 2].max() == pytest.approx(33, abs=1e-6)


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(EmptyShapeError, match="nothing of the mesh lies before the plane"):
        cut_mesh(BLOB, Plane(np.array([0, 0, 1.0]), -5.0))
    with pytest.raises(InputError, match="3 edges are open"):
        cut_mesh(Mesh(BOX, FACES[1:]), Plane(np.array([1.0, 0, 0]), 0.5))
    with pytest.raises(InputError, match="a plane needs a direction"):
        Plane.through((0, 0, 0), (0, 0, 0))


def test_a_hollow_is_refused() -> None:
    hollow = np.concatenate([BOX * 4, BOX * 2 + 1])
    mesh = Mesh(hollow, np.concatenate([FACES, FACES[:, ::-1] + 8]))
    with pytest.raises(InputError, match="a hole in it"):
        cut_mesh(mesh, Plane(np.array([0, 0, 1.0]), 2.0))
