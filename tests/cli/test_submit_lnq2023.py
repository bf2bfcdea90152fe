"""`voxbench submit lnq2023`: bytes of 0 and 1 on the CT's own grid, whatever the prediction was written as."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume

TURN = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
GRID = Grid.from_parts((9, 8, 7), (0.826, 0.826, 3.0), (-31.7, 12.34567, 100.1), TURN)
CASES = ("lnq2023-test-0002", "lnq2023-test-0007")


@pytest.fixture
def words(tmp_path):
    """CTs of two cases and predictions: instances as NIfTI, probabilities' mask as Slicer's."""
    for folder in ("images/test", "predictions"):
        (tmp_path / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for case in CASES:
        write_volume(tmp_path / "images/test" / f"{case}-ct.nrrd", Volume(rng.integers(0, 9, GRID.shape), GRID))
    instances = np.zeros(GRID.shape, np.uint8)
    instances[2:4, 2:4, 2], instances[5:7, 5:7, 4:6] = 3, 255
    write_labels(tmp_path / "predictions" / f"{CASES[0]}-seg.nii.gz", LabelMap(instances, GRID))
    write_labels(tmp_path / "predictions" / f"{CASES[1]}.seg.nrrd", LabelMap((instances > 0).astype(np.uint8), GRID))
    out = tmp_path / "out"
    return [
        "submit",
        "lnq2023",
        "--predictions",
        tmp_path / "predictions",
        "--images",
        tmp_path / "images",
        "--out",
        out,
    ]


def test_every_case_becomes_one_mha_on_the_ct_s_grid_to_the_last_digit(voxbench, words, tmp_path):
    done = voxbench(*words, "--json")
    assert done.code == 0, done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{case}-seg.mha" for case in CASES]
    for case in CASES:
        image = SimpleITK.ReadImage(str(tmp_path / "images/test" / f"{case}-ct.nrrd"))
        mask = SimpleITK.ReadImage(str(tmp_path / "out" / f"{case}-seg.mha"))
        assert mask.GetPixelID() == SimpleITK.sitkUInt8
        array = SimpleITK.GetArrayFromImage(mask)
        assert (array.sum(), array.max()) == (12, 1)
        for one, other in (
            (mask.GetOrigin(), image.GetOrigin()),
            (mask.GetSpacing(), image.GetSpacing()),
            (mask.GetDirection(), image.GetDirection()),
        ):
            assert one == pytest.approx(other, abs=1e-9)
    assert [row["note"] for row in json.loads(done.out)] == ["labels 3, 255 made 1", ""]
    assert "2 masks, 0 of them empty" in done.err


def test_what_is_missing_is_listed_or_filled(voxbench, words, tmp_path):
    (tmp_path / "predictions" / f"{CASES[1]}.seg.nrrd").unlink()
    refused = voxbench(*words)
    assert refused.code == 1
    assert "1 of 2 predictions are missing" in refused.err
    assert f"{CASES[1]}-seg.mha" in refused.err
    assert not (tmp_path / "out").exists()
    assert voxbench(*words, "--fill-missing").code == 0
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "out" / f"{CASES[1]}-seg.mha")))
    assert not mask.any()


def test_another_grid_is_refused_with_both_and_nothing_is_left(voxbench, words, tmp_path):
    moved = Grid.from_parts(GRID.shape, (0.826, 0.826, 3.25), GRID.origin, TURN)
    write_labels(tmp_path / "predictions" / f"{CASES[1]}.seg.nrrd", LabelMap(np.ones(GRID.shape, np.uint8), moved))
    done = voxbench(*words)
    assert done.code == 1
    for text in (f"{CASES[1]}.seg.nrrd: not on the CT's grid", "0.826 x 0.826 x 3 mm", "0.826 x 0.826 x 3.25 mm"):
        assert text in done.err
    assert not (tmp_path / "out").exists()


def test_bad_input_gives_one_message(voxbench, words, tmp_path):
    (tmp_path / "predictions" / f"{CASES[0]}-seg.mha").write_bytes(b"x")
    twice = voxbench(*words)
    assert (twice.code, "2 predictions, one is expected" in twice.err) == (1, True)
    words[words.index("--images") + 1] = tmp_path / "predictions"
    none = voxbench(*words)
    assert (none.code, "no CT here" in none.err) == (1, True)
    words[words.index("--predictions") + 1] = tmp_path / "nowhere"
    nowhere = voxbench(*words)
    assert (nowhere.code, "nowhere: no such folder" in nowhere.err) == (1, True)
    assert not (tmp_path / "out").exists()
