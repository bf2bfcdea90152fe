"""The table of per-case values: what is written comes back, and what cannot be compared is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from voxbench.challenges.tables import comparable, read_run, score_table
from voxbench.errors import FileReadError, InputError
from voxbench.io import write_json
from voxbench.metrics.scores import Metric

DICE, ASSD = Metric("dice", "higher"), Metric("assd", "lower", "mm")
CASES = {"a": {"dice": 0.5, "assd": math.nan, "note": "x"}, "b": {"dice": np.float32(0.25), "assd": math.inf}}


@pytest.fixture
def run(tmp_path):
    """Writes and reads a run."""

    def make(name, cases=CASES, metrics=(DICE, ASSD), challenge="lnq2023"):
        folder = tmp_path / name
        folder.mkdir()
        write_json(folder / "scores.json", {"challenge": challenge, "table": score_table(metrics, cases)})
        return read_run(folder)

    return make


def test_what_is_written_comes_back_nan_and_infinity_too(run):
    read = run("one")
    assert (read.name, read.challenge, read.metrics) == ("one", "lnq2023", {"dice": DICE, "assd": ASSD})
    assert read.values["dice"] == {"a": 0.5, "b": 0.25}
    assert math.isnan(read.values["assd"]["a"])
    assert read.values["assd"]["b"] == math.inf


def test_a_case_that_was_not_asked_for_a_metric_is_not_in_it():
    table = score_table((DICE, ASSD), {"a": {"dice": 1.0}, "b": {"dice": 1.0, "assd": 2}})
    assert table["assd"] == {"unit": "mm", "better": "lower", "values": {"b": 2.0}}


@pytest.mark.parametrize("value", [None, "0.5", True, [1.0]])
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(InputError, match=r"dice: a: .* is not a number"):
        score_table((DICE,), {"a": {"dice": value}})


def test_a_metric_that_no_case_has_is_refused():
    with pytest.raises(InputError, match="assd: no case has this metric"):
        score_table((ASSD,), {"a": {"dice": 1.0}})


def test_methods_stand_in_the_order_of_the_runs_and_cases_in_that_of_the_first(run):
    one = run("one")
    two = run("two", {"b": {"dice": 0.75, "assd": 1.0}, "a": {"dice": 1.0, "assd": 3.0}})
    dice, assd = comparable((one, two))
    assert (dice.methods, dice.cases) == (("one", "two"), ("a", "b"))
    np.testing.assert_array_equal(dice.values, [[0.5, 0.25], [1.0, 0.75]])
    np.testing.assert_array_equal(assd.values, [[math.nan, math.inf], [3.0, 1.0]])
    assert [scores.metric for scores in comparable((one, two), ("assd",))] == [ASSD]


def test_what_cannot_be_compared_is_refused_with_both_names(run):
    one = run("one")
    with pytest.raises(InputError, match=r"two challenges(.|\n)*one  lnq2023(.|\n)*two  spider"):
        comparable((one, run("two", challenge="spider")))
    with pytest.raises(InputError, match=r"runs of one name: one"):
        comparable((one, one))
    with pytest.raises(InputError, match=r"three lacks 1: b\n  score all"):
        comparable((one, run("three", {"a": CASES["a"]})))
    with pytest.raises(InputError, match=r"one lacks 1: c\n  score all"):
        comparable((one, run("four", CASES | {"c": CASES["a"]})))
    with pytest.raises(InputError, match=r"not the same quantity(.|\n)*one  assd, mm, lower(.|\n)*five  assd, voxels"):
        comparable((one, run("five", metrics=(DICE, Metric("assd", "lower", "voxels")))))
    with pytest.raises(InputError, match=r"one: has no metric hd95\n  it has dice, assd"):
        comparable((one, run("six")), ("hd95",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "does not say of which challenge"),
        ([1], "does not say of which challenge"),
        ({"challenge": "spider"}, "has no per-case values"),
        ({"challenge": "spider", "table": {"dice": {"better": "more", "values": {"a": 1}}}}, "better is 'more'"),
        ({"challenge": "spider", "table": {"dice": {"better": "lower", "values": {}}}}, "dice: has no values"),
        ({"challenge": "spider", "table": {"dice": {"better": "lower", "values": {"a": None}}}}, "dice: a: None"),
    ],
)
def test_a_file_of_another_form_is_refused_by_name(content, says, tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(FileReadError, match=rf"scores\.json: .*{says}"):
        read_run(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileReadError, match=r"holds no scores\.json"):
        read_run(tmp_path)
    with pytest.raises(FileReadError, match="not a folder"):
        read_run(tmp_path / "nowhere")
