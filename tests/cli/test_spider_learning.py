"""`voxbench train spider` and `predict spider`: a spine is learned, found and numbered; bad input gives one message."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_grid, read_labels, write_labels, write_volume

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs voxbench[learn]")
# As the two ways that SPIDER stores its files in: left-back-up, and back-down-right.
LPS = Grid.from_parts((6, 24, 48), (5.0, 2.5, 2.5), direction=np.diag([-1.0, -1.0, 1.0]))
PIR = Grid.from_parts((24, 48, 6), (2.5, 2.5, 5.0), direction=np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]))

PLAN = """
spacing = [5.0, 2.5, 2.5]
patch = [4, 16, 32]
features = [6, 12]
kernels = [[3, 3, 3], [3, 3, 3]]
strides = [[1, 1, 1], [1, 2, 2]]
blocks = [1, 1]
classes = 4
maps = 3
mirror = [0]
"""


def spine(grid):
    """Blocks of three vertebrae with discs between and a canal behind, bright and dark."""
    from voxbench.geometry.orientation import Reordering

    labels = np.zeros(grid.shape, np.uint8)
    view = Reordering.to(grid)(labels)  # left to right, back to front, up
    for number in range(3):
        view[1:5, 10:20, 4 + 14 * number : 14 + 14 * number] = 1 + number
        view[1:5, 10:20, 14 + 14 * number : 18 + 14 * number] = 202 + number if number < 2 else 0
    view[2:4, 4:8, 2:46] = 100
    image = np.random.default_rng(0).normal(0, 10, grid.shape) + np.select(
        [labels > 200, labels == 100, labels > 0], [100, 400, 250], 0
    )
    return Volume(image.astype(np.float32), grid), LabelMap(labels, grid)


@pytest.fixture
def data(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    rows = [("1_t1", LPS, "training"), ("1_t2", PIR, "training"), ("2_t2", LPS, "validation")]
    with (tmp_path / "data" / "overview.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("new_file_name", "subset"), *((name, subset) for name, _, subset in rows)])
    for name, grid, _ in rows:
        image, labels = spine(grid)
        write_volume(tmp_path / "data" / "images" / f"{name}.mha", image)
        write_labels(tmp_path / "data" / "masks" / f"{name}.mha", labels)
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path / "data"


def train(data, *words):
    steps = ("--steps", "4", "--warm-up", "1", "--validate-every", "4")
    plan = ("--plan", data.parent / "plan.toml")
    return ["train", "spider", "--data", data, "--out", data.parent / "run", *plan, *steps, *words]


@needs_torch
def test_a_run_is_written_down_trained_and_used(voxbench, data, tmp_path):
    done = voxbench(*train(data, "--made", "0.5", "--json"))
    assert done.code == 0, done.err
    card = json.loads(done.out)
    assert card["challenge"] == "spider"
    assert card["made_images"] == 0.5
    assert card["cases"] == ["1_t1", "1_t2"]
    assert card["validation_cases"] == ["2_t2"]
    assert set(card["data"]) == {f"{folder}/1_{s}.mha" for folder in ("images", "masks") for s in ("t1", "t2")}
    assert "an update takes about" in done.err
    split = json.loads((tmp_path / "run" / "splits.json").read_text())
    assert split["drawn"] == "official subsets"
    assert split["folds"] == [{"train": ["1_t1", "1_t2"], "validation": ["2_t2"]}]
    assert "patch = [4, 16, 32]" in (tmp_path / "run" / "plan.toml").read_text()
    (data / "images" / "3_t2.mha").write_bytes(b"not an image")
    words = ["predict", "spider", "--data", data, "--out", tmp_path / "out", "--weights", tmp_path / "run"]
    found = voxbench(*words)
    assert found.code == 1
    assert "3_t2  failed" in found.err
    for name in ("1_t1", "1_t2", "2_t2"):
        labels = read_labels(tmp_path / "out" / f"{name}.mha")
        assert labels.array.dtype == np.uint8
        assert labels.grid.same_as(read_grid(data / "images" / f"{name}.mha"))
    assert not (tmp_path / "out" / "3_t2.mha").exists()
    (data / "images" / "3_t2.mha").unlink()
    again = voxbench(*words)
    assert again.code == 0
    assert again.err.count("(kept)") == 3


@needs_torch
def test_perfect_maps_give_the_labels_back(data):
    """Whatever way the file is stored in, and though the working voxels differ."""
    from voxbench.challenges.spider.learning import UNIT_MM
    from voxbench.challenges.spider.trained import spine_labels
    from voxbench.tasks.instances import CentresConfig, targets
    from voxbench.tasks.segmentation import Frame, read_plan

    plan = read_plan(data.parent / "plan.toml").model_copy(update={"spacing": (4.0, 3.0, 3.0)})

    class Knows:
        card = {"offsets_unit_mm": UNIT_MM}  # noqa: RUF012

        def __init__(self, labels):
            self.plan, self.labels = plan, labels

        def look(self, volume, frame):
            return frame

        def whole(self, frame):
            there = targets(LabelMap(frame.bring_labels(self.labels.array), frame.grid))
            return there.probabilities, there.offsets / np.float32(UNIT_MM)

    for grid in (LPS, PIR):
        image, labels = spine(grid)
        found = spine_labels.__wrapped__(Knows(labels), image, CentresConfig(mark_partial=False))
        assert Frame.of(grid).grid.orientation == "RAS+"
        assert set(found.ids) == set(labels.ids)
        for label in labels.ids:
            a, b = found.array == label, labels.array == label
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.75, label


@pytest.mark.parametrize(
    ("spoil", "words", "code", "told"),
    [
        (None, ["--fold", "7"], 2, "--fold: Input should be less than or equal to 4; got 7"),
        (None, ["--made", "1.5"], 2, "--made: Input should be less than or equal to 1; got 1.5"),
        (None, ["--preset", "paper"], 2, "--preset: Input should be 'laptop' or 'standard'; got paper"),
        (None, ["--fold", "0"], 1, "5 folds of 2 patients"),
        ("masks/1_t2.mha", [], 1, "no label map in masks/ for 1_t2"),
        ("overview.csv", [], 1, "overview.csv has no subset (training or validation) for 1_t1, 1_t2, 2_t2"),
    ],
)
@needs_torch
def test_what_cannot_be_trained_on_is_refused(voxbench, data, spoil, words, code, told):
    if spoil is not None:
        (data / spoil).unlink()
    done = voxbench(*train(data, *words))
    assert done.code == code
    assert told in done.err
    assert not (data.parent / "run").exists()


@needs_torch
def test_plans_and_weights_of_other_things_are_refused(voxbench, data, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN.replace("maps = 3", "maps = 0"))
    done = voxbench(*train(data))
    assert done.code == 2
    assert "the plan has 4 classes and 0 maps\n  needed are 4" in done.err
    nothing = voxbench("predict", "spider", "--data", data, "--out", tmp_path / "out", "--weights", tmp_path / "run")
    assert nothing.code == 1
    assert "no such file; give the --out folder of voxbench train" in nothing.err
    empty = voxbench("predict", "spider", "--data", tmp_path / "x", "--out", tmp_path / "out", "--weights", tmp_path)
    assert empty.code == 1
    assert "no .mha here" in empty.err


IIS = """
spacing = [5.0, 2.5, 2.5]
patch = [8, 16, 32]
width = 2
beyond = 2
search_mm3 = 500.0
"""


def train_iis(data, *words):
    (data.parent / "iis.toml").write_text(IIS)
    plan = ("--plan", data.parent / "iis.toml")
    steps = ("--steps", "2", "--warm-up", "1", "--validate-every", "2")
    return ["train", "spider", "--method", "iis", "--data", data, "--out", data.parent / "run", *plan, *steps, *words]


@needs_torch
def test_iis_is_trained_and_used_by_the_same_commands(voxbench, data, tmp_path):
    from voxbench.tasks.instances.iterative_config import read_iis

    done = voxbench(*train_iis(data, "--made", "0.5", "--json"))
    assert done.code == 0, done.err
    card = json.loads(done.out)
    assert (card["challenge"], card["method"], card["task"]) == ("spider", "iis", "instances one by one")
    assert card["settings"]["patch"] == [8, 16, 32]
    assert card["made_images"] == 0.5
    assert card["drawn"] == {}
    assert "one by one; voxels 5 x 2.5 x 2.5 mm, patch 8 x 16 x 32 (40 x 40 x 80 mm), width 2" in done.err
    assert "patch = [8, 16, 32]" in (tmp_path / "run" / "plan.toml").read_text()
    words = ["predict", "spider", "--data", data, "--out", tmp_path / "out", "--weights", tmp_path / "run"]
    assert voxbench(*words).code == 0
    for name in ("1_t1", "1_t2", "2_t2"):
        labels = read_labels(tmp_path / "out" / f"{name}.mha")
        assert labels.array.dtype == np.uint8
        assert labels.grid.same_as(read_grid(data / "images" / f"{name}.mha"))
    assert read_iis(tmp_path / "run" / "plan.toml").model_dump(mode="json") == card["settings"]


@needs_torch
def test_iis_leaves_series_without_vertebrae_out_and_what_they_alone_draw_is_nowhere(voxbench, data):
    for name, drop in (("1_t1", lambda n: n > 200), ("1_t2", lambda n: n < 100), ("2_t2", lambda n: n > 100)):
        path = data / "masks" / f"{name}.mha"
        labels = read_labels(path)
        write_labels(path, LabelMap(np.where(drop(labels.array), 0, labels.array).astype(np.uint8), labels.grid))
    done = voxbench(*train_iis(data, "--json"))
    assert done.code == 0, done.err
    assert "left out, for no vertebrae are drawn: 1_t2" in done.err
    card = json.loads(done.out)
    assert card["cases"] == ["1_t1"]
    assert card["drawn"] == {}
    (data / "masks" / "1_t1.mha").write_bytes((data / "masks" / "1_t2.mha").read_bytes())
    (data / "images" / "1_t1.mha").write_bytes((data / "images" / "1_t2.mha").read_bytes())
    nothing = voxbench(*train_iis(data, "--force"))
    assert nothing.code == 1
    assert "no series to learn from has vertebrae; iis follows them" in nothing.err


@needs_torch
def test_a_perfect_walk_gives_the_labels_back_at_the_images_own_voxels(monkeypatch):
    from voxbench.challenges.spider import iterative
    from voxbench.tasks.instances import IisConfig, Seen
    from voxbench.tasks.instances.iterative_patches import kinds_of

    settings = IisConfig(spacing=(4.0, 3.0, 3.0), patch=(16, 24, 32), search_mm3=500.0)

    class Knows:
        def __call__(self, patch):
            vertebrae, discs, canal = kinds_of(np.rint(np.clip(patch[0], 0, 1) * 255).astype(np.uint8))
            left = sorted(set(np.unique(vertebrae).tolist()) - {0} - set(np.unique(vertebrae[patch[1] > 0]).tolist()))
            number = left[0] if left else 99
            masks = np.stack([vertebrae == number, discs == number, canal]).astype(np.float32)
            return Seen(masks, 1.0, max(25.0 - number, 0.0))

    for grid in (LPS, PIR):
        image, labels = spine(grid)
        frame = iterative.Frame.of(grid, settings.spacing)
        ids = frame.bring_labels(labels.array)
        monkeypatch.setattr(iterative, "grey", lambda _image, ids=ids: (ids / 255).astype(np.float32))
        network = iterative.IisNetworkFile.__new__(iterative.IisNetworkFile)
        object.__setattr__(network, "look", Knows())
        object.__setattr__(network, "settings", settings)
        found = iterative.iis_labels.__wrapped__(network, image)
        assert set(found.ids) == set(labels.ids)
        for label in labels.ids:
            a, b = found.array == label, labels.array == label
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.75, label


@pytest.mark.parametrize(
    ("words", "plan", "code", "told"),
    [
        (["--preset", "standard"], IIS, 2, "--preset: Input should be 'paper' or 'laptop'; got standard"),
        ([], PLAN, 1, "  features: Extra inputs are not permitted"),
        ([], IIS.replace("16", "15"), 1, "patch must be multiples of 8; got (8, 15, 32)"),
        ([], "patch = [", 1, "iis.toml: not settings of iis: "),
    ],
)
@needs_torch
def test_what_iis_cannot_be_trained_with_is_refused(voxbench, data, words, plan, code, told):
    command = train_iis(data, *words)
    (data.parent / "iis.toml").write_text(plan)
    done = voxbench(*command)
    assert done.code == code
    assert told in done.err
    assert not (data.parent / "run").exists()


@needs_torch
def test_weights_of_other_methods_are_refused(voxbench, data, tmp_path):
    from voxbench.models.iis import IisNetwork
    from voxbench.training.weights import save_weights

    (tmp_path / "run").mkdir()
    for card, told in (
        ({"task": "instances one by one", "challenge": "x", "settings": {"width": 2}}, "its challenge  x"),
        ({"task": "superresolution"}, "not a segmentation network\n  its task  superresolution"),
    ):
        save_weights(tmp_path / "run", IisNetwork(2), card)
        words = ("--data", data, "--out", tmp_path / "out", "--weights", tmp_path / "run")
        done = voxbench("predict", "spider", *words)
        assert done.code == 1
        assert told in done.err
        assert not (tmp_path / "out").exists()
