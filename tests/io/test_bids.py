"""Results under BIDS names: what the standard asks for, and nothing lost on the way."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from voxbench.errors import FileReadError, FileWriteError, InputError, UsageError
from voxbench.geometry import DisplacementField, Grid, LabelMap, Volume
from voxbench.io import read_displacement, read_labels, read_volume, write_displacement, write_labels, write_volume
from voxbench.io.bids import BidsExport, Meaning, results_in, write_bids
from voxbench.io.label_names import LabelNames, read_label_names

GRID = Grid.from_parts((7, 6, 5), (1.5, 1.0, 2.0), (3.0, -4.0, 5.0), np.diag([-1.0, -1.0, 1.0]))


def labels(value: int = 3) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[1:3, 2:4, 1:4] = value
    return LabelMap(array, GRID)


def field() -> DisplacementField:
    return DisplacementField(np.random.default_rng(0).normal(size=(*GRID.shape, 3)).astype(np.float32), GRID)


def export(folder: Path, out: Path, settings: BidsExport | None = None, names: LabelNames | None = None) -> list[str]:
    settings = settings or BidsExport()
    write_bids(out, results_in(folder, settings), settings, Meaning(names))
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("12_t2_SPACE.mha", "sub-12/anat/sub-12_acq-t2SPACE_seg-voxbench_dseg"),
        ("lnq2023-test-0002-seg.nrrd", "sub-0002/anat/sub-0002_seg-voxbench_dseg"),
        ("sub-07_ses-a_acq-hi_dseg.nii.gz", "sub-07/anat/sub-07_ses-a_acq-hi_seg-voxbench_dseg"),
        ("a case_no.5.nii.gz", "sub-acaseno5/anat/sub-acaseno5_seg-voxbench_dseg"),
    ],
)
def test_label_maps_get_a_subject_and_a_table(tmp_path: Path, file: str, target: str) -> None:
    (tmp_path / "in").mkdir()
    write_labels(tmp_path / "in" / file, labels())
    names = LabelNames({3: "L3", 4: "L2"}, {3: (1.0, 0.0, 1.0)})
    assert export(tmp_path / "in", tmp_path / "out", names=names) == sorted(
        [
            "README",
            "code/voxbench.tsv",
            "dataset_description.json",
            *(f"{target}.{e}" for e in ("nii.gz", "json", "tsv")),
        ]
    )
    back = read_labels(tmp_path / "out" / f"{target}.nii.gz")
    assert np.array_equal(back.array, labels().array)
    assert back.grid.same_as(GRID)
    with (tmp_path / "out" / f"{target}.tsv").open() as table:
        assert list(csv.DictReader(table, delimiter="\t")) == [{"index": "3", "name": "L3", "color": "#ff00ff"}]
    assert json.loads((tmp_path / "out" / f"{target}.json").read_text())["Manual"] is False


def test_a_registration_becomes_transforms_and_warped_images(tmp_path: Path) -> None:
    folder = tmp_path / "run 1"
    folder.mkdir()
    for name in ("displacement", "inverse_displacement"):
        write_displacement(folder / f"{name}.nii.gz", field())
    image = Volume(np.random.default_rng(1).normal(size=GRID.shape).astype(np.float32), GRID)
    write_volume(folder / "warped.nii.gz", image)
    write_labels(folder / "warped_labels.nii.gz", labels())
    files = export(folder, tmp_path / "out", BidsExport(suffix="T2w"))
    stem = "sub-run1/anat/sub-run1_"
    for target in (
        "from-moving_to-fixed_mode-image_xfm.nii.gz",
        "from-fixed_to-moving_mode-image_xfm.nii.gz",
        "space-fixed_desc-warped_T2w.nii.gz",
        "space-fixed_seg-voxbench_dseg.nii.gz",
    ):
        assert stem + target in files
        assert stem + target.replace(".nii.gz", ".json") in files
    moved = tmp_path / "out" / f"{stem}from-moving_to-fixed_mode-image_xfm.nii.gz"
    np.testing.assert_allclose(read_displacement(moved).array, field().array, atol=1e-5)
    itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(moved)))
    np.testing.assert_allclose(itk.transpose(2, 1, 0, 3), field().array * [-1, -1, 1], atol=1e-5)
    assert np.array_equal(
        read_volume(tmp_path / "out" / f"{stem}space-fixed_desc-warped_T2w.nii.gz").array, image.array
    )
    sidecar = json.loads((tmp_path / "out" / f"{stem}space-fixed_desc-warped_T2w.json").read_text())
    assert sidecar["SpatialReference"] == "the fixed image of the registration"


def test_fields_of_pairs_name_both(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_displacement(tmp_path / "in" / "disp_3455_3454.nii.gz", field())
    target = "sub-3455/anat/sub-3455_from-3454_to-3455_mode-image_xfm.nii.gz"
    assert target in export(tmp_path / "in", tmp_path / "out")


def test_the_description_says_what_it_is_and_where_from(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_labels(tmp_path / "in" / "1_t1.mha", labels())
    export(tmp_path / "in", tmp_path / "out", BidsExport(name="Spines", source="https://example.org/data"))
    content = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert (content["Name"], content["DatasetType"]) == ("Spines", "derivative")
    assert content["BIDSVersion"]
    assert content["GeneratedBy"][0]["Name"] == "voxbench"
    assert content["SourceDatasets"] == [{"URL": "https://example.org/data"}]
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "out").rglob("*.[jt]s*"))
    with pytest.raises(FileWriteError, match="BIDS derivatives that voxbench exported already; --force replaces it"):
        export(tmp_path / "in", tmp_path / "out")


def test_what_makes_no_names_is_refused(tmp_path: Path) -> None:
    for name in ("in", "___", "empty"):
        (tmp_path / name).mkdir()
    for file in ("a-b.mha", "a_b.nii.gz"):
        write_labels(tmp_path / "in" / file, labels())
    with pytest.raises(InputError, match=r"sub-ab_seg-voxbench_dseg\.nii\.gz: two results would be called so"):
        results_in(tmp_path / "in", BidsExport())
    with pytest.raises(FileReadError, match="no image here"):
        results_in(tmp_path / "empty", BidsExport())
    with pytest.raises(FileReadError, match="no such folder"):
        results_in(tmp_path / "nowhere", BidsExport())
    write_displacement(tmp_path / "___" / "displacement.nii.gz", field())
    with pytest.raises(UsageError, match="say which subject it is"):
        results_in(tmp_path / "___", BidsExport())
    (tmp_path / "in" / "a-b.mha").unlink()
    write_volume(tmp_path / "in" / "a_b.nii.gz", Volume(np.full(GRID.shape, 0.5, np.float32), GRID))
    with pytest.raises(InputError, match="whole numbers"):
        export(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("n.tsv", "index\tname\tcolor\n3\tL3\t#ff8000\n4\tL2\t\n"),
        ("n.csv", "index,name,color\n3,L3,#ff8000\n4,L2,\n"),
        ("n.json", '{"3": {"name": "L3", "color": "#ff8000"}, "4": "L2"}'),
    ],
)
def test_names_come_from_tables_and_json(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    found = read_label_names(tmp_path / file)
    assert dict(found.names) == {3: "L3", 4: "L2"}
    assert dict(found.colours) == {3: (1.0, pytest.approx(128 / 255), 0.0)}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("n.tsv", "index\tname\n-3\tL3\n", "line 2: expected index, name"),
        ("n.csv", "label,name\n3,L3\n", "line 2: expected index, name"),
        ("n.csv", "index,name,color\n3,L3,red\n", "color as #rrggbb"),
        ("n.json", "[1]", "expected {"),
        ("n.json", "{", "not JSON"),
    ],
)
def test_tables_of_another_form_are_refused(tmp_path: Path, file: str, content: str, message: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(FileReadError, match=message):
        read_label_names(tmp_path / file)
