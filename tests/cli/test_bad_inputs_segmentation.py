"""Bad input to the verbs of nodes and spines, in one table; beside it what is odd and an answer all the same."""

# ruff: noqa: E501  (a table is read across)

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.cli.test_bad_inputs import require_refusal, rows

from voxbench.geometry import Grid, Volume
from voxbench.io import read_grid, read_labels, write_volume

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs voxbench[learn]")
CASE = "lnq2023-train-0005"
CHEST = Grid.from_parts((20, 18, 8), (1.0, 1.0, 3.0), (-5.0, 2.0, 3.0))
FLAT = Grid.from_parts(CHEST.shape, (1.0, 1.0, 20.0))
LUMBAR = Grid.from_parts((6, 24, 48), (5.0, 2.5, 2.5))
PLAN = """
spacing = [5.0, 2.5, 2.5]
patch = [4, 16, 32]
features = [4, 8]
kernels = [[3, 3, 3], [3, 3, 3]]
strides = [[1, 1, 1], [1, 2, 2]]
blocks = [1, 1]
classes = 4
maps = 3
mirror = [0]
"""


def save(path: str, array: np.ndarray, grid: Grid) -> None:
    """Any array under any name."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, grid))


def nodes() -> None:
    """A CT with a node of 12 x 11 x 3 voxels in `ct/`, and a folder of labels for every way to be odd."""
    ct = np.random.default_rng(0).integers(-150, 100, CHEST.shape).astype(np.int16)
    node, small = np.zeros(CHEST.shape, np.uint8), np.zeros(CHEST.shape, np.uint8)
    node[4:16, 4:15, 2:5], small[4:8, 4:7, 2:3] = 1, 1
    save(f"ct/{CASE}-ct.nrrd", ct, CHEST)
    save(f"nan/{CASE}-ct.nrrd", np.where(node, np.nan, ct).astype(np.float32), CHEST)
    save(f"constant/{CASE}-ct.nrrd", 0 * ct, CHEST)
    one = Grid.from_parts((20, 18, 1), CHEST.spacing)
    for name, labels, grid in (
        ("good", node, CHEST),
        ("short", node[..., :-1], CHEST.cropped((0, 0, 0), (20, 18, 7))),
        ("far", node, Grid.from_parts(CHEST.shape, CHEST.spacing, (900.0, 0.0, 0.0))),
        ("v255", 255 * node, CHEST),
        ("half", node / np.float32(2), CHEST),
        ("whole", node.astype(np.float32), CHEST),
        ("nans", np.where(node, np.float32(np.nan), 0), CHEST),
        ("minus", -node.astype(np.int16), CHEST),
        ("small", small, CHEST),
        ("empty", 0 * node, CHEST),
        ("slice", node[..., 3:4], one),
        ("flat", node, FLAT),
    ):
        save(f"{name}/{CASE}-seg.nrrd", labels, grid)
        save(f"pairs_{name}/{CASE}-seg.nrrd", labels, grid)
        image = (ct[..., :1], one) if name == "slice" else (ct, FLAT if name == "flat" else CHEST)
        save(f"pairs_{name}/{CASE}-ct.nrrd", *image)
    save(f"pairs_ct/{CASE}-seg.nrrd", ct, CHEST)
    save(f"pairs_ct/{CASE}-ct.nrrd", ct, CHEST)
    save(f"pairs_constant/{CASE}-ct.nrrd", 0 * ct, CHEST)


def spine(grid: Grid) -> np.ndarray:
    """Blocks of three vertebrae with discs between and a canal behind."""
    labels = np.zeros(grid.shape, np.uint8)
    middle = slice(1, 5) if grid.shape[0] > 1 else slice(0, 1)
    for number in range(3):
        labels[middle, 10:20, 4 + 14 * number : 14 + 14 * number] = 1 + number
        labels[middle, 10:20, 14 + 14 * number : 18 + 14 * number] = 202 + number if number < 2 else 0
    labels[middle, 4:8, 2:46] = 100
    return labels


def seen(labels: np.ndarray) -> np.ndarray:
    """Bright and dark, with noise."""
    bright = np.select([labels > 200, labels == 100, labels > 0], [100, 400, 250], 0)
    return (np.random.default_rng(0).normal(0, 10, labels.shape) + bright).astype(np.float32)


def spines() -> None:
    """Label maps, images, and data sets of two series of which the first is odd."""
    good, one = spine(LUMBAR), Grid.from_parts((1, 24, 48), LUMBAR.spacing)
    flat = Grid.from_parts(LUMBAR.shape, (20.0, 1.0, 1.0))
    short = Grid.from_parts((6, 24, 47), LUMBAR.spacing)
    hole = seen(good)
    hole[0, 0, 0] = np.nan
    odd = {
        "good": (good, LUMBAR, good, LUMBAR),
        "short": (good, LUMBAR, good[..., :-1], short),
        "v255": (good, LUMBAR, np.where(good == 1, 255, good).astype(np.uint8), LUMBAR),
        "half": (good, LUMBAR, good / np.float32(2), LUMBAR),
        "minus": (good, LUMBAR, -good.astype(np.int16), LUMBAR),
        "empty": (good, LUMBAR, 0 * good, LUMBAR),
        "slice": (spine(one), one, spine(one), one),
        "flat": (good, flat, good, flat),
        "hole": (hole, LUMBAR, good, LUMBAR),
        "constant": (np.full_like(hole, 7), LUMBAR, good, LUMBAR),
        "unlabelled": (good, LUMBAR, None, LUMBAR),
    }
    for name, (image, grid, labels, of) in odd.items():
        save(f"s_{name}/images/1_t2.mha", image if image.dtype == np.float32 else seen(image), grid)
        save(f"s_{name}/images/2_t2.mha", seen(good), LUMBAR)
        save(f"s_{name}/masks/2_t2.mha", 0 * good if name == "empty" else good, LUMBAR)
        if labels is not None:
            save(f"s_{name}/masks/1_t2.mha", labels, of)
            save(f"{name}.nii.gz", labels, of)
        with Path(f"s_{name}/overview.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("new_file_name", "subset"), ("1_t2", "training"), ("2_t2", "validation")])
    save("mr.nii.gz", seen(good), LUMBAR)
    save("mr_far.nii.gz", seen(good), Grid.from_parts(LUMBAR.shape, LUMBAR.spacing, (900.0, 0.0, 0.0)))
    save("mr_hole.nii.gz", hole, LUMBAR)
    dot = np.zeros((5, 5, 5), np.uint8)
    dot[2, 2, 2] = 1
    save("dot.nii.gz", dot, Grid.from_parts(dot.shape))
    Path("plan.toml").write_text(PLAN)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder in which every row is tried; no row may change it."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        nodes()
        spines()
        Path("nothing").mkdir()
        Path("full").mkdir()
        Path("full/thesis.txt").write_text("mine")
    return folder


# What is bad | the words | the exit code | what the message says, in this order
TABLE = f"""
nodes: no such labels      | nodes none.nrrd --out out                   | 1 | none.nrrd: cannot be read: no such file
nodes: floats              | nodes half/{CASE}-seg.nrrd --out out        | 1 | half/{CASE}-seg.nrrd: label ids must be whole numbers
nodes: NaN labels          | nodes nans/{CASE}-seg.nrrd --out out        | 1 | nans/{CASE}-seg.nrrd: ~ NaN
nodes: labels below 0      | nodes minus/{CASE}-seg.nrrd --out out       | 1 | these go from -1 to 0
nodes: a CT for labels     | nodes ct/{CASE}-ct.nrrd --out out           | 1 | ct/{CASE}-ct.nrrd: labels of nodes are 1 and up; these go from -150 to 99 ~ is this the CT?
nodes: another grid        | nodes short/{CASE}-seg.nrrd --ct ct/{CASE}-ct.nrrd --out out | 1 | labels and CT lie on different grids ~ 20 x 18 x 8 ~ 20 x 18 x 7
nodes: NaN in the CT       | nodes good/{CASE}-seg.nrrd --ct nan/{CASE}-ct.nrrd --out out | 1 | nan/{CASE}-ct.nrrd: 396 of 2880 voxels are NaN
nodes: a constant CT       | nodes good/{CASE}-seg.nrrd --ct constant/{CASE}-ct.nrrd --out out | 1 | constant/{CASE}-ct.nrrd: every voxel is 0
nodes: out is not empty    | nodes good/{CASE}-seg.nrrd --out full       | 1 | full: exists already and is not empty ~ --force
spine: 255                 | spine v255.nii.gz --out out                 | 1 | v255.nii.gz: label 255 means nothing in the spine ~ 201 to 225
spine: floats              | spine half.nii.gz --out out                 | 1 | half.nii.gz: label ids must be whole numbers
spine: below 0             | spine minus.nii.gz --out out                | 1 | minus.nii.gz: label -203 means nothing
spine: empty               | spine empty.nii.gz --out out                | 1 | empty.nii.gz: no vertebra in the label map
spine: one voxel           | spine dot.nii.gz --out out                  | 1 | dot.nii.gz: vertebra 1 is too small or too thin to be measured: 1 voxels
spine: an image elsewhere  | spine good.nii.gz --image mr_far.nii.gz --out out | 1 | mr_far.nii.gz: no vertebra of good.nii.gz lies in it ~ origin 900
spine: NaN in the image    | spine good.nii.gz --image mr_hole.nii.gz --out out | 1 | mr_hole.nii.gz: 1 of 6912 voxels are NaN
spine: an image for labels | spine mr.nii.gz --out out                   | 1 | mr.nii.gz: label ids must be whole numbers ~ image?
prepare: labels, no image  | prepare lnq2023 --data good --out out       | 1 | good: no case here ~ -ct.nrrd
submit lnq: floats         | submit lnq2023 --images ct --predictions half --out out | 1 | half/{CASE}-seg.nrrd: label ids must be whole numbers
submit lnq: NaN            | submit lnq2023 --images ct --predictions nans --out out | 1 | nans/{CASE}-seg.nrrd: ~ NaN
submit lnq: below 0        | submit lnq2023 --images ct --predictions minus --out out | 1 | minus/{CASE}-seg.nrrd: label -1 ~ 0
submit lnq: another grid   | submit lnq2023 --images ct --predictions short --out out | 1 | short/{CASE}-seg.nrrd: not on the CT's grid ~ 20 x 18 x 8 ~ 20 x 18 x 7
submit lnq: no prediction  | submit lnq2023 --images ct --predictions nothing --out out | 1 | 1 of 1 predictions are missing ~ {CASE} ~ --fill-missing
submit lnq: no image       | submit lnq2023 --images good --predictions good --out out | 1 | good: no CT here
submit lnq: out not empty  | submit lnq2023 --images ct --predictions good --out full | 1 | full: exists already and is not empty
submit spider: no labels   | submit spider --images s_good --predictions nothing --out out | 1 | nothing: 2 of 2 label maps are missing ~ 1_t2.mha
submit spider: no images   | submit spider --images nothing --predictions s_good/masks --out out | 1 | nothing: no
submit spider: grid        | submit spider --images s_good --predictions s_short/masks --out out | 1 | s_short/masks/1_t2.mha: ~ different grids ~ 48 ~ 47
submit spider: 255         | submit spider --images s_good --predictions s_v255/masks --out out | 1 | 1_t2.mha: label 255 means nothing
submit spider: floats      | submit spider --images s_good --predictions s_half/masks --out out | 1 | 1_t2.mha: voxels of type float32
submit spider: below 0     | submit spider --images s_good --predictions s_minus/masks --out out | 1 | 1_t2.mha: label -203
simulate lnq: a CT of noise | simulate lnq2023 --ct ct/{CASE}-ct.nrrd --out out | 1 | {CASE}-ct.nrrd: no lungs
simulate lnq: one slice    | simulate lnq2023 --ct pairs_slice/{CASE}-ct.nrrd --out out | 1 | {CASE}-ct.nrrd: no lungs
simulate lnq: constant     | simulate lnq2023 --ct constant/{CASE}-ct.nrrd --out out | 1 | every voxel is 0
simulate lnq: NaN          | simulate lnq2023 --ct nan/{CASE}-ct.nrrd --out out | 1 | 396 of 2880 voxels are NaN
simulate lnq: mask, no CT  | simulate lnq2023 --mask good/{CASE}-seg.nrrd --out out | 2 | --mask needs --ct
simulate lnq: spacing      | simulate lnq2023 --spacing 0.8 nan --out out | 2 | --spacing: ~ nan
simulate spider: 255       | simulate spider --labels v255.nii.gz --out out | 1 | v255.nii.gz: label 255 means nothing
simulate spider: floats    | simulate spider --labels half.nii.gz --out out | 1 | half.nii.gz: label ids must be whole numbers
simulate spider: empty     | simulate spider --labels empty.nii.gz --out out | 1 | empty.nii.gz: the label map is empty
simulate spider: backwards | simulate spider --slice-mm 5 3 --out out    | 2 | --slice-mm: ~ the least comes first
simulate spider: thickness | simulate spider --slice-mm 0 3 --out out    | 2 | --slice-mm: ~ greater than 0.2
simulate spider: not a number | simulate spider --slice-mm nan 3 --out out | 2 | --slice-mm: ~ got
simulate spider: too thick | simulate spider --slice-mm 3 200 --out out  | 2 | --slice-mm: ~ less than or equal to 20
"""
TRAINING = """
train: images, no labels | TRAIN s_unlabelled --out out                          | 1 | s_unlabelled: no label map in masks/ for 1_t2
train: nothing there     | TRAIN nothing --out out                               | 1 | nothing/images: no image here ~ 1_t2.mha
train: not there         | TRAIN nowhere --out out                               | 1 | nowhere/images: no image here
predict: no weights      | predict spider --data s_good --out out --weights nothing | 1 | nothing ~ voxbench train
predict: no images       | predict spider --data nothing --out out --weights nothing | 1 | nothing: no .mha here
"""
TRAIN = "train spider --plan plan.toml --steps 2 --warm-up 1 --validate-every 2 --data"


@pytest.mark.parametrize(("words", "code", "said"), rows(TABLE))
def test_one_message_the_exit_code_and_nothing_left(voxbench, world, monkeypatch, words, code, said):
    monkeypatch.chdir(world)
    require_refusal(voxbench, world, words, code, said)


@needs_torch
@pytest.mark.parametrize(("words", "code", "said"), rows(TRAINING, {"TRAIN": TRAIN}))
def test_learning_refuses_before_anything_is_made(voxbench, world, monkeypatch, words, code, said):
    monkeypatch.chdir(world)
    require_refusal(voxbench, world, words, code, said)


@needs_torch
@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("s_short", "s_short/masks/1_t2.mha: mask and image lie on different grids"),
        ("s_v255", "s_v255/masks/1_t2.mha: label 255 means nothing in the spine"),
        ("s_half", "s_half/masks/1_t2.mha: label ids must be whole numbers"),
        ("s_hole", "1_t2: 1 of 6912 voxels are NaN or infinite"),
        ("s_constant", "1_t2: every voxel is 7"),
        ("s_empty", "s_empty: the label maps of all 1 training series are empty"),
    ],
)
def test_a_series_that_cannot_be_learned_from_leaves_the_plan_and_the_split_at_most(
    voxbench: Callable, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, says: str
):
    monkeypatch.chdir(world)
    done = voxbench(*TRAIN.split(), data, "--out", tmp_path / "out")
    assert (done.code, says in done.err) == (1, True), done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"plan.toml", "splits.json", "cache"}


def counts(done: object) -> tuple[int, int]:
    """How many nodes, how many enlarged, of what `nodes --json` printed."""
    content = json.loads(done.out)  # type: ignore[attr-defined]
    return content["count"], content["enlarged"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [("v255", (1, 1)), ("whole", (1, 1)), ("slice", (1, 1)), ("flat", (1, 1)), ("small", (1, 0)), ("empty", (0, 0))],
)
def test_odd_masks_are_measured(voxbench, world, tmp_path, labels, expected):
    done = voxbench("nodes", world / labels / f"{CASE}-seg.nrrd", "--out", tmp_path / "out", "--pictures", 0, "--json")
    assert (done.code, counts(done)) == (0, expected), done.err


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ("short", "labels 20 x 18 x 7 at 1 x 1 x 3 mm brought onto the CT's 20 x 18 x 8"),
        ("v255", "labels 255 made 1 where above 0"),
        ("slice", "1 nodes, 1 enlarged"),
        ("flat", "1 nodes, 1 enlarged"),
        ("small", "1 nodes, 0 enlarged"),
        ("empty", "0 nodes, 0 enlarged"),
    ],
)
def test_odd_pairs_are_prepared_and_what_was_done_is_told(voxbench, world, tmp_path, pairs, says):
    done = voxbench("prepare", "lnq2023", "--data", world / f"pairs_{pairs}", "--out", tmp_path / "out")
    assert (done.code, says in done.err) == (0, True), done.err
    made = tmp_path / "out" / "train"
    assert read_labels(made / f"{CASE}-seg.nrrd").grid.same_as(read_grid(made / f"{CASE}-ct.nrrd"))
    assert (made / f"{CASE}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ("half", f"{CASE}-seg.nrrd: label ids must be whole numbers"),
        ("nans", f"{CASE}-seg.nrrd: label ids must be whole numbers; some voxels are NaN"),
        ("minus", f"{CASE}-seg.nrrd: label -1; labels of nodes are above 0"),
        ("ct", f"{CASE}-seg.nrrd: label -150; labels of nodes are above 0 (is this the CT?)"),
        ("far", f"{CASE}-seg.nrrd: no labelled voxel lies within the CT"),
        ("constant", f"{CASE}-ct.nrrd: every voxel is 0"),
    ],
)
def test_a_pair_that_cannot_be_prepared_leaves_a_record_of_that_only(voxbench, world, tmp_path, pairs, says):
    done = voxbench("prepare", "lnq2023", "--data", world / f"pairs_{pairs}", "--out", tmp_path / "out")
    assert (done.code, says in done.err) == (1, True), done.err
    left = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert left == {f"cases/preparation/{name}.json" for name in (CASE, "run", "status")}


@pytest.mark.parametrize(("name", "voxels"), [("slice", 1), ("flat", 6)])
def test_spines_of_one_slice_or_of_slices_twenty_times_as_thick_are_measured_and_imaged(
    voxbench, world, tmp_path, name, voxels
):
    done = voxbench("spine", world / f"{name}.nii.gz", "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    heights = [level["middle_height"] for level in json.loads(done.out)["levels"]]
    assert len(heights) == 3
    assert max(heights) - min(heights) < 1
    again = voxbench("simulate", "spider", "--labels", world / f"{name}.nii.gz", "--out", tmp_path / "data")
    assert again.code == 0, again.err
    mask = read_labels(tmp_path / "data" / "masks" / "1_t2_SPACE.mha")
    assert min(mask.grid.shape) == voxels


@pytest.mark.parametrize(("name", "ids"), [("slice", 6), ("flat", 6), ("empty", 0)])
def test_odd_label_maps_are_submitted_as_they_are(voxbench, world, tmp_path, name, ids):
    data = world / f"s_{name}"
    done = voxbench("submit", "spider", "--predictions", data / "masks", "--images", data, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert len(read_labels(tmp_path / "out" / "1_t2.mha").ids) == ids
