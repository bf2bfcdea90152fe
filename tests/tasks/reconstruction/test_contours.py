"""Occluding contours: a ball's is a circle that can be written down."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.reconstruction.conftest import view

from voxbench.geometry import Mesh
from voxbench.geometry.projection import View
from voxbench.tasks.reconstruction.contours import Contour, Surface, occluding_contour
from voxbench.tasks.reconstruction.edges import Slopes, find_edges

RADIUS = 30.0


def ball(centre: tuple[float, float, float] = (0.0, 0.0, 0.0), rings: int = 60) -> Mesh:
    """A sphere from rings of triangles."""
    polar, around = np.linspace(0, np.pi, rings + 1)[1:-1], np.arange(2 * rings) * np.pi / rings
    p, a = (x.ravel() for x in np.meshgrid(polar, around, indexing="ij"))
    vertices = np.vstack(
        [np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], 1), [[0, 0, 1], [0, 0, -1]]]
    )
    n, faces = 2 * rings, []
    for k in range(n):
        after = (k + 1) % n
        faces += [(len(vertices) - 2, k, after), (len(vertices) - 1, (rings - 2) * n + after, (rings - 2) * n + k)]
        for r in range(rings - 2):
            a, b, c, d = r * n + k, r * n + after, (r + 1) * n + k, (r + 1) * n + after
            faces += [(a, c, b), (b, c, d)]
    return Mesh(vertices * RADIUS + centre, np.array(faces))


def contour_of(mesh: Mesh, of: View, turned: bool = False) -> Contour:
    faces = mesh.faces[:, ::-1] if turned else mesh.faces
    surface = Surface(faces.astype(np.int64), len(mesh.vertices), np.ones(len(faces), bool))
    return occluding_contour(surface, mesh.vertices, surface.normals(mesh.vertices), of)


def test_a_ball_in_the_middle_shows_the_circle_of_tangent_rays() -> None:
    frontal = view(0)
    contour = contour_of(ball(), frontal)
    distance = 2000 / 1.15
    circle = 2000 * np.tan(np.arcsin(RADIUS / distance)) / 0.92
    from_middle = contour.pixels - 159.5
    np.testing.assert_allclose(np.linalg.norm(from_middle, axis=1), circle, atol=0.04)
    outwards = from_middle / np.linalg.norm(from_middle, axis=1, keepdims=True)
    assert (np.einsum("nd,nd->n", contour.normals, outwards) > 0.999).all()
    assert contour.lengths.sum() == pytest.approx(2 * np.pi * circle, rel=2e-3)


def test_a_cavity_shows_no_rise_towards_bone() -> None:
    assert len(contour_of(ball(), view(0), turned=True).lengths) == 0


def test_the_flat_end_of_a_cut_bone_gives_no_edges() -> None:
    mesh = ball()
    surface = Surface(mesh.faces.astype(np.int64), len(mesh.vertices), np.zeros(len(mesh.faces), bool))
    assert len(occluding_contour(surface, mesh.vertices, surface.normals(mesh.vertices), view(0)).lengths) == 0


@pytest.mark.parametrize("shift", [(0.0, 0.5, 0.0), (0.4, 0.0, 0.3), (0.0, 0.0, -0.5)])
def test_a_contour_moves_along_its_normals_as_predicted(shift: tuple[float, float, float]) -> None:
    lateral = view(90)
    before, after = contour_of(ball(), lateral), contour_of(ball(shift), lateral)
    predicted = before.pixels + (before.moves @ np.array(shift))[:, None] * before.normals
    middle = lateral.project(np.array(shift))
    circle = np.linalg.norm(after.pixels - middle, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(predicted - middle, axis=1), circle, atol=0.05)
    moved = np.abs(before.moves @ np.array(shift)).max()
    assert moved > 0.2 or shift[1:] == (0.0, 0.0)


def disc(radius: float, inside: float) -> np.ndarray:
    row, column = np.indices((256, 256))
    far = np.hypot(row - 127.5, column - 127.5)
    return (inside / (1 + np.exp((far - radius) / 0.7))).astype(np.float32)


def test_edges_are_found_where_a_disc_ends() -> None:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    row, column = np.indices((256, 256))
    sloping = disc(60, 8.0) + 0.5 * np.hypot(row - 127.5, column - 127.5).astype(np.float32)  # brighter outwards
    for radius in (57.0, 62.0):
        found = find_edges(Slopes.of(sloping, 1.5), 127.5 + radius * normals, normals, (10.0, 0.5))
        # one step of the way: what is near is favoured
        assert (np.abs(found.offsets - (60 - radius)) < 0.3 * abs(60 - radius)).all()
        assert (found.strengths > 0.4).all()
        assert np.ptp(found.offsets) < 0.2


def test_a_dark_disc_and_one_out_of_reach_have_no_edges() -> None:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    dark = find_edges(Slopes.of(disc(60, -3.0), 1.5), 127.5 + 60 * normals, normals, (5.0, 0.5))
    far = find_edges(Slopes.of(disc(60, 3.0), 1.5), 127.5 + 85 * normals, normals, (5.0, 0.5))
    assert np.isnan(dark.offsets).all()
    assert (far.strengths < 0.01).all()
