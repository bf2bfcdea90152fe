"""`voxbench nodes`: table, JSON, Slicer's segments, pictures; bad input gives one message and leaves nothing."""

from __future__ import annotations

import csv
import json

import nrrd
import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, write_labels, write_volume

GRID = Grid.from_parts((60, 50, 12), (0.8, 0.8, 3.0), (-20.0, -15.0, 100.0))


def save(path, array, grid=GRID):
    write = write_volume if array.dtype == np.int16 else write_labels
    write(path, (Volume if array.dtype == np.int16 else LabelMap)(array, grid))
    return path


@pytest.fixture
def mask():
    """A node of 16 x 12 pixels, one of 5 x 4, and a voxel that touches the first at a corner only."""
    array = np.zeros(GRID.shape, np.uint8)
    array[10:26, 10:22, 3:6] = 255
    array[26, 22, 6] = 255
    array[40:45, 30:34, 8:10] = 255
    return array


@pytest.fixture
def ct(mask):
    values = np.full(GRID.shape, -90, np.int16)
    values[mask > 0] = 40
    values[40:45, 30:34, 8] = 60
    return values


def test_two_nodes_leave_a_table_json_segments_and_pictures(voxbench, mask, ct, tmp_path):
    out = tmp_path / "out"
    words = ["nodes", save(tmp_path / "m.nrrd", mask), "--ct", save(tmp_path / "ct.nrrd", ct), "--out", out, "--json"]
    done = voxbench(*words)
    assert done.code == 0, done.err
    assert "2 nodes, 1 enlarged (short axis at least 10 mm)" in done.err
    assert sorted(path.name for path in out.iterdir()) == [
        "node-001.png", "node-002.png", "nodes.csv", "nodes.json", "nodes.seg.nrrd",
    ]  # fmt: skip
    content = json.loads((out / "nodes.json").read_text())
    assert content == json.loads(done.out)
    assert (content["count"], content["enlarged"]) == (2, 1)
    one, other = content["nodes"]
    assert (one["voxels"], one["mean_hu"], one["sd_hu"]) == (16 * 12 * 3 + 1, 40, 0)
    assert (other["mean_hu"], other["sd_hu"]) == (50, 10)
    assert other["volume_mm3"] == pytest.approx(40 * 0.8 * 0.8 * 3)
    assert [other[f"voxel_{a}"] for a in "ijk"] == [42, 31.5, 8.5]
    assert [other[f"{a}_mm"] for a in "xyz"] == pytest.approx([-20 + 42 * 0.8, -15 + 31.5 * 0.8, 100 + 8.5 * 3])
    assert other["short_axis_mm"] < 10 < one["short_axis_mm"] <= one["long_axis_mm"]
    with (out / "nodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["enlarged"] for row in rows] == ["True", "False"]
    assert list(rows[0]) == list(one)


def test_slicer_gets_a_segment_a_node_under_both_names_of_the_representation(voxbench, mask, tmp_path):
    assert voxbench("nodes", save(tmp_path / "m.mha", mask), "--out", tmp_path / "out").code == 0
    header = nrrd.read_header(str(tmp_path / "out" / "nodes.seg.nrrd"))
    for key in ("Segmentation_MasterRepresentation", "Segmentation_SourceRepresentation"):
        assert header[key] == "Binary labelmap"
    assert "Segment2_ID" not in header
    assert header["Segment0_Color"] != header["Segment1_Color"]
    labels = read_labels(tmp_path / "out" / "nodes.seg.nrrd")
    assert labels.grid.same_as(GRID)
    assert np.array_equal(labels.array != 0, mask != 0)
    assert labels.names[1].startswith("node 1: ")
    assert np.array_equal(np.unique(labels.array[40:45, 30:34, 8:10]), [2])


def test_without_ct_there_are_no_ct_numbers_but_pictures(voxbench, mask, tmp_path):
    done = voxbench("nodes", save(tmp_path / "m.nii.gz", mask), "--out", tmp_path / "out", "--pictures", 1, "--json")
    assert done.code == 0
    assert {row["mean_hu"] for row in json.loads(done.out)["nodes"]} == {None}
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["node-001.png"]
    assert "pictures of the 1 largest only; --pictures 2 draws all" in done.err


def test_instances_keep_their_numbers_and_names_even_where_they_touch(voxbench, tmp_path):
    array = np.zeros(GRID.shape, np.uint8)
    array[10:20, 10:20, 4], array[20:24, 10:14, 4] = 7, 3
    path = tmp_path / "m.seg.nrrd"
    write_labels(path, LabelMap(array, GRID, {7: "station 7", 3: "station 4R"}))
    done = voxbench("nodes", path, "--out", tmp_path / "out", "--instances", "--json")
    assert done.code == 0
    assert [(row["node"], row["name"]) for row in json.loads(done.out)["nodes"]] == [
        (3, "station 4R"),
        (7, "station 7"),
    ]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["node-003.png", "node-007.png"]
    joined = voxbench("nodes", path, "--out", tmp_path / "joined", "--json")
    assert json.loads(joined.out)["count"] == 1


def test_a_mask_of_small_nodes_has_no_enlarged_one_and_a_lower_threshold_changes_that(voxbench, mask, tmp_path):
    mask[:30] = 0
    path = save(tmp_path / "m.nrrd", mask)
    assert "1 nodes, 0 enlarged" in voxbench("nodes", path, "--out", tmp_path / "one").err
    assert "1 nodes, 1 enlarged" in voxbench("nodes", path, "--out", tmp_path / "two", "--threshold-mm", 3).err


def test_an_empty_mask_is_an_answer(voxbench, tmp_path):
    path = save(tmp_path / "m.nrrd", np.zeros(GRID.shape, np.uint8))
    done = voxbench("nodes", path, "--out", tmp_path / "out", "--json")
    assert (done.code, json.loads(done.out)["nodes"]) == (0, [])
    assert "no nodes; the mask is empty" in done.err
    assert (tmp_path / "out" / "nodes.csv").read_text().startswith("node,name,enlarged,volume_mm3,long_axis_mm,")
    assert read_labels(tmp_path / "out" / "nodes.seg.nrrd").ids == ()


def test_earlier_pictures_go_with_force_and_nothing_is_replaced_without(voxbench, mask, tmp_path):
    words = ["nodes", save(tmp_path / "m.nrrd", mask), "--out", tmp_path / "out"]
    assert voxbench(*words).code == 0
    refused = voxbench(*words)
    assert refused.code == 1
    assert "exists already and is not empty" in refused.err
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert voxbench(*words, "--force", "--pictures", 1).code == 0
    assert [path.name for path in (tmp_path / "out").glob("node-*.png")] == ["node-001.png"]
    assert (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("m.nrrd --ct short.nrrd", 1, ("m.nrrd and the CT short.nrrd", "60 x 50 x 11", "60 x 50 x 12")),
        ("m.nrrd --ct none.nrrd", 1, ("none.nrrd: cannot be read",)),
        ("half.nrrd", 1, ("half.nrrd: label ids must be whole numbers",)),
        ("minus.nrrd --instances", 1, ("minus.nrrd: labels of nodes are 1 to 65535; these go from -1 to 0",)),
        ("m.nrrd --threshold-mm 0", 2, ("--threshold-mm: mm, above 0; got 0",)),
        ("m.nrrd --threshold-mm nan", 2, ("--threshold-mm: mm, above 0; got nan",)),
        ("m.nrrd --pictures -1", 2, ("--pictures: a number of nodes, 0 or more; got -1",)),
    ],
)
def test_bad_input_gives_one_message_and_leaves_nothing(words, code, says, voxbench, mask, ct, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("m.nrrd", mask)
    save("short.nrrd", ct[..., :-1], GRID.cropped((0, 0, 0), (60, 50, 11)))
    write_volume("half.nrrd", Volume(mask / np.float32(510), GRID))
    save("minus.nrrd", -(mask > 0).astype(np.int32))
    done = voxbench("nodes", *words.split(), "--out", "out")
    assert done.code == code
    assert all(text in done.err for text in says), done.err
    assert not (tmp_path / "out").exists()
