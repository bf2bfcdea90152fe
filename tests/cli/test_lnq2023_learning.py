"""`voxbench train lnq2023` and `predict lnq2023`: from partial labels to files for the organisers; bad input."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_grid, read_labels, write_labels, write_volume

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs voxbench[learn]")
GRID = Grid.from_parts((40, 28, 24), (8.0, 8.0, 10.0), direction=np.diag([-1.0, -1.0, 1.0]))
PLAN = """
spacing = [8.0, 8.0, 10.0]
patch = [16, 16, 16]
features = [6, 12]
kernels = [[3, 3, 3], [3, 3, 3]]
strides = [[1, 1, 1], [2, 2, 2]]
blocks = [1, 1]
classes = 2
mirror = [0]
[normalisation]
modality = "ct"
"""
ONE, TWO, TEST = "lnq2023-train-0001", "lnq2023-train-0002", "lnq2023-test-0003"


def chest(seed):
    """Lungs, fat between them, a node in it."""
    hu = np.full(GRID.shape, 50.0, np.float32)
    hu[:2], hu[-2:], hu[:, :2], hu[:, -2:] = -1000, -1000, -1000, -1000
    hu[6:17, 6:22, 4:20] = hu[23:34, 6:22, 4:20] = -850
    hu[17:23, 6:18, 4:20] = -100
    labels = np.zeros(GRID.shape, np.uint8)
    labels[18:21, 10:13, 10:13] = 1
    hu[labels > 0] = 60
    noise = np.random.default_rng(seed).normal(0, 5, GRID.shape)
    return Volume(np.rint(hu + noise).astype(np.int16), GRID), LabelMap(labels, GRID)


@pytest.fixture
def data(tmp_path):
    for number, case in enumerate((ONE, TWO, TEST)):
        folder = tmp_path / "data" / case.split("-")[1]
        folder.mkdir(parents=True, exist_ok=True)
        ct, labels = chest(number)
        write_volume(folder / f"{case}-ct.nrrd", ct)
        write_labels(folder / f"{case}-seg.nrrd", labels)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "data"


def train(data, *words, steps=4):
    plan = ("--plan", data.parent / "plan.toml")
    few = ("--steps", steps, "--warm-up", "1", "--validate-every", "4")
    return ["train", "lnq2023", "--data", data, "--out", data.parent / "run", *plan, *few, *words]


def replaced(data, case, array, grid=GRID):
    path = data / case.split("-")[1] / f"{case}-seg.nrrd"
    path.unlink()
    if array is not None:
        write_labels(path, LabelMap(array, grid))


@needs_torch
def test_from_partial_labels_to_what_the_organisers_take(voxbench, data, tmp_path):
    (data / "dataset.csv").write_text(f"case,completeness\n{ONE},full\n{TWO},partial\n")
    done = voxbench(*train(data, "--rounds", "1", "--strategy", "foreground", "--json", steps=8))
    assert done.code == 0, done.err
    card = json.loads(done.out)
    assert card["challenge"] == "lnq2023"
    assert card["cases"] == [ONE, TWO]
    assert card["complete"] == [ONE]
    assert card["config"]["batch"] == 2
    assert card["learning"]["strategy"] == "foreground"
    assert card["confidence"]["foreground"] == 0.9
    first = json.loads((tmp_path / "run" / "rounds" / "0" / "weights.json").read_text())
    assert (first["steps"], card["steps"]) == (4, 4)
    assert "begun_from" not in first
    assert "voxels that nobody told of" in done.err
    split = json.loads((tmp_path / "run" / "splits.json").read_text())
    assert split == [{"training": [ONE, TWO], "validation": []}]
    assert "patch = [16, 16, 16]" in (tmp_path / "run" / "plan.toml").read_text()

    words = ["predict", "lnq2023", "--data", data / "test", "--out", tmp_path / "out", "--weights", tmp_path / "run"]
    found = voxbench(*words, "--json")
    assert found.code == 0, found.err
    assert [row["case"] for row in json.loads(found.out)] == [TEST]
    mask = read_labels(tmp_path / "out" / f"{TEST}-seg.mha")
    assert mask.grid.same_as(read_grid(data / "test" / f"{TEST}-ct.nrrd"))
    assert set(mask.ids) <= {1}
    again = voxbench(*words)
    assert again.err.count("(kept)") == 1
    packed = ["--predictions", tmp_path / "out", "--images", data / "test", "--out", tmp_path / "packed"]
    assert voxbench("submit", "lnq2023", *packed).code == 0
    assert (tmp_path / "packed" / f"{TEST}-seg.mha").is_file()


@needs_torch
def test_complete_cases_are_background_wherever_no_node_is_and_others_are_not(data, tmp_path):
    from voxbench.challenges.lnq2023.learning import Lnq2023Learning, course, settle
    from voxbench.tasks.segmentation import IGNORED, read_plan
    from voxbench.training.config import TrainingConfig

    (data / "dataset.csv").write_text(f"case,completeness\n{ONE},full\n")
    settings, cache = Lnq2023Learning(), tmp_path / "cache"
    given = settle(data, settings, cache, read_plan(tmp_path / "plan.toml"))
    learned = course(given, settings, TrainingConfig(), cache)
    full, partly = (np.asarray(sample.labels) for sample in learned.samples)
    assert set(np.unique(full).tolist()) == {0, 1}
    assert set(np.unique(partly).tolist()) == {0, 1, IGNORED}
    assert full.sum() == 27
    assert learned.learning.share == 0.2 < 27 / (partly == IGNORED).sum()  # nodes in hardly any unknown
    assert learned.about["complete"] == [ONE]
    again = settle(data, settings, cache, read_plan(tmp_path / "plan.toml"))
    assert again == given


@needs_torch
def test_labels_of_255_or_another_grid_are_understood_and_said(voxbench, data):
    replaced(data, ONE, 255 * chest(0)[1].array)
    moved = GRID.cropped((0, 0, 2), (40, 28, 24))
    replaced(data, TWO, np.ascontiguousarray(chest(1)[1].array[:, :, 2:]), moved)
    done = voxbench(*train(data))
    assert done.code == 0, done.err
    assert "labels 255 made 1 where above 0" in done.err
    assert "brought onto the CT's 40 x 28 x 24" in done.err


@pytest.mark.parametrize(
    ("spoil", "words", "code", "told"),
    [
        (None, ["--fold", "7"], 2, "--fold: Input should be less than or equal to 4; got 7"),
        (None, ["--share", "1.5"], 2, "--share: Input should be less than 1; got 1.5"),
        (None, ["--rounds", "3"], 2, "--rounds 3: at least 0, and 2 updates for each; there are 4"),
        (None, ["--fold", "0"], 1, "5 folds cannot be made of 2 patients"),
        (None, ["--structures", "nowhere"], 1, "nowhere: no such folder"),
        ("missing", [], 1, f"no labels (CASE-seg) for {TWO}"),
        ("empty", [], 1, "not one node is labelled in the 2 cases to learn from"),
        ("far", [], 1, "no labelled voxel lies within the CT"),
        ("floats", [], 1, "label ids must be whole numbers"),
        ("said", [], 1, "completeness perhaps"),
    ],
)
@needs_torch
def test_what_cannot_be_trained_on_is_refused(voxbench, data, spoil, words, code, told):
    labels = chest(1)[1].array
    if spoil == "missing":
        replaced(data, TWO, None)
    elif spoil == "empty":
        for case in (ONE, TWO):
            replaced(data, case, 0 * labels)
    elif spoil == "far":
        replaced(data, TWO, labels, Grid.from_parts(GRID.shape, (8.0, 8.0, 10.0), (5000, 0, 0)))
    elif spoil == "floats":
        replaced(data, TWO, None)
        write_volume(data / "train" / f"{TWO}-seg.nrrd", Volume(0.5 * labels.astype(np.float32), GRID))
    elif spoil == "said":
        (data / "dataset.csv").write_text(f"case,completeness\n{ONE},perhaps\n")
    done = voxbench(*train(data, *words))
    assert done.code == code
    assert told in done.err
    assert not (data.parent / "run" / "weights.safetensors").exists()


@needs_torch
def test_predictions_of_odd_images_and_refusals(voxbench, data, tmp_path):
    assert voxbench(*train(data)).code == 0
    slices = tmp_path / "slices"
    slices.mkdir()
    ct, _ = chest(0)
    one = Volume(np.ascontiguousarray(ct.array[:, :, 12:13]), GRID.cropped((0, 0, 12), (40, 28, 13)))
    write_volume(slices / "lnq2023-test-0009-ct.nrrd", one)
    words = ["predict", "lnq2023", "--out", tmp_path / "out", "--weights", tmp_path / "run"]
    done = voxbench(*words, "--data", slices)
    assert done.code == 0, done.err
    assert read_labels(tmp_path / "out" / "lnq2023-test-0009-seg.mha").grid.shape == (40, 28, 1)
    for more, code, told in (
        (["--data", tmp_path / "nowhere"], 1, "nowhere: no such folder"),
        (["--data", slices, "--short-mm", "-1"], 2, "--short-mm: Input should be greater than or equal to 0; got -1"),
        (["--data", tmp_path / "run"], 1, "no CT here"),
    ):
        refused = voxbench(*words, *more)
        assert refused.code == code
        assert told in refused.err
    with_plan = (tmp_path / "plan.toml").read_text().replace("classes = 2", "classes = 3")
    (tmp_path / "plan.toml").write_text(with_plan)
    other = voxbench(*train(data, "--force"))
    assert other.code == 2
    assert "the plan has 3 classes and 0 maps" in other.err
