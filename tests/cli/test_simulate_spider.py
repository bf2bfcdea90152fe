"""voxbench simulate spider: the official layout, both storage conventions, and label maps of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.spider.dataset import read_dataset
from voxbench.challenges.spider.splits import official_split
from voxbench.cli import main
from voxbench.geometry import Grid, LabelMap
from voxbench.geometry.spine_labels import classes_of, structure_of
from voxbench.io import write_labels
from voxbench.simulate.phantoms.spine import spine_phantom

COARSE = ("--inplane-mm", "4", "--slice-mm", "5", "5")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("spider") / "data"
    assert main(["simulate", "spider", "--out", str(out), "--cases", "2", *COARSE]) == 0
    return out


def test_a_data_set_reads_as_the_official_one_does(made: Path, voxbench: Callable):
    dataset = read_dataset(made)
    assert [series.name for series in dataset.series] == ["1_t1", "1_t2", "1_t2_SPACE", "2_t1", "2_t2"]
    orientations = set()
    for series in dataset.series:
        image = series.read_image()
        mask = series.read_mask(image)
        orientations.add(image.grid.orientation)
        kinds = [structure_of(label).kind for label in mask.ids]
        assert kinds.count("vertebra") == int(series.overview["num_vertebrae"]) >= 3
        assert kinds.count("disc") == int(series.overview["num_discs"]) >= 3
        assert kinds.count("canal") == 1
        assert not [label for label in mask.ids if 100 < label < 200]
        assert image.array.min() == -1000 if image.grid.orientation == "LPS+" else image.array.min() >= 0
    assert orientations == {"LPS+", "PIR+"}
    assert official_split(dataset).validation == ("2_t1", "2_t2")
    discs = int(dataset.series[0].overview["num_discs"])
    assert {key for key in dataset.gradings if key[0] == 1} >= {(1, n) for n in range(1, discs)}
    assert voxbench("check", made, "--challenge", "spider").code == 0
    perfect = voxbench("evaluate", "spider", "--predictions", made / "masks", "--references", made / "masks",
                       "--out", made.parent / "scores")  # fmt: skip
    assert perfect.code == 0


def test_fluid_and_young_discs_are_bright_in_t2_and_dark_in_t1(made: Path):
    truth = json.loads((made / "truth.json").read_text())["patients"]["1"]["levels"]
    assert [level["number"] for level in truth] == list(range(1, len(truth) + 1))
    means = {}
    for series in read_dataset(made).named(["1_t1", "1_t2"]):
        image, mask = series.read_image(), series.read_mask()
        classes = classes_of(mask.array)
        means[series.sequence] = [float(image.array[classes == c].mean()) for c in (1, 3)]
    assert means["t1"][1] < means["t1"][0]
    assert means["t2"][1] > means["t2"][0]


def test_one_s_own_label_maps_are_imaged_in_thick_slices(tmp_path: Path, voxbench: Callable):
    grid = Grid.from_parts((36, 50, 60), (1.5, 3.5, 3.5))
    labels = spine_phantom(grid, 0, mark_partial=False).labels
    write_labels(tmp_path / "one.nii.gz", labels)
    words = ("simulate", "spider", "--labels", tmp_path / "one.nii.gz", "--space-every", "0", "--out", tmp_path / "out")
    assert voxbench(*words).code == 0
    first, second = read_dataset(tmp_path / "out").series
    mask = first.read_mask(first.read_image())
    assert max(mask.grid.spacing) >= 3.0
    assert set(mask.ids) <= set(labels.ids)
    assert (first.name, second.name) == ("1_t1", "1_t2")
    again = voxbench(*words)
    assert (again.code, "--force replaces it" in again.err) == (1, True)
    assert voxbench(*words, "--force").code == 0


def test_bad_input_is_one_message_and_leaves_nothing(tmp_path: Path, voxbench: Callable):
    grid = Grid.from_parts((4, 4, 4))
    write_labels(tmp_path / "bad.nii.gz", LabelMap(np.full((4, 4, 4), 255, np.uint8), grid))
    out = tmp_path / "out"
    bad = voxbench("simulate", "spider", "--labels", tmp_path / "bad.nii.gz", "--out", out)
    assert (bad.code, "bad.nii.gz: label 255 means nothing" in bad.err) == (1, True)
    for words, message in ((("--cases", "0"), "--cases: "), (("--noise", "2"), "--noise: ")):
        misuse = voxbench("simulate", "spider", "--out", out, *words)
        assert (misuse.code, message in misuse.err) == (2, True)
    assert not out.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    kept = voxbench("simulate", "spider", "--out", tmp_path / "mine", "--force")
    assert (kept.code, "not a simulated data set" in kept.err) == (1, True)
