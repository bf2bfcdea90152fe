"""voxbench project, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume, extract_mesh, gantry, line_integrals
from voxbench.geometry.projection import anatomical_frame
from voxbench.io import read_radiograph, read_views, write_mesh, write_volume
from voxbench.simulate.radiograph import radiographs

CONFIG = (
    "DSD: 2000\nDSO: 1000\nnDetector: [64, 64]\ndDetector: [4.6, 4.6]\nnVoxel: [64, 64, 64]\ndVoxel: [4.0, 4.0, 4.0]\n"
)


def leg(spacing=(4.0, 4.0, 4.0), origin=(-70.0, 30.0, 5.0)) -> Volume:
    """Water around a slanting rod of bone."""
    shape = (30, 28, 32)
    i, j, k = np.indices(shape)
    hu = np.full(shape, -1000, np.int16)
    hu[(i - 15) ** 2 + (j - 14) ** 2 < 11**2] = 0
    hu[(i - 12 - k / 8) ** 2 + (j - 15) ** 2 < 4**2] = 900
    return Volume(hu, Grid.from_parts(shape, spacing, origin))


@pytest.fixture
def ct(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_volume("ct.nii.gz", leg())
    (tmp_path / "small.yaml").write_text(CONFIG)
    return leg()


def test_two_views_are_written_in_all_forms(voxbench, ct, tmp_path):
    outcome = voxbench(
        "project", "ct.nii.gz", "--geometry", "small.yaml", "--frame", "anatomy", "--out", "out", "--json"
    )
    assert outcome.code == 0, outcome.err
    assert "view 1: 90 degrees" in outcome.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    fixed = {"projs.npz", "views.json", "projection.json"}
    assert names == fixed | {f"view_00{n}.{kind}" for n in (0, 1) for kind in ("dcm", "png")}
    assert set(json.loads(outcome.out)["files"]) == names
    views = read_views("out/views.json")
    with np.load("out/projs.npz") as archive:
        assert set(archive.files) == {"projs", "angles"}
        np.testing.assert_allclose(archive["angles"], (0, np.pi / 2))
        unit = np.clip((ct.array.astype(np.float32) + 400) / 900, 0, 1)
        expected = np.stack(line_integrals(Volume(unit, ct.grid), views)) / 1000
        assert archive["projs"].dtype == np.float32
        np.testing.assert_allclose(archive["projs"], expected, atol=0.003 * expected.max())
    for view, image, number in zip(views, radiographs(ct, views), (0, 1), strict=True):
        found = read_radiograph(f"out/view_00{number}.dcm")
        np.testing.assert_allclose(found.image, image, atol=1e-4 * image.max())
        assert found.pixel_mm == pytest.approx((4.6, 4.6))
        png = read_radiograph(f"out/view_00{number}.png")
        assert np.corrcoef(png.image.ravel(), image.ravel())[0, 1] > 0.999999
        np.testing.assert_allclose(view.project(ct.grid.centre), (31.5, 31.5), rtol=0, atol=1e-9)
    np.testing.assert_allclose(views[0].source, ct.grid.centre + np.array([0, 1000, 0]))


def test_a_config_file_looks_along_the_voxels_and_its_origin_moves_the_volume(voxbench, ct, tmp_path):
    (tmp_path / "moved.yaml").write_text(CONFIG + "offOrigin: [8, 0, -4]\n")
    assert voxbench("project", "ct.nii.gz", "--geometry", "small.yaml", "--out", "a").code == 0
    outcome = voxbench("project", "ct.nii.gz", "--geometry", "moved.yaml", "--out", "b")
    assert outcome.code == 0
    assert "takes the volume as 256 x 256 x 256 mm; this CT is 120 x 112 x 128 mm" in outcome.err
    (plain, _), (moved, _) = read_views("a/views.json"), read_views("b/views.json")
    np.testing.assert_allclose(plain.source, ct.grid.centre + np.array([1000, 0, 0]))
    np.testing.assert_allclose(moved.source, ct.grid.centre + np.array([1000 - 8, 0, 4]))


def test_the_released_geometry_is_warned_of_and_the_consistent_one_is_not(voxbench, ct):
    released = voxbench("project", "ct.nii.gz", "--geometry", "ssrkd", "--out", "a", "--views", "0")
    consistent = voxbench("project", "ct.nii.gz", "--out", "b", "--views", "0")
    assert (released.code, consistent.code) == (0, 0)
    assert "warning: this geometry sees 59 %" in released.err
    assert "warning" not in consistent.err


def test_bones_cast_shadows_where_they_are_dense(voxbench, ct):
    grid = ct.grid
    write_mesh("rod.stl", extract_mesh(LabelMap((ct.array > 500).astype(np.uint8), grid)))
    words = ("--geometry", "small.yaml", "--frame", "anatomy", "--bones", "rod.stl", "--views", "0,90,30")
    assert voxbench("project", "ct.nii.gz", *words, "--out", "out").code == 0
    with np.load("out/bone_mask.npz") as archive:
        masks = archive["projs"]
    device_views = read_views("out/views.json")
    rod = Volume((ct.array > 500).astype(np.uint8), grid)
    thick, blurred = (np.stack(line_integrals(rod, device_views, method)) for method in ("siddon", "joseph"))
    assert masks.shape == thick.shape
    assert masks[thick > 20].all()  # marching cubes cuts the corners of voxels of 4 mm
    assert (thick > 20).sum() > 0.6 * masks.sum()
    assert not masks[blurred == 0].any()


def test_noise_is_added_where_it_is_asked_for_and_repeats(voxbench, ct):
    words = ("project", "ct.nii.gz", "--geometry", "small.yaml", "--photons", "5000", "--published-noise")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert voxbench(*words, "--seed", seed, "--out", name).code == 0
    assert voxbench(*words[:4], "--out", "clean").code == 0
    images = {name: read_radiograph(f"{name}/view_000.dcm").image for name in ("a", "b", "c", "clean")}
    stacks = {name: read_radiograph(f"{name}/projs.npz").image for name in ("a", "b", "c", "clean")}
    for found in (images, stacks):
        np.testing.assert_array_equal(found["a"], found["b"])
        assert (found["a"] != found["c"]).any()
        assert (found["a"] != found["clean"]).any()
    spread = (images["a"] - images["clean"])[images["clean"] < 0.01].std()
    assert spread == pytest.approx(np.sqrt(5000 + 100) / 5000, rel=0.1)


def test_a_c_arm_tilts_and_views_of_a_file_are_taken_as_they_are(voxbench, ct):
    assert voxbench("project", "ct.nii.gz", "--geometry", "c-arm", "--views", "0/0,30/-20", "--out", "a").code == 0
    assert voxbench("project", "ct.nii.gz", "--geometry", "a/views.json", "--out", "b").code == 0
    for one, other in zip(read_views("a/views.json"), read_views("b/views.json"), strict=True):
        np.testing.assert_array_equal(one.beam, other.beam)
    np.testing.assert_array_equal(read_radiograph("a/view_001.dcm").image, read_radiograph("b/view_001.dcm").image)
    with np.load("b/projs.npz") as archive:
        assert archive.files == ["projs"]


def test_force_replaces_and_leaves_no_view_of_the_run_before(voxbench, ct, tmp_path):
    assert voxbench("project", "ct.nii.gz", "--geometry", "small.yaml", "--views", "0,90,30", "--out", "out").code == 0
    assert voxbench("project", "ct.nii.gz", "--geometry", "small.yaml", "--views", "0", "--out", "out").code == 1
    assert (
        voxbench("project", "ct.nii.gz", "--geometry", "small.yaml", "--views", "0", "--out", "out", "--force").code
        == 0
    )
    assert sorted(path.name for path in (tmp_path / "out").glob("view_*")) == ["view_000.dcm", "view_000.png"]


def test_isocentre_and_anatomy_place_the_gantry(voxbench, ct):
    words = ("project", "ct.nii.gz", "--isocentre", "-10", "80", "60", "--views", "90", "--out", "out")
    assert voxbench(*words).code == 0
    from voxbench.challenges.ssrkd.geometry import CONSISTENT

    expected = gantry(90, CONSISTENT, anatomical_frame((-10, 80, 60)))
    np.testing.assert_allclose(read_views("out/views.json")[0].beam, expected.beam)
