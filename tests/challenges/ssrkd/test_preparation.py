"""CTs with meshes, label maps or alone become SSR-KD's layout; what does not fit is one message and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxbench.challenges.ssrkd import reading
from voxbench.challenges.ssrkd.bones import read_bones, side_of
from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.frames import require_ct
from voxbench.challenges.ssrkd.placement import in_cube, place
from voxbench.challenges.ssrkd.preparation import Shown, SsrkdPreparation, prepare_case, window_of, write_info
from voxbench.challenges.ssrkd.processed import Processed, case_grid
from voxbench.challenges.ssrkd.radiographs import device_of
from voxbench.challenges.ssrkd.sources import Source, find_sources, read_patients
from voxbench.errors import FileReadError, InputError, NotFiniteError, UsageError
from voxbench.geometry import Affine, Grid, LabelMap, Mesh, Volume, voxelise
from voxbench.io import read_mesh, write_mesh, write_volume
from voxbench.report.knee_preparation import knee_picture

SIZE = 64
SETTINGS = SsrkdPreparation(size=SIZE, angles=(0.0, 90.0), points=60, device=device_of("consistent", SIZE))
IDS = SETTINGS.ids


def source(folder: Path, **changes: Any) -> Source:
    """The only case of a folder."""
    (found,) = find_sources(folder)
    return replace(found, **changes)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, knee: Any) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("prepare")
    knee.write(folder / "data" / "a", "ct", "meshes")
    return folder / "out", prepare_case(source(folder / "data"), folder / "out", SETTINGS, knee_picture)


def test_a_case_with_meshes_has_every_file_of_the_seed(prepared: tuple[Path, dict[str, Any]]) -> None:
    out, record = prepared
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    stored = {"projs", "bone_mask", "ct_256x", "ct_512x", "seg_mask", "sampling", "spacing"}
    expected = {f"processed/a/{name}.npz" for name in stored} | {"processed/a/mesh.obj"}
    expected |= {f"processed/a/submesh/sub_{n}.obj" for n in range(4)} | {f"meshes/a/sub_{n}.obj" for n in range(4)}
    assert files == expected | {"preparation/a.json", "preparation/a.png"}
    assert set(record["files"]) == files - {"preparation/a.json"}
    assert json.loads((out / "preparation/a.json").read_text()) == json.loads(json.dumps(record))
    assert (record["side"], record["labelled"], record["warnings"]) == ("right", "by meshes", [])


def test_meshes_labels_shadows_and_ct_are_of_one_world(prepared: tuple[Path, dict[str, Any]], knee: Any) -> None:
    case = Processed(prepared[0] / "processed" / "a")
    ct, labels, meshes = reading.read_ct(case, "large"), reading.read_labels(case), reading.read_meshes(case)
    assert ct.grid.same_as(case_grid(SIZE, 256.0), 1e-9)
    for number, bone in enumerate(BONES, 1):
        # the knee's grid is symmetric about the origin, so that the cube's world is the knee's
        np.testing.assert_allclose(meshes[bone].vertices, knee.meshes[bone].vertices, atol=1e-4)
        np.testing.assert_array_equal(labels.array == number, voxelise(meshes[bone], labels.grid))
        world = read_mesh(prepared[0] / "meshes" / "a" / f"sub_{number - 1}.obj")
        np.testing.assert_allclose(world.vertices, meshes[bone].vertices, atol=1e-9)
    within = ct.array[labels.array > 0]
    assert np.median(within) == 255
    assert ct.array[0, 0, 0] == 0
    frontal = reading.read_radiographs(case).at(0.0)
    shadow = reading.read_shadows(case).at(0.0)
    assert frontal[shadow].mean() > 1.5 * frontal[~shadow & (frontal > 0.2 * frontal.max())].mean()


def test_a_label_map_gives_nearly_the_same_bones_as_the_meshes_and_any_values_will_do(
    tmp_path: Path, knee: Any, prepared: tuple[Path, dict[str, Any]]
) -> None:
    values = np.array([0, 7, 5, 8, 6], np.uint8)
    drawn = replace(knee, labels=LabelMap(values[knee.labels.array], knee.labels.grid))
    drawn.write(tmp_path / "data" / "a", "ct", "labels")
    settings = SETTINGS.model_copy(update={"labels": (7, 5, 8, 6)})
    record = prepare_case(source(tmp_path / "data"), tmp_path / "out", settings)
    assert record["labelled"] == "by labels"
    one, other = (reading.read_labels(Processed(out / "processed/a")).array for out in (prepared[0], tmp_path / "out"))
    for number, bone in enumerate(BONES, 1):
        assert dice(one == number, other == number) > 0.9
        assert record["volumes_ml"][bone] == pytest.approx(prepared[1]["volumes_ml"][bone], rel=0.03)


def test_another_voxel_order_and_place_change_only_the_middle(
    tmp_path: Path, make_knee: Callable[..., Any], prepared: tuple[Path, dict[str, Any]]
) -> None:
    """A CT in LPS order, elsewhere in the world: the cube's content is the same."""
    axes = np.diag([-1.0, -1.0, 1.0])
    grid = Grid.from_parts((60, 60, 96), (2.0, 2.0, 2.0), (59.0 + 30, 59.0 - 200, -95.0 + 1000), axes)
    make_knee(grid, (30, -200, 1000)).write(tmp_path / "data" / "a", "ct", "meshes")
    record = prepare_case(source(tmp_path / "data"), tmp_path / "out", SETTINGS)
    np.testing.assert_allclose(record["middle_mm"], [30, -200, 1000], atol=1e-9)
    for what in (reading.read_labels, lambda case: reading.read_ct(case, "large")):
        one, other = (what(Processed(out / "processed/a")).array for out in (prepared[0], tmp_path / "out"))
        assert (one != other).mean() < 1e-4  # centres on a surface
    with np.load(tmp_path / "out/processed/a/spacing.npz") as content:
        np.testing.assert_allclose(content["source_from_world"][:3, 3], [30, -200, 1000])


