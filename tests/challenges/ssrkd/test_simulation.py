"""Simulated knees in SSR-KD's layout: every file says the same."""

from __future__ import annotations

import functools
import json
import operator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import binary_dilation

from voxbench.challenges.ssrkd import simulation
from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.evaluation import evaluate
from voxbench.challenges.ssrkd.geometry import scaled
from voxbench.challenges.ssrkd.processed import Frame, Processed, case_grid, halved, write_ct
from voxbench.challenges.ssrkd.radiographs import device_of
from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, planned, simulate
from voxbench.challenges.ssrkd.splits import SPLITS, split_patients
from voxbench.errors import FileReadError, FileWriteError, InputError
from voxbench.geometry import Affine, Grid, Mesh, Volume, voxelise
from voxbench.geometry.articulation import Articulation, KneePose
from voxbench.geometry.inside import inside
from voxbench.geometry.seating import pose_meshes
from voxbench.io import read_mesh, read_views, read_volume
from voxbench.jobs import run
from voxbench.simulate.phantoms.knee_shapes import analytic_knee

SIZE = 48
SETTINGS = SsrkdSimulation(
    cases=2,
    unlabelled=1,
    shapes="formulas",
    size=SIZE,
    points=300,
    both_knees=1.0,
    seed=3,
    keep_hu=True,
    angles=(0, 90, 200),
)


@pytest.fixture(scope="module")
def coarse() -> object:
    return analytic_knee(5.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, coarse: object) -> Path:
    out = tmp_path_factory.mktemp("ssrkd") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "_model", lambda _: coarse)
        told: list[str] = []
        names = simulate(out, SETTINGS, runner=functools.partial(run, told=lambda done: told.append(done.key)))
    assert told == list(names)
    assert len(names) == 3
    return out


def cases(made: Path) -> list[str]:
    return sorted(path.name for path in (made / "meshes").iterdir())


def truth(made: Path) -> dict:
    return json.loads((made / "truth.json").read_text())


def array(path: Path) -> np.ndarray:
    with np.load(path) as content:
        return content["arr_0"]


def test_labelled_cases_have_every_file_and_others_only_their_ct(made: Path) -> None:
    unlabelled = {"ct_256x.npz", "ct_512x.npz", "projs.npz", "spacing.npz"}
    labelled = unlabelled | {"submesh", "mesh.obj", "seg_mask.npz", "sampling.npz", "bone_mask.npz"}
    info = json.loads((made / "info.json").read_text())
    assert len(info["unlabelled"]) == 1
    for folder in (made / "processed").iterdir():
        own = {path.name for path in folder.iterdir()}
        assert own == (unlabelled if folder.name in info["unlabelled"] else labelled)
    assert {path.name for path in (made / "meshes" / cases(made)[0]).iterdir()} == {f"sub_{n}.obj" for n in range(4)}
    assert {path.name for path in made.iterdir()} == {
        "processed",
        "meshes",
        "hu",
        "info.json",
        "truth.json",
        "views.json",
    }


