"""`voxbench rank`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from voxbench.challenges.tables import score_table
from voxbench.io import write_json
from voxbench.metrics.scores import Metric


@pytest.fixture
def runs(tmp_path):
    """Three runs; `good` is best in every case."""
    rng = np.random.default_rng(0)
    for name, level in (("good", 0.8), ("fair", 0.6), ("poor", 0.5)):
        cases = {f"c{k}": {"dice": level + 0.05 * rng.random(), "assd": 1 / level} for k in range(12)}
        metrics = (Metric("dice", "higher"), Metric("assd", "lower", "mm"))
        (tmp_path / name).mkdir()
        content = {"challenge": "lnq2023", "table": score_table(metrics, cases)}
        write_json(tmp_path / name / "scores.json", content)
    return [tmp_path / name for name in ("poor", "good", "fair")]


def test_files_and_json_agree_and_the_best_comes_first(voxbench, runs, tmp_path):
    done = voxbench("rank", *runs, "--out", tmp_path / "out", "--bootstrap", 50, "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert content == json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert [row["method"] for row in content["leaderboard"]] == ["good", "fair", "poor"]
    assert [row["rank"] for row in content["leaderboard"]] == [1, 2, 3]
    assert content["leaderboard"][1]["dice_p_holm"] == 6 / 4096
    with (tmp_path / "out" / "leaderboard.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == ["good", "fair", "poor"]
    assert (tmp_path / "out" / "leaderboard.png").read_bytes().startswith(b"\x89PNG")
    again = voxbench("rank", *runs, "--bootstrap", 50, "--json")
    assert json.loads(again.out)["leaderboard"] == content["leaderboard"]


@pytest.mark.parametrize("scheme", ["casewise", "lnq2023", "mean-relative"])
@pytest.mark.parametrize("test", ["wilcoxon", "permutation"])
def test_every_scheme_and_test_runs_and_names_are_shown(scheme, test, voxbench, runs):
    words = (f"Winner={runs[1]}", runs[0], "--scheme", scheme, "--test", test, "--bootstrap", 5)
    done = voxbench("rank", *words, "--metric", "dice", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["leaderboard"][0]["method"] == "Winner"


def test_what_cannot_be_ranked_is_refused_and_nothing_is_written(voxbench, runs, tmp_path):
    out = tmp_path / "out"
    for words, code, says in (
        ((runs[0],), 2, "two or more"),
        ((*runs, "--metric", "hd95"), 1, "has no metric hd95"),
        ((runs[0], runs[0]), 1, "NAME=FOLDER"),
        ((runs[0], tmp_path / "nowhere"), 1, "not a folder"),
        ((*runs, "--bootstrap", "0"), 2, "bootstrap"),
    ):
        done = voxbench("rank", *words, "--out", out)
        assert (done.code, done.out) == (code, "")
        assert says in done.err
    assert not out.exists()