def test_a_larger_ct_is_cropped_about_the_joint_and_a_smaller_one_padded_with_air(
    tmp_path: Path, knee: Any, prepared: tuple[Path, dict[str, Any]]
) -> None:
    settings = SETTINGS.model_copy(update={"field_mm": 140.0})
    knee.write(tmp_path / "data" / "a", "ct", "meshes")
    record = prepare_case(source(tmp_path / "data"), tmp_path / "out", settings)
    femur, tibia = (knee.meshes[bone].bounds for bone in ("femur", "tibia"))
    np.testing.assert_allclose(record["middle_mm"], [0, 0, (femur[0][2] + tibia[1][2]) / 2], atol=1e-3)
    assert record["cropped_mm"] == {"along the leg": pytest.approx(52)}
    assert record["padded_mm"] == {"left to right": pytest.approx(20), "back to front": pytest.approx(20)}
    (warning,) = record["warnings"]
    assert warning == "the CT is longer than the cube along the leg: cropped about the bones, 52 mm lie outside"
    for bone in ("femur", "tibia"):
        mesh = read_mesh(tmp_path / "out/meshes/a" / f"sub_{BONES.index(bone)}.obj")
        assert np.abs(mesh.bounds[0 if bone == "tibia" else 1][2]) == pytest.approx(70, abs=1e-6)
        assert record["share_in_cube"][bone] < 0.9
    assert prepared[1]["cropped_mm"] == {}
    ct = reading.read_ct(Processed(prepared[0] / "processed/a"), "large")
    assert (ct.array[:, 0] == 0).all()


def test_a_ct_keeps_its_values_in_the_cube_and_ends_at_the_outer_faces_of_its_voxels() -> None:
    grid = Grid.from_parts((30, 20, 25), (4.0, 4.0, 4.0), (7.0, -3.0, 11.0))
    points = np.stack(np.indices(grid.shape), -1) @ np.array([3.0, -2.0, 5.0])
    ct = Volume(points.astype(np.float32), grid)
    placement = place(ct, 128.0, None)
    found = in_cube(ct, placement, 64, 128.0)
    assert found.array.dtype == np.int16
    np.testing.assert_allclose(placement.middle, grid.centre)
    inside = found.array != -1024
    assert inside.sum() * 8 == pytest.approx(grid.size * 64, rel=0.02)
    where = grid.voxel_from_world(found.grid.world_from_voxel(np.argwhere(inside).astype(float)) + placement.middle)
    inner = ((where >= 0) & (where <= np.array(grid.shape) - 1)).all(axis=1)
    expected = where @ np.array([3.0, -2.0, 5.0])
    assert np.abs(found.array[inside] - expected)[inner].max() <= 0.51
    assert np.abs(found.array[inside] - expected).max() <= 5.6  # the outermost half voxel repeats its neighbour


