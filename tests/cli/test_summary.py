"""What `voxbench summary` prints and writes: the numbers, worked out by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume


def case(
    image: Path, labels: Path | None, shape: tuple[int, int, int], spacing: tuple[float, float, float], **ids: int
):
    """An image of a shape and, per label ``l<id>``, so many single voxels that do not touch each other."""
    grid = Grid.from_parts(shape, spacing)
    image.parent.mkdir(parents=True, exist_ok=True)
    write_volume(image, Volume(np.arange(grid.size, dtype=np.int32).reshape(shape), grid))
    if labels is None:
        return
    labels.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(shape, np.uint8)
    free = [(i, j, k) for i in range(0, shape[0], 2) for j in range(0, shape[1], 2) for k in range(0, shape[2], 2)]
    for name, count in ids.items():
        for _ in range(count):
            array[free.pop()] = int(name[1:])
    write_labels(labels, LabelMap(array, grid))


@pytest.fixture
def lnq(tmp_path):
    """Three cases of training and one of validation."""
    root = tmp_path / "data"
    for split, number, shape, spacing, ids in (
        ("train", 5, (8, 8, 6), (0.5, 0.5, 1.0), {"l1": 4}),
        ("train", 6, (8, 8, 10), (1.0, 1.0, 5.0), {"l1": 2}),
        ("train", 9, (8, 8, 8), (0.8, 0.8, 3.0), {}),
        ("val", 18, (6, 8, 8), (1.0, 1.0, 1.0), {"l1": 3}),
    ):
        stem = f"{split}/lnq2023-{split}-{number:04d}"
        case(root / f"{stem}-ct.nrrd", root / f"{stem}-seg.nrrd", shape, spacing, **ids)
    return root


def spread(low, median, high):
    return {"min": pytest.approx(low), "median": pytest.approx(median), "max": pytest.approx(high)}


def test_the_tables_of_the_seed_per_split_and_for_all(voxbench, lnq):
    outcome = voxbench("summary", lnq, "--json")
    assert outcome.code == 0
    splits = json.loads(outcome.out)["splits"]
    assert list(splits) == ["train", "val", "all"]
    train = splits["train"]
    assert (train["images"], train["label_maps"], train["pairs"], train["slices"]) == (3, 3, 3, 24)
    assert train["spacing_mm"] == [spread(0.5, 0.8, 1.0), spread(0.5, 0.8, 1.0), spread(1, 3, 5)]
    assert train["size"] == [spread(8, 8, 8), spread(8, 8, 8), spread(6, 8, 10)]
    (label,) = train["labels"].values()
    assert label["cases"] == 2  # the third label map is empty
    assert label["rate_percent"] == pytest.approx(200 / 3)
    assert label["volume_ml"] == spread(4 * 0.25 / 1000, (1 + 10) / 2 / 1000, 2 * 5 / 1000)
    assert label["components"] == spread(2, 3, 4)
    everything = splits["all"]["labels"]["1"]
    assert (everything["cases"], everything["rate_percent"]) == (3, 75)
    for part in ("train: 3 images, 3 label maps, 3 pairs, 24 slices", "(0.80, 0.80, 3.00)", "(8, 8, 10)", "66.7 %"):
        assert part in outcome.err


def test_the_csv_holds_the_same_numbers_and_is_not_replaced_without_force(voxbench, lnq, tmp_path):
    out = tmp_path / "summary.csv"
    splits = json.loads(voxbench("summary", lnq, "--json", "--out", out).out)["splits"]
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (6 + 2)
    (row,) = (r for r in rows if r["split"] == "all" and r["what"] == "volume_ml")
    found = splits["all"]["labels"]["1"]
    assert (row["label"], int(row["cases"]), float(row["rate_percent"])) == ("1", 3, 75.0)
    assert {name: float(row[name]) for name in ("min", "median", "max")} == found["volume_ml"]
    refused = voxbench("summary", lnq, "--out", out)
    assert (refused.code, refused.err) == (1, f"voxbench: {out}: exists already\n  --force replaces it\n")
    assert voxbench("summary", lnq, "--out", out, "--force").code == 0


def test_intensities_of_every_image_if_asked_for(voxbench, lnq, tmp_path):
    out = tmp_path / "summary.csv"
    outcome = voxbench("summary", lnq, "--intensities", "--json", "--out", out)
    assert outcome.code == 0
    splits = json.loads(outcome.out)["splits"]
    # An image of n voxels holds 0 to n - 1: n is 384, 640, 512 in training, 384 in validation.
    assert splits["train"]["intensities"] == {
        "min": spread(0, 0, 0),
        "p0.5": spread(0.005 * 383, 0.005 * 511, 0.005 * 639),
        "median": spread(191.5, 255.5, 319.5),
        "p99.5": spread(0.995 * 383, 0.995 * 511, 0.995 * 639),
        "max": spread(383, 511, 639),
    }
    assert splits["val"]["intensities"]["max"] == spread(383, 383, 383)
    assert splits["all"]["intensities"]["max"] == spread(383, 447, 639)
    cells = [[cell.strip() for cell in line.split("│")] for line in outcome.err.splitlines()]
    assert ["", "p99.5", "381.085", "508.445", "635.805", ""] in cells
    with out.open() as file:
        (row,) = (r for r in csv.DictReader(file) if (r["split"], r["what"]) == ("train", "intensity_max"))
    assert (int(row["cases"]), float(row["min"]), float(row["max"])) == (3, 383, 639)
    plain = voxbench("summary", lnq, "--json")
    assert "intensity" not in plain.err
    assert json.loads(plain.out)["splits"]["all"]["intensities"] == {}


def test_what_is_not_finite_is_no_intensity(voxbench, tmp_path):
    image = np.full((3, 3, 3), np.nan, np.float32)
    write_volume(tmp_path / "a.nii.gz", Volume(image, Grid.from_parts((3, 3, 3))))
    refused = voxbench("summary", tmp_path, "--intensities")
    assert refused.code == 1
    assert "a.nii.gz: every voxel is NaN or infinite" in refused.err
    image[0, 0] = (-1, 2, np.inf)
    write_volume(tmp_path / "a.nii.gz", Volume(image, Grid.from_parts((3, 3, 3))))
    found = json.loads(voxbench("summary", tmp_path, "--intensities", "--json").out)["splits"]["all"]["intensities"]
    assert (found["min"], found["median"], found["max"]) == (spread(-1, -1, -1), spread(0.5, 0.5, 0.5), spread(2, 2, 2))


def test_label_maps_alone_have_no_intensities(voxbench, tmp_path):
    write_labels(tmp_path / "a_seg.nii.gz", LabelMap(np.ones((3, 3, 3), np.uint8), Grid.from_parts((3, 3, 3))))
    outcome = voxbench("summary", tmp_path, "--intensities", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["splits"]["all"]["intensities"] == {}


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
        ("images/1_t2.mha", "masks/1_t2.mha"),
        ("a-ct.nrrd", "a-seg.nrrd"),
        ("sub-01_ct.nii.gz", "sub-01_seg-vert_msk.nii.gz"),
        ("chu02_t2.nii.gz", "chu02_labels.nii.gz"),
        ("a7_t2.nii.gz", "a7_disc_labels.nii.gz"),
        ("a.nii.gz", "a.seg.nrrd"),
    ],
)
def test_images_and_labels_find_each_other_by_name(voxbench, tmp_path, image, labels):
    case(tmp_path / "data" / image, tmp_path / "data" / labels, (4, 4, 4), (1.0, 1.0, 1.0), l3=1)
    case(tmp_path / "data/others/x9.nii.gz", None, (4, 4, 4), (1.0, 1.0, 1.0))
    found = json.loads(voxbench("summary", tmp_path / "data", "--json").out)["splits"]["all"]
    assert found["pairs"] == 1
    assert found["label_maps"] == 1
    assert list(found["labels"]) == ["3"]


def test_two_channels_are_one_image(voxbench, tmp_path):
    for channel in ("0000", "0001"):
        case(
            tmp_path / f"imagesTr/a_{channel}.nii.gz", tmp_path / "labelsTr/a.nii.gz", (4, 4, 4), (1.0, 1.0, 1.0), l1=1
        )
    found = json.loads(voxbench("summary", tmp_path, "--json").out)["splits"]
    assert list(found) == ["all"]
    assert (found["all"]["images"], found["all"]["pairs"]) == (1, 1)


def test_labels_in_a_folder_of_their_own(voxbench, tmp_path):
    case(tmp_path / "scans/a.nii.gz", tmp_path / "drawn/a.nii.gz", (4, 4, 4), (1.0, 1.0, 1.0), l2=2)
    found = json.loads(voxbench("summary", tmp_path / "scans", "--labels", tmp_path / "drawn", "--json").out)
    assert found["splits"]["all"]["pairs"] == 1
    assert found["splits"]["all"]["labels"]["2"]["components"] == spread(2, 2, 2)


def test_pieces_that_touch_at_a_corner_are_one(voxbench, tmp_path):
    array = np.zeros((5, 5, 5), np.int16)
    array[1, 1, 1] = array[2, 2, 2] = 300
    array[4, 4, 4] = 300
    write_labels(tmp_path / "a_seg.nii.gz", LabelMap(array, Grid.from_parts((5, 5, 5), (1.0, 1.0, 1.0))))
    found = json.loads(voxbench("summary", tmp_path, "--json").out)["splits"]["all"]
    assert found["labels"]["300"]["components"] == spread(2, 2, 2)
    assert (found["images"], found["size"][0]) == (0, spread(5, 5, 5))


def test_a_file_that_cannot_be_read_is_named_and_no_csv_is_written(voxbench, lnq, tmp_path):
    (lnq / "train/lnq2023-train-0005-ct.nrrd").write_bytes(b"NRRD0005\n")
    outcome = voxbench("summary", lnq, "--out", tmp_path / "s.csv")
    assert outcome.code == 1
    assert "voxbench: 1 of 8 cases failed; voxbench check tells more" in outcome.err
    assert "lnq2023-train-0005-ct.nrrd" in outcome.err
    assert not (tmp_path / "s.csv").exists()
