"""voxbench prepare lumbarsr: scans whose place is known come out there, under the official names, or are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxbench.challenges.lumbarsr.alignment import moved_grid
from voxbench.challenges.lumbarsr.bone_masks import bone_agreement, filled_bone
from voxbench.challenges.lumbarsr.cases import Case
from voxbench.cli import main
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.io import read_labels, read_volume, write_volume

SEQUENCES = ("195X_195Y_500Z_B", "195X_195Y_1000Z_S", "586X_586Y_500Z_S")
TWO = ("mirrored", "turned")
"""Fewer than all four, for the sake of time; all of them are in a test of their own."""
MISSING = ["195X_195Y_500Z_S", "195X_195Y_1000Z_B", "586X_586Y_500Z_B", "586X_586Y_1000Z_S", "586X_586Y_1000Z_B"]


@dataclass(frozen=True)
class Run:
    """What the command left."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def samples(self) -> dict[str, Any]:
        return {found["sample"]: found for found in json.loads(self.out)}


@pytest.fixture(scope="module")
def prepared(scanned: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All three samples of `scanned`, one of them damaged."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("prepared") / "out"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        words = ["--data", str(scanned), "--out", str(folder), "--json", "--flip", *TWO]
        code = main(["prepare", "lumbarsr", *words])
    return Run(code, out.getvalue(), err.getvalue(), folder)


def run(*words: object) -> int:
    return main(["prepare", "lumbarsr", *(str(word) for word in words)])


# --- what comes out


@pytest.mark.parametrize(("sample", "flip"), [("Lumbar_01", "mirrored"), ("Lumbar_02", "turned")])
@pytest.mark.parametrize(("view", "least_mm"), [("195X", 0.1), ("586X", 0.3)])
def test_the_motion_is_found_to_half_a_pixel_at_every_corner(scans, prepared, sample, flip, view, least_mm):
    found = prepared.samples[sample]["fields_of_view"][view]
    assert found["flip"] == flip
    assert scans.error(found["micro_from_clinical"], flip) < least_mm
    assert abs(found["rotation_degrees"] - 5.0) < 1.0
    best, other = found["candidates"]
    assert (best["flip"], {best["flip"], other["flip"]}) == (flip, set(TWO))
    assert best["dice"] > other["dice"]


def test_the_official_names_are_there_and_nothing_else(prepared):
    names = {p.relative_to(prepared.folder).as_posix() for p in prepared.folder.rglob("*Lumbar_01*/*")}
    clinical = [f"Lumbar01_ClinicalCT_{sequence}" for sequence in SEQUENCES]
    assert names == {
        "RegisteredData/Lumbar_01/Lumbar01_MicroPCCT_105um.nii.gz",
        "BoneMask/Lumbar_01/Lumbar01_MicroPCCT_105um_BoneMask.nii.gz",
        *(f"RegisteredData/Lumbar_01/{name}_registered.nii.gz" for name in clinical),
        *(f"BoneMask/Lumbar_01/{name}_registered_BoneMask.nii.gz" for name in clinical),
        *(f"native/Lumbar_01/{name}_native.nii.gz" for name in clinical),
    }
    files = prepared.samples["Lumbar_01"]["files"]
    assert set(files) == names | {"preparation/Lumbar_01.png"}
    assert (prepared.folder / "preparation/Lumbar_01.png").read_bytes().startswith(b"\x89PNG")


def test_sequences_are_the_scans_through_the_motion_of_their_field_of_view_interpolated_once(scans, prepared):
    found = prepared.samples["Lumbar_01"]
    for sequence in SEQUENCES:
        case = Case("Lumbar_01", sequence)
        micro = read_volume(case.reference(prepared.folder))
        np.testing.assert_array_equal(micro.array, scans.micro.array[::-1, ::-1])  # DICOM's order
        assert (micro.grid.orientation, scans.micro.grid.orientation) == ("LPS+", "RAS+")
        np.testing.assert_allclose(micro.grid.centre, scans.micro.grid.centre, atol=1e-4)
        motion = Affine(np.array(found["fields_of_view"][sequence[:4]]["micro_from_clinical"]))
        stored = scans.lying(sequence, "mirrored")
        expected = resample(stored, micro.grid, motion.inverse(), "linear", -1024.0)
        registered = read_volume(case.registered(prepared.folder))
        assert registered.array.dtype == np.int16
        assert registered.grid.same_as(micro.grid)
        # The files' voxels are in another order: half a unit of rounding apart at most.
        assert np.abs(registered.array - expected.array).max() <= 0.51


def test_outside_of_what_was_scanned_is_minus_1024(scans, scanned, tmp_path):
    data = tmp_path / "data"
    one = data / "original_dicom/Lumbar_01"
    shutil.copytree(scanned / "original_dicom/Lumbar_02", one)
    shutil.rmtree(one / "clinical_ct")
    (one / "clinical_ct").mkdir()
    whole = scans.lying(SEQUENCES[0], "turned")
    # the scan ends within the micro-CT
    i, j, k = whole.grid.shape
    cut = Volume(whole.array[:, :, 12 : k - 12], whole.grid.cropped((0, 0, 12), (i, j, k - 12)))
    write_volume(one / f"clinical_ct/{SEQUENCES[0]}.nii.gz", cut)
    assert run("--data", data, "--out", tmp_path / "out", "--flip", "turned") == 0
    case = Case("Lumbar_01", SEQUENCES[0])
    registered, native = read_volume(case.registered(tmp_path / "out")), read_volume(case.native(tmp_path / "out"))
    index = native.grid.voxel_from_world(registered.grid.corners)
    outside = ((index < -0.01) | (index > np.array(native.grid.shape) - 0.99)).any(axis=1)
    corners = registered.array[np.ix_((0, -1), (0, -1), (0, -1))].reshape(-1)
    assert outside.any()
    assert (corners[outside] == -1024).all()
    assert (registered.array == -1024).mean() > 0.02


def test_native_voxels_are_those_of_the_scan_with_another_header(scans, prepared):
    for sample, flip in (("Lumbar_01", "mirrored"), ("Lumbar_02", "turned")):
        case = Case(sample, SEQUENCES[0])
        native = read_volume(case.native(prepared.folder))
        assert case.native(prepared.folder) == case.prepared_native(prepared.folder)
        assert np.array_equal(np.sort(native.array, axis=None), np.sort(scans.clinical[SEQUENCES[0]].array, axis=None))
        motion = Affine(np.array(prepared.samples[sample]["fields_of_view"]["195X"]["micro_from_clinical"]))
        moved = moved_grid(scans.lying(SEQUENCES[0], flip).grid, motion)
        ours = np.sort(np.round(native.grid.corners, 3), axis=0)
        np.testing.assert_allclose(ours, np.sort(np.round(moved.corners, 3), axis=0), atol=2e-3)
        on = resample(native, read_volume(case.reference(prepared.folder)).grid, None, "linear", -1024.0)
        registered = read_volume(case.registered(prepared.folder))
        assert np.abs(on.array - registered.array).max() <= 0.51


def test_predict_reads_the_native_voxels(prepared, tmp_path, capsys):
    words = [
        "--data",
        prepared.folder,
        "--out",
        tmp_path,
        "--sample",
        "Lumbar_01",
        "--sequence",
        SEQUENCES[0],
        "--json",
    ]
    assert main(["predict", "lumbarsr", *map(str, words)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["observations"] == {SEQUENCES[0]: "native"}
    case = Case("Lumbar_01", SEQUENCES[0])
    ours = read_volume(case.prediction(tmp_path, "trilinear")).array
    registered = read_volume(case.registered(prepared.folder)).array
    both = (ours > -1024) & (registered > -1024)
    assert both.mean() > 0.9
    assert np.abs(ours[both].astype(float) - registered[both]).max() <= 1


def test_bone_masks_are_filled_bone_and_their_agreement_is_in_the_note(prepared):
    numbers = prepared.samples["Lumbar_01"]["sequences"]
    for sequence in SEQUENCES:
        case = Case("Lumbar_01", sequence)
        files = case.bone_masks(prepared.folder)
        clinical, micro = (read_labels(path).array > 0 for path in files)
        np.testing.assert_array_equal(clinical, filled_bone(read_volume(case.registered(prepared.folder))))
        np.testing.assert_array_equal(micro, filled_bone(read_volume(case.reference(prepared.folder))))
        found = bone_agreement(micro, clinical, (0.105, 0.105, 0.105))
        for name, value in found.items():
            assert numbers[sequence][name] == pytest.approx(value, rel=1e-4)
        assert 0.8 < found["dice"] < 1
        assert found["hd95_mm"] <= found["hd_mm"] < 2.0


def test_missing_sequences_are_listed_and_the_one_registered_on_is_named(prepared):
    one, two = prepared.samples["Lumbar_01"], prepared.samples["Lumbar_02"]
    assert one["missing"] == MISSING
    assert one["fields_of_view"]["195X"]["registered_on"] == "195X_195Y_500Z_B"
    assert one["fields_of_view"]["586X"]["registered_on"] == "586X_586Y_500Z_S"  # no bone kernel there
    assert two["missing"] == sorted([*MISSING, "195X_195Y_1000Z_S"], key=prepared_order)
    assert f"missing: {', '.join(MISSING)}" in prepared.err.replace("\n", " ")
    assert any("mirror image" in warning for warning in one["warnings"])
    assert not any("mirror image" in warning for warning in two["warnings"])


def test_the_note_of_a_sample_holds_hashes_versions_and_settings(prepared, scanned):
    import hashlib

    note = json.loads((prepared.folder / "preparation/Lumbar_02.json").read_text())
    found = prepared.samples["Lumbar_02"]
    assert note == {key: value for key, value in found.items() if key not in ("error", "seconds")}
    for file, told in note["files"].items():
        assert hashlib.sha256((prepared.folder / file).read_bytes()).hexdigest() == told
    source = scanned / "original_dicom/Lumbar_02/micro_ct.nii.gz"
    assert note["micro_ct"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert note["micro_ct"]["shape"] == [104, 96, 76]
    assert note["settings"]["flips"] == list(TWO)
    assert {"voxbench", "numpy"} <= set(note)


def test_one_bad_sample_is_named_and_does_not_stop_the_others(prepared):
    assert prepared.code == 1
    assert "1 of 3 cases failed" in prepared.err
    cut = f"Lumbar_03/clinical_ct/{SEQUENCES[0]}/IM0004.dcm: DICOM that cannot be read"
    assert cut in prepared.err.replace("\n", "")
    assert "Traceback" not in prepared.err
    assert not list(prepared.folder.glob("*/*Lumbar_03*/*"))
    assert not list(prepared.folder.glob(".*"))


# --- once more


def test_a_second_start_keeps_what_is_done_and_repairs_what_is_gone(prepared, scanned, tmp_path, capsys):
    shutil.copytree(prepared.folder, tmp_path / "out")
    gone = Case("Lumbar_02", SEQUENCES[0]).registered(tmp_path / "out")
    before = gone.read_bytes()
    gone.unlink()
    words = ("--data", scanned, "--out", tmp_path / "out", "--sample", "Lumbar_01", "Lumbar_02", "--flip", *TWO)
    assert run(*words) == 0
    err = capsys.readouterr().err
    assert err.count("(kept)") == 1
    assert gone.read_bytes() == before  # the same to the byte


def test_a_sequence_that_is_gone_takes_its_files_with_it(prepared, scanned, tmp_path):
    shutil.copytree(prepared.folder, tmp_path / "out")
    shutil.copytree(scanned / "original_dicom/Lumbar_02", tmp_path / "data/original_dicom/Lumbar_02")
    (tmp_path / f"data/original_dicom/Lumbar_02/clinical_ct/{SEQUENCES[2]}.nii.gz").unlink()
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out", "--flip", "turned") == 0
    assert not list((tmp_path / "out").rglob("Lumbar02*586X*"))
    assert len(list((tmp_path / "out").rglob("Lumbar02*195X*"))) == 3
    assert len(list((tmp_path / "out").rglob("Lumbar01*586X*"))) == 3


def test_what_a_killed_start_left_half_written_goes(prepared, scanned, tmp_path):
    shutil.copytree(prepared.folder, tmp_path / "out")
    for sample in ("Lumbar_02", "Lumbar_07"):
        (tmp_path / f"out/.0badcafe.part.{sample}/native").mkdir(parents=True)
    assert run("--data", scanned, "--out", tmp_path / "out", "--sample", "Lumbar_02", "--flip", *TWO) == 0
    assert [p.name for p in (tmp_path / "out").glob(".*")] == [".0badcafe.part.Lumbar_07"]  # another start's, maybe


def test_a_file_where_the_folder_should_be_is_refused(scanned, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert run("--data", scanned, "--out", tmp_path / "out", "--sample", "Lumbar_02") == 1
    assert f"voxbench: {tmp_path / 'out'}" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_data_of_other_origin_are_not_replaced_unless_asked(scanned, tmp_path, capsys):
    theirs = Case("Lumbar_02", SEQUENCES[0]).registered(tmp_path)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    words = ("--data", scanned, "--out", tmp_path, "--sample", "Lumbar_02", "--flip", "turned")
    assert run(*words) == 1
    assert "RegisteredData/Lumbar_02: exists already" in capsys.readouterr().err
    assert theirs.read_bytes() == b"theirs"
    assert run(*words, "--force") == 0
    assert read_volume(theirs).array.shape == (104, 96, 76)


# --- bad scans: one message, exit code 1, nothing written

Spoil = Callable[[Path, Any, Any], None]


def _mixed(folder: Path, scans: Any, series: Any) -> None:
    whole = scans.clinical[SEQUENCES[0]]
    i, j, _ = whole.grid.shape
    part = Volume(whole.array[:, :, :2], whole.grid.cropped((0, 0, 0), (i, j, 2)))
    for file in series(folder / "more", part, "1.2.4"):
        file.rename(folder / f"B{file.name}")
    (folder / "more").rmdir()


def _both(folder: Path, scans: Any, _series: Any) -> None:
    write_volume(folder / "again.nii.gz", scans.clinical[SEQUENCES[0]])


def _no_bone(folder: Path, scans: Any, _series: Any) -> None:
    shutil.rmtree(folder)
    dark = Volume((scans.clinical[SEQUENCES[0]].array // 16).astype(np.int16), scans.clinical[SEQUENCES[0]].grid)
    write_volume(folder.with_name(f"{folder.name}.nii.gz"), dark)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f, *_: (f / "IM0005.dcm").unlink(), "1 missing slices: the slices are 0.5 mm apart, but 1 mm between"),
        (
            lambda f, *_: shutil.copy(f / "IM0005.dcm", f / "copy.dcm"),
            "1 slices are there more than once: IM0005.dcm and",
        ),
        (lambda f, *_: (f / "IM0005.dcm").write_bytes(b""), "IM0005.dcm: not DICOM, or cut off at its beginning"),
        (
            lambda f, *_: (f / "IM0005.dcm").write_bytes((f / "IM0005.dcm").read_bytes()[:900]),
            "IM0005.dcm: DICOM that cannot be read",
        ),
        (_mixed, "2 series in one folder"),
        (_both, "2 scans in one place; leave one of them"),
        (_no_bone, "the clinical CT shows no bone: no voxel above 200 HU"),
    ],
)
def test_a_bad_series_is_refused(spoil: Spoil, says, scans, scanned, series, tmp_path, capsys):
    one = tmp_path / "data/original_dicom/Lumbar_01"
    shutil.copytree(scanned / "original_dicom/Lumbar_01", one)
    spoil(one / "clinical_ct" / SEQUENCES[0], scans, series)
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert says in err.replace("\n", " ").replace("  ", " ")
    assert "Traceback" not in err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["cases"]


def test_a_micro_ct_of_another_spacing_or_none_is_refused(scans, scanned, tmp_path, capsys):
    one = tmp_path / "data/original_dicom/Lumbar_01"
    shutil.copytree(scanned / "original_dicom/Lumbar_02", one)
    coarse = Volume(scans.micro.array, Grid.from_parts(scans.micro.grid.shape, (0.2, 0.2, 0.2)))
    write_volume(one / "micro_ct.nii.gz", coarse)
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out") == 1
    assert "a micro-CT of LumbarSR has 0.105 mm between voxels" in capsys.readouterr().err
    (one / "micro_ct.nii.gz").unlink()
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out") == 1
    assert "no micro-CT" in capsys.readouterr().err
    shutil.rmtree(one / "clinical_ct")
    write_volume(one / "micro_ct.nii.gz", scans.micro)
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out") == 1
    assert "none of the sequences" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 1, "no samples (folders named Lumbar_<number>)"),
        (("--sample", "Lumbar_1x"), 2, "Lumbar_1x: not a sample's name"),
        (("--sample", "Lumbar_01"), 1, "1 of 1 samples are missing"),
        (("--sequence", "1X"), 2, "1X: not a sequence of LumbarSR"),
        (("--flip", "upside-down"), 2, "upside-down"),
        (("--jobs", "0"), 2, "--jobs must be at least 1; got 0"),
        (("--split", "released"), 2, "--split released: no such split"),
        (("--split", "seed-phase-2"), 2, "its micro-CT is hidden"),
        (("--split", "released-test"), 1, "5 of 5 samples are missing"),
        (
            ("--split", "released-test", "--sample", "Lumbar_01"),
            2,
            "give --sample or the split released-test, not both",
        ),
    ],
)
def test_misuse_is_one_message_and_leaves_nothing(words, code, says, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    if "--sequence" in words:
        (tmp_path / "data/original_dicom/Lumbar_01").mkdir(parents=True)
    assert run("--data", tmp_path / "data", "--out", tmp_path / "out", *words) == code
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def prepared_order(sequence: str) -> int:
    from voxbench.challenges.lumbarsr.cases import SEQUENCES as ALL

    return ALL.index(sequence)