def test_a_ct_alone_is_unlabelled_and_its_cube_lies_about_what_is_bright(tmp_path: Path, knee: Any) -> None:
    knee.write(tmp_path / "data" / "a", "ct")
    settings = SETTINGS.model_copy(update={"field_mm": 100.0, "radiograph_noise": None})
    pictures: list[tuple[Shown, ...]] = []
    one = source(tmp_path / "data")
    record = prepare_case(one, tmp_path / "out", settings, lambda _, panels: pictures.append(tuple(panels)))
    assert (record["labelled"], record["side"]) == (None, None)
    assert {path.name for path in (tmp_path / "out/processed/a").iterdir()} == {
        "ct_256x.npz", "ct_512x.npz", "projs.npz", "spacing.npz",
    }  # fmt: skip
    assert not (tmp_path / "out/meshes").exists()
    assert [(panel.title, panel.shadows) for panel in pictures[0]] == [("0 degrees", {}), ("90 degrees", {})]
    assert np.abs(record["middle_mm"]).max() <= 10


def test_the_released_window_stretches_each_image(knee: Any) -> None:
    assert window_of(knee.ct, "fixed") == (-400, 500)
    soft = Volume(np.clip(knee.ct.array, -100, 300), knee.ct.grid)
    assert window_of(soft, "per-image") == (-100, 300)
    with pytest.raises(InputError, match="every voxel of the cube is 500 HU"):
        window_of(Volume(np.full((4, 4, 4), 900, np.int16), Grid.from_parts((4, 4, 4))), "per-image")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v * np.array([-1, -1, 1]), "LPS taken for RAS.*\n.*give --mesh-space LPS"),
        (lambda v: v / 1000, "the bones are 0.19.* mm long together.*\n.*in metres"),
        (lambda v: v * 1000, "the bones are .* mm long together.*\n.*in micrometres"),
        (lambda v: v / 96, "the bones are 1.9.* mm long together.*\n.*normalised"),
        (lambda v: v + np.array([0, 0, 500]), "0 % of the bones' vertices lie within the CT\n  bones .*\n  CT "),
        (lambda v: v[:, [2, 0, 1]], "do not lie on those of the CT"),
    ],
)
def test_bones_in_another_frame_are_refused_with_the_likely_reason(
    tmp_path: Path, knee: Any, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    meshes = {bone: Mesh(change(mesh.vertices), mesh.faces) for bone, mesh in knee.meshes.items()}
    replace(knee, meshes=meshes).write(tmp_path / "a", "ct", "meshes")
    with pytest.raises(InputError, match=message):
        read_bones(source(tmp_path), knee.ct, IDS, "RAS")


def test_meshes_said_to_be_lps_are_turned(tmp_path: Path, knee: Any) -> None:
    turned = {bone: Mesh(mesh.vertices * [-1, -1, 1], mesh.faces) for bone, mesh in knee.meshes.items()}
    replace(knee, meshes=turned).write(tmp_path / "a", "ct", "meshes")
    found = read_bones(source(tmp_path), knee.ct, IDS, "LPS")
    assert found is not None
    np.testing.assert_allclose(found.meshes["tibia"].vertices, knee.meshes["tibia"].vertices, atol=1e-4)
    assert side_of(found.meshes) == "right"


def test_faces_turned_inwards_are_turned_and_open_surfaces_refused(tmp_path: Path, knee: Any) -> None:
    knee.write(tmp_path / "a", "ct", "meshes")
    femur = knee.meshes["femur"]
    write_mesh(tmp_path / "a/femur.stl", Mesh(femur.vertices, femur.faces[:, ::-1]))
    found = read_bones(source(tmp_path), knee.ct, IDS)
    assert found is not None
    assert found.meshes["femur"].volume > 0
    write_mesh(tmp_path / "a/femur.stl", Mesh(femur.vertices, femur.faces[:-3]))
    with pytest.raises(InputError, match=r"femur.stl: an open surface has no inside: \d+ edges"):
        read_bones(source(tmp_path), knee.ct, IDS)


def test_a_label_map_beside_meshes_must_agree_with_them(tmp_path: Path, knee: Any) -> None:
    knee.write(tmp_path / "a", "ct", "meshes", "labels")
    found = read_bones(source(tmp_path), knee.ct, IDS)
    assert found is not None
    assert found.kind == "meshes"
    with pytest.raises(InputError, match=r"patella: label 2 and the mesh beside it disagree: Dice 0.00"):
        read_bones(source(tmp_path), knee.ct, IDS | {"patella": 2, "femur": 1})


def test_a_label_map_without_a_bone_names_the_values_it_has(tmp_path: Path, knee: Any) -> None:
    knee.write(tmp_path / "a", "ct", "labels")
    with pytest.raises(InputError, match=r"fibula: no voxel has label 9; there are .*1, 2, 3, 4\n  --labels names the"):
        read_bones(source(tmp_path), knee.ct, IDS | {"fibula": 9})


@pytest.mark.parametrize(
    ("scale", "values", "message"),
    [
        (0.001, 1, "the CT is 0.192 mm long.*\n.*in metres"),
        (1000.0, 1, "the CT is 1.92e.05 mm long.*\n.*in micrometres"),
        (1.0, 0, "no bone: no value reaches 200 HU"),
        (1.0, "offset", "no fat and no air"),
    ],
)
def test_a_ct_that_is_not_in_mm_and_hu_is_refused(knee: Any, scale: float, values: Any, message: str) -> None:
    array = knee.ct.array + 1024 if values == "offset" else knee.ct.array * values
    matrix = np.diag([scale, scale, scale, 1.0]) @ knee.ct.grid.world_from_voxel.matrix
    ct = Volume(array, Grid(knee.ct.grid.shape, Affine(matrix, "world", "voxel")))
    with pytest.raises(InputError, match=message):
        require_ct(ct, Path("ct.nii.gz"))


def test_a_ct_with_nan_is_refused(knee: Any) -> None:
    array = knee.ct.array.astype(np.float32)
    array[0, 0, :2] = np.nan
    with pytest.raises(NotFiniteError, match=r"ct.nii: 2 values are NaN"):
        require_ct(Volume(array, knee.ct.grid), Path("ct.nii"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_cases_are_found_in_folders_and_in_loose_files(tmp_path: Path) -> None:
    bones = ["Left_Patella.stl", "sub_1.obj", "fibula.ply", "knee-tibia.obj", "mesh.obj"]
    touch(tmp_path, "a/scan.nii.gz", "a/a_label.nrrd", *(f"b/models/{name}" for name in bones), "b/ct.mha")
    touch(tmp_path, "c.mhd", "c.raw", "c_seg.nii.gz", "cc.nrrd", *(f"cc/{name}" for name in bones), "notes.txt")
    a, b, c, cc = find_sources(tmp_path)
    assert (a.case, a.ct.name, a.labels and a.labels.name, a.labelled) == ("a", "scan.nii.gz", "a_label.nrrd", True)
    assert {bone: path.name for bone, path in b.meshes.items()} == dict(
        zip(
            ("fibula", "patella", "femur", "tibia"),
            ("fibula.ply", "Left_Patella.stl", "sub_1.obj", bones[3]),
            strict=True,
        )
    )
    assert (c.ct.name, c.labels and c.labels.name) == ("c.mhd", "c_seg.nii.gz")
    assert c.inputs()["ct .raw"].name == "c.raw"
    assert (cc.ct.name, len(cc.meshes), cc.side) == ("cc.nrrd", 4, None)


def test_the_organisers_folders_tell_the_side_and_both_sides_of_a_number_are_one_patient(tmp_path: Path) -> None:
    touch(tmp_path, "FL/007.mhd", "FR/007.mhd", "ML/007.mhd", "README.md")
    found = find_sources(tmp_path)
    assert [(s.case, s.patient, s.side) for s in found] == [
        ("FL_007", "F_007", "left"), ("FR_007", "F_007", "right"), ("ML_007", "M_007", "left"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "no CT here\n  expected  <case>/"),
        (("a/femur.stl",), "a: no mesh of patella, fibula, tibia; found femur.stl|a: no CT"),
        (("a/x.nii.gz", "a/y.nii.gz"), "a: 2 images could be the CT: x.nii.gz, y.nii.gz; leave one"),
        (("a/ct.nii.gz", "a/femur.stl", "a/sub_1.obj"), "a: two meshes of the femur: femur.stl and sub_1.obj"),
        (("a/ct.nii", "a/femur.stl"), "a: no mesh of patella, fibula, tibia; found femur.stl"),
        (("a/ct.nii", "a/x_seg.nii", "a/mask.nrrd"), "a: 2 label maps: mask.nrrd, x_seg.nii"),
    ],
)
def test_folders_that_do_not_tell_what_is_what_are_refused(
    tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    touch(tmp_path, *files)
    with pytest.raises(FileReadError, match=message):
        find_sources(tmp_path)


def test_patients_are_read_from_a_table_that_must_know_every_case(tmp_path: Path) -> None:
    table = tmp_path / "who.csv"
    table.write_text("case,patient\na,p\nb,p\nc,q\n")
    assert read_patients(table, ["a", "b"]) == {"a": "p", "b": "p"}
    with pytest.raises(UsageError, match=r"who.csv: no patient for d"):
        read_patients(table, ["a", "d"])
    table.write_text("case,patient\na,p\na,q\n")
    with pytest.raises(FileReadError, match="case a is there twice: of patient p and of q"):
        read_patients(table, ["a"])
    table.write_text("name,who\na,p\n")
    with pytest.raises(FileReadError, match="expected the columns case and patient; found name, who"):
        read_patients(table, ["a"])


def test_no_patient_is_split_and_unlabelled_knees_of_those_who_test_are_held_out(tmp_path: Path) -> None:
    cases = [(f"{p}{side}", p, known) for p in "abcdefghij" for side, known in (("L", "by meshes"), ("R", None))]
    records = [{"case": c, "patient": p, "labelled": k, "side": None} for c, p, k in cases]
    info = write_info(tmp_path, SETTINGS, records)
    assert info == json.loads((tmp_path / "info.json").read_text())
    assert (len(info["train"]), len(info["val"]), len(info["test"])) == (7, 1, 2)
    train = {case[0] for case in (*info["train"], *info["unlabelled"])}
    apart = {case[0] for name in ("val", "test", "held_out") for case in info[name]}
    assert (train & apart, len(train | apart)) == (set(), 10)


def test_a_leg_that_is_not_of_its_folders_side_is_told_of(tmp_path: Path, knee: Any) -> None:
    knee.write(tmp_path / "data" / "a", "ct", "meshes")
    record = prepare_case(source(tmp_path / "data", side="left"), tmp_path / "out", SETTINGS)
    assert record["warnings"] == [
        "its folder says left, but the fibula lies as in a right leg: mirrored, or misplaced?"
    ]


def test_nothing_is_left_of_a_case_that_fails_late(tmp_path: Path, knee: Any) -> None:
    knee.write(tmp_path / "data" / "a", "ct", "meshes")

    def draw(*_: object) -> None:
        raise InputError("no picture")

    with pytest.raises(InputError, match="no picture"):
        prepare_case(source(tmp_path / "data"), tmp_path / "out", SETTINGS, draw)
    assert list((tmp_path / "out").rglob("*")) == []


def test_a_dicom_series_is_a_ct(tmp_path: Path) -> None:
    for name in ("a/series/0001.dcm", "a/series/IM2"):
        touch(tmp_path, name)
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    (found,) = find_sources(tmp_path)
    assert (found.case, found.ct.name, found.labelled) == ("a", "series", False)


def test_a_ct_of_other_spacing_is_smoothed_before_larger_voxels_take_its_values(knee: Any) -> None:
    rng = np.random.default_rng(0)
    grid = Grid.from_parts((64, 64, 64), (1.0, 1.0, 1.0), (-31.5, -31.5, -31.5))
    noise = Volume(rng.normal(0, 100, grid.shape).astype(np.float32), grid)
    found = in_cube(noise, place(noise, 64.0, None), 16, 64.0)
    assert found.array.std() < 25


def test_files_that_are_not_written_yet_are_written_whole(tmp_path: Path, knee: Any) -> None:
    write_volume(tmp_path / "ct.nii.gz", knee.ct)
    record = prepare_case(Source("b", "b", None, tmp_path / "ct.nii.gz"), tmp_path / "out", SETTINGS)
    assert all((tmp_path / "out" / file).is_file() for file in record["files"])
