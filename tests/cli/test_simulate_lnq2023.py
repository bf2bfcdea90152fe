"""`voxbench simulate lnq2023`: the challenge's names, partial labels, the full truth apart; the same again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxbench.geometry import Grid, Volume
from voxbench.io import read_labels, read_volume, write_volume

SMALL = ("--cases", 1, "--test", 1, "--pixels", 48, "--spacing", 3, 10)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from voxbench.cli import main

    out = tmp_path_factory.mktemp("lnq") / "sim"
    assert main(["simulate", "lnq2023", "--out", str(out), *map(str, SMALL)]) == 0
    return out


def test_files_have_the_challenges_names_and_the_truth_lies_apart(made):
    names = {path.relative_to(made).as_posix() for path in made.rglob("*.*")}
    train, test = "lnq2023-train-0001", "lnq2023-test-0002"
    assert names == {
        f"train/{train}-ct.nrrd", f"train/{train}-seg.nrrd", f"test/{test}-ct.nrrd", f"test/{test}-seg.nrrd",
        f"truth/{train}-nodes.nrrd", f"truth/{test}-nodes.nrrd", "truth.json",
    }  # fmt: skip


def test_labels_are_the_nodes_the_truth_says_are_labelled(made):
    truth = json.loads((made / "truth.json").read_text())
    for case, known in truth["cases"].items():
        folder = made / known["split"]
        ct, labels = read_volume(folder / f"{case}-ct.nrrd"), read_labels(folder / f"{case}-seg.nrrd")
        nodes = read_labels(made / "truth" / f"{case}-nodes.nrrd")
        assert ct.array.dtype == np.int16
        assert ct.grid.same_as(labels.grid)
        assert ct.grid.same_as(nodes.grid)
        drawn = [node["id"] for node in known["nodes"] if node["labelled"]]
        assert drawn
        assert np.array_equal(labels.array == 1, np.isin(nodes.array, drawn))
        due = [node["id"] for node in known["nodes"] if node["over_1_cm"]]
        assert drawn == due if known["split"] == "test" else set(drawn) <= set(due)
    assert truth["cases"]["lnq2023-train-0001"]["completeness"] == "partial"


def test_the_same_seed_gives_the_same_data_and_only_simulated_data_is_replaced(voxbench, made, tmp_path):
    refused = voxbench("simulate", "lnq2023", "--out", made, *SMALL)
    assert refused.code == 1
    assert "holds a simulated data set already; --force replaces it" in refused.err
    again = voxbench("simulate", "lnq2023", "--out", tmp_path / "again", *SMALL, "--json")
    assert again.code == 0
    assert json.loads(again.out) == json.loads((made / "truth.json").read_text())
    for name in ("train/lnq2023-train-0001-ct.nrrd", "test/lnq2023-test-0002-seg.nrrd"):
        assert np.array_equal(read_volume(tmp_path / "again" / name).array, read_volume(made / name).array)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    kept = voxbench("simulate", "lnq2023", "--out", tmp_path / "mine", *SMALL, "--force")
    assert kept.code == 1
    assert "not a simulated data set" in kept.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--cases", "0"), 2, "--cases: "),
        (("--annotated", "1.5"), 2, "--annotated: "),
        (("--spacing", "0", "3"), 2, "--spacing: "),
        (("--mask", "ct.nrrd"), 2, "--mask needs --ct"),
        (("--ct", "none.nrrd"), 1, "none.nrrd: cannot be read"),
        (("--ct", "ct.nrrd"), 1, "ct.nrrd: no lungs"),
        (("--ct", "flat.nrrd"), 1, "flat.nrrd: every voxel is 7"),
    ],
)
def test_bad_input_gives_one_message_and_leaves_nothing(words, code, says, voxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = Grid.from_parts((12, 12, 6), (3.0, 3.0, 5.0))
    values = np.random.default_rng(0).integers(-100, 100, grid.shape).astype(np.int16)
    write_volume("ct.nrrd", Volume(values, grid))
    write_volume("flat.nrrd", Volume(np.full(grid.shape, 7, np.int16), grid))
    done = voxbench("simulate", "lnq2023", "--out", "out", *words)
    assert done.code == code
    assert says in done.err
    assert not (tmp_path / "out").exists()