def test_volumes_are_bytes_in_zyx_and_the_small_one_is_the_mean_of_the_large(made: Path) -> None:
    case = Processed(made / "processed" / cases(made)[0])
    large, small, labels = (array(path) for path in (case.large_ct, case.small_ct, case.labels))
    assert (large.shape, small.shape, labels.shape) == ((SIZE,) * 3, (SIZE // 2,) * 3, (SIZE,) * 3)
    assert large.dtype == small.dtype == labels.dtype == np.uint8
    blocks = large.reshape(SIZE // 2, 2, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(small, blocks, atol=0.5)
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}
    assert large[labels > 0].mean() > large[labels == 0].mean() + 60
    hu = read_volume(made / "hu" / f"{case.folder.name}.nii.gz")
    np.testing.assert_array_equal(scaled(hu).array.T, large)
    assert hu.grid.orientation == "ALS+"


def test_stored_meshes_masks_and_world_meshes_are_one(made: Path) -> None:
    for name in cases(made):
        case = Processed(made / "processed" / name)
        with np.load(case.spacing) as content:
            np.testing.assert_allclose(content["mesh"], 128)
            to_world = Affine(content["world_from_stored"], "world", "stored")
        labels = array(case.labels)
        centres = -1 + 2 * (np.indices(labels.shape).reshape(3, -1).T + 0.5) / SIZE
        count = 0
        for number, bone in enumerate(BONES):
            stored, world = read_mesh(case.bone(bone)), read_mesh(made / "meshes" / name / f"sub_{number}.obj")
            assert stored.is_watertight
            assert stored.volume > 0
            assert world.volume > 0
            assert np.abs(stored.vertices).max() <= 1 + 1e-9
            np.testing.assert_allclose(to_world(stored.vertices), world.vertices, atol=1e-9)
            found = inside(stored, centres).reshape(labels.shape)
            assert (found != (labels == number + 1)).sum() <= 2  # centres that lie on a surface
            count += len(stored.faces)
        whole = read_mesh(case.whole_mesh)
        assert len(whole.faces) == count


def test_the_lateral_view_is_at_90_degrees_and_the_front_at_0(made: Path) -> None:
    """Stored x points to the front, where their source stands at 0 degrees; z up."""
    for name in cases(made):
        case = Processed(made / "processed" / name)
        middle = {bone: read_mesh(case.bone(bone)).vertices.mean(axis=0) for bone in BONES}
        z, y, x = 0, 1, 2
        assert middle["femur"][z] > 0.2 > -0.2 > middle["tibia"][z]
        assert middle["patella"][x] > middle["femur"][x] + 0.1
        left = truth(made)["cases"][name]["side"] == "left"
        assert (middle["fibula"][y] > middle["tibia"][y]) == left


def test_radiographs_and_shadows_show_the_bones_where_the_views_put_them(made: Path) -> None:
    views = read_views(made / "views.json")
    assert len(views) == 3
    for name in cases(made):
        case = Processed(made / "processed" / name)
        with np.load(case.radiographs) as content:
            images, angles = content["projs"], content["angles"]
        with np.load(case.shadows) as content:
            masks = content["projs"]
        np.testing.assert_allclose(np.degrees(angles), [0, 90, 200])
        assert images.shape == masks.shape == (3, SIZE, SIZE)
        assert (images.dtype, masks.dtype) == (np.float32, np.uint8)
        points = np.concatenate([read_mesh(made / "meshes" / name / f"sub_{n}.obj").vertices for n in range(4)])
        for view, image, mask in zip(views, images, masks, strict=True):
            pixels = np.rint(view.project(points)).astype(int)
            seen = ((pixels > 0) & (pixels < SIZE - 1)).all(axis=1)
            assert seen.mean() > 0.9
            near = binary_dilation(mask, iterations=1)
            assert near[tuple(pixels[seen].T)].mean() > 0.99
            assert image[mask > 0].mean() > 1.3 * image[(mask == 0) & (image > 0.01)].mean()


def test_the_detector_keeps_its_size_whatever_its_pixels() -> None:
    small, large = device_of("consistent", 64), device_of("released", 512)
    assert small.pixel_mm[0] * 64 == pytest.approx(512 * 0.575)
    assert small.field_of_view_mm[0] == pytest.approx(256)
    assert large.field_of_view_mm[0] == pytest.approx(147.2)


def test_sampled_points_have_the_label_of_the_bone_they_lie_in(made: Path) -> None:
    name = cases(made)[0]
    case = Processed(made / "processed" / name)
    with np.load(case.samples, allow_pickle=True) as content:
        theirs = content["arr_0"].item()
        ours = {key: content[key] for key in content.files if key != "arr_0"}
    assert set(theirs) == set(ours)
    assert set(ours) == {
        f"{kind}_{part}" for kind in ("surface", "random") for part in ("inside", "outside", "inside_labels")
    }
    bones = [read_mesh(case.bone(bone)) for bone in BONES]
    for kind in ("surface", "random"):
        np.testing.assert_array_equal(theirs[f"{kind}_inside"], ours[f"{kind}_inside"])
        points, labels = ours[f"{kind}_inside"].astype(float), ours[f"{kind}_inside_labels"]
        assert len(points) == len(labels) > 0
        for number, mesh in enumerate(bones, 1):
            assert (inside(mesh, points) != (labels == number)).mean() < 0.01  # float32
            assert inside(mesh, ours[f"{kind}_outside"].astype(float)).mean() < 0.01
    assert len(ours["random_inside"]) + len(ours["random_outside"]) == 1200
    assert 0.2 < len(ours["surface_inside"]) / (len(ours["surface_inside"]) + len(ours["surface_outside"])) < 0.7


def test_the_truth_makes_the_meshes_again(made: Path, coarse: object) -> None:
    for name in cases(made):
        known = truth(made)["cases"][name]
        own = coarse.on(known["side"])
        joints, pose = Articulation.of(own), KneePose(**known["pose"])
        posed = pose_meshes(own.sample(known["coefficients"]), joints, pose)
        written = read_mesh(made / "meshes" / name / "sub_0.obj")  # the patella is not cut
        np.testing.assert_allclose(posed["patella"].vertices, written.vertices, atol=1e-9)
        assert known["volumes_ml"]["patella"] == pytest.approx(written.volume / 1000)


def test_a_patients_two_knees_are_alike_and_on_one_side_of_the_split(made: Path) -> None:
    known, info = truth(made)["cases"], json.loads((made / "info.json").read_text())
    one, other = (known[name] for name in cases(made))
    assert one["patient"] == other["patient"]
    assert {one["side"], other["side"]} == {"left", "right"}
    assert np.corrcoef(one["coefficients"], other["coefficients"])[0, 1] > 0.6
    assert sorted(functools.reduce(operator.iadd, (info[split] for split in SPLITS), [])) == cases(made)
    assert sum(bool(info[split]) for split in SPLITS) == 1


def test_the_meshes_are_references_of_the_evaluation(made: Path) -> None:
    from voxbench.challenges.ssrkd.evaluation import SsrkdEvaluation

    scores = evaluate(made / "meshes", made / "meshes", SsrkdEvaluation(points=500, spacing=2.0, step=5.0))
    assert scores.summary()["dsc"]["average"] == 1
    assert scores.summary()["assd_surface"]["average"] == pytest.approx(0, abs=1e-9)


def test_the_same_settings_are_the_same_data_and_force_replaces_only_our_own(
    made: Path, tmp_path: Path, coarse: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "_model", lambda _: coarse)
    one = SETTINGS.model_copy(update={"cases": 1, "unlabelled": 0, "keep_hu": False})
    out = tmp_path / "again"
    (name,) = simulate(out, one)
    for file in ("large_ct", "labels"):
        ours, theirs = (array(getattr(Processed(root / "processed" / name), file)) for root in (out, made))
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(FileWriteError, match="--force replaces it"):
        simulate(out, one)
    simulate(out, one.model_copy(update={"size": 32}), force=True)
    assert array(Processed(out / "processed" / name).large_ct).shape == (32, 32, 32)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(FileWriteError, match="not a simulated data set"):
        simulate(tmp_path / "own", one, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "own"]


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise FileReadError("musculoskeletal_models could not be fetched")

    monkeypatch.setattr(simulation, "fetch_knee_shapes", lambda: gone(""))
    simulation._model.cache_clear()
    with pytest.raises(FileReadError, match=r"could not be fetched\n.*--shapes formulas"):
        simulate(tmp_path / "data", SETTINGS.model_copy(update={"shapes": "people"}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"cases": 0}, {"size": 63}, {"size": 8}, {"shapes": "aliens"}, {"noise_hu": -1}])
def test_impossible_settings_are_refused(change: dict) -> None:
    with pytest.raises(ValidationError):
        SsrkdSimulation(**change)


def test_a_plan_names_each_knee_once_and_keeps_patients_whole() -> None:
    plan = planned(SsrkdSimulation(cases=40, unlabelled=11, both_knees=0.5))
    assert len({one.case for one in plan}) == 51
    assert sum(one.labelled for one in plan) == 40
    owners = {one.patient: {two.labelled for two in plan if two.patient == one.patient} for one in plan}
    assert all(len(kinds) == 1 for kinds in owners.values())
    assert 5 < sum(one.second for one in plan) < 25
    left = planned(SsrkdSimulation(cases=9, variation={"side": "left"}))
    assert {one.side for one in left} == {"left"}


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(0, 5))
def test_no_patient_is_split_and_no_case_is_lost(people: list[int], seed: int) -> None:
    patients = {f"case{n}": f"P{person}" for n, person in enumerate(people)}
    splits = split_patients(patients, seed)
    assert tuple(splits) == SPLITS
    assert sorted(functools.reduce(operator.iadd, splits.values(), [])) == sorted(patients)
    sides = [{patients[case] for case in cases} for cases in splits.values()]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert splits["train"]
    count = len(set(people))
    assert bool(splits["test"]) == (count > 1)
    assert bool(splits["val"]) == (count > 2)


def test_halves_are_rounded_means() -> None:
    cube = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    assert halved(cube)[0, 0, 0] == round(np.mean([0, 1, 4, 5, 16, 17, 20, 21]) + 0.01)
    assert halved(np.full((2, 2, 2), 255, np.uint8))[0, 0, 0] == 255


def test_a_frame_takes_the_box_to_plus_and_minus_one() -> None:
    grid = case_grid(10, 200.0)
    frame = Frame.of(grid)
    np.testing.assert_allclose(frame.stored(np.array([[100.0, -100, 100], [0, 0, 0]])), [[1, -1, -1], [0, 0, 0]])
    np.testing.assert_allclose(grid.centre, 0, atol=1e-12)
    assert frame.stored(grid.world_from_voxel(np.array([0.0, 0, 0]))).tolist() == pytest.approx([-0.9] * 3)


def test_an_odd_volume_is_refused(tmp_path: Path) -> None:
    grid = Grid.from_parts((4, 5, 4))
    with pytest.raises(InputError, match="even number of voxels"):
        write_ct(Processed(tmp_path), Volume(np.zeros((4, 5, 4), np.uint8), grid))
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_beyond_the_box_is_cut_at_its_sides(made: Path) -> None:
    for name in cases(made):
        femur: Mesh = read_mesh(made / "meshes" / name / "sub_1.obj")
        assert femur.vertices[:, 2].max() == pytest.approx(128, abs=1e-6)
        assert voxelise(femur, case_grid(24, 256.0)).any()
